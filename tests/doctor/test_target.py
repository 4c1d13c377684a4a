"""The argument HOST of `doctor`."""

import pytest

from agent.doctor.target import parse_target
from agent.model.registry import HostnameError


@pytest.mark.parametrize(
    ("typed", "hostname", "image"),
    [
        ("ghcr.io", "ghcr.io", None),
        (" https://GHCR.IO/ ", "ghcr.io", None),
        ("http://ghcr.io/v2/", "ghcr.io", None),
        ("https://index.docker.io/v1/", "docker.io", None),
        ("localhost:5000", "localhost:5000", None),
        ("[::1]:5000", "[::1]:5000", None),
        ("known", "known", None),
        ("ghcr.io/org/app:1.0", "ghcr.io", "org/app:1.0"),
        ("ghcr.io/org/app", "ghcr.io", "org/app:latest"),
        ("localhost:5000/app", "localhost:5000", "app:latest"),
        ("org/app:1.0", "docker.io", "org/app:1.0"),
        ("alpine", "docker.io", "library/alpine:latest"),
        ("alpine:3.20", "docker.io", "library/alpine:3.20"),
        ("postgres:16", "docker.io", "library/postgres:16"),
        ("registry:5000", "registry:5000", None),
        ("registry:5/app", "registry:5", "app:latest"),
        ("kept:1", "kept:1", None),
        ("docker.io/alpine", "docker.io", "library/alpine:latest"),
        ("ghcr.io/a/b:1@sha256:" + "a" * 64, "ghcr.io", "a/b@sha256:" + "a" * 64),
    ],
)
def test_parses_a_registry_or_an_image(typed: str, hostname: str, image: str | None) -> None:
    """A host name in any form that a secret accepts, or an image by Docker's own rules."""
    target = parse_target(typed, {"known", "kept:1"})
    assert (target.registry.hostname, str(target.image) if target.image else None) == (hostname, image)


@pytest.mark.parametrize(
    "typed", ["", " ", "ghcr.io/UPPER/case", "ghcr.io/../../etc", "ghcr.io/a:b c", "ghcr.io/a@sha256:short", "gh cr.io"]
)
def test_refuses_anything_else(typed: str) -> None:
    """It raises an error that the command prints."""
    with pytest.raises(HostnameError):
        parse_target(typed)
