"""Parses the argument of `doctor HOST`: a registry as people type it, or an image in a registry."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from agent.model.registry import DOCKER_HUB, HostnameError, Registry, parse_hostname

_SCHEME: Final = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# The grammar of image references (distribution/reference, regexp.go). Only tags may have upper case.
_PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IMAGE: Final = re.compile(
    rf"(?P<repository>{_PART}(?:/{_PART})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,256}))?",
    re.ASCII,
)
_LOWEST_PORT: Final = 80
# People paste these paths after a host. They are not repositories.
_API: Final = frozenset({"v1", "v2"})


@dataclass(frozen=True, slots=True)
class Image:
    """A repository, and a tag or digest in it."""

    repository: str
    reference: str

    def __str__(self) -> str:
        return f"{self.repository}{'@' if ':' in self.reference else ':'}{self.reference}"


@dataclass(frozen=True, slots=True)
class Target:
    registry: Registry
    image: Image | None = None


def parse_target(text: str, known: Collection[str] = ()) -> Target:
    """Parse a registry or an image. A bare name is an image on Docker Hub, unless it is a `known` host name.

    Raises:
        HostnameError: the text is neither.
    """
    rest = _SCHEME.sub("", text.strip())
    host, _, path = rest.partition("/")
    path = path.strip("/")
    if path.lower() in _API or (not path and (host.lower() in known or (_names_host(host) and not _is_version(host)))):
        return Target(parse_hostname(host))
    # As docker does: without a host, the image is on Docker Hub.
    if not _names_host(host) or not path:
        host, path = DOCKER_HUB, rest
    registry = parse_hostname(host)
    parts = _IMAGE.fullmatch(path)
    if parts is None:
        raise HostnameError(
            "not an image name: a repository has only lower case, and :tag or @sha256:… may follow, "
            "for example ghcr.io/org/name:tag"
        )
    repository = parts["repository"]
    if registry.hostname == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return Target(registry, Image(repository, parts["digest"] or parts["tag"] or "latest"))


def _names_host(text: str) -> bool:
    """Docker's own rule for the first part of an image name: `app:tag` is an image, `host:5000` is a host."""
    name, colon, port = text.partition(":")
    return "." in name or name.lower() == "localhost" or text.startswith("[") or (bool(colon) and port.isdigit())


def _is_version(text: str) -> bool:
    """Whether the number is a tag, as in `nginx:1` and `postgres:16`. No registry listens on a port below 80."""
    name, _, port = text.partition(":")
    return "." not in name and name.lower() != "localhost" and port.isdigit() and int(port[:6]) < _LOWEST_PORT
