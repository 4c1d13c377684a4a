"""What `doctor HOST` is asked about: a registry as people type it, or an image in it."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from agent.model.registry import DOCKER_HUB, HostnameError, Registry, parse_hostname

_SCHEME: Final = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
# Distribution's grammar of references (distribution/reference, regexp.go), in lower case but for tags.
_REPOSITORY: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST: Final = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,256}")
_LONGEST: Final = 255
_LOWEST_PORT: Final = 80
# What people paste after a host, and is no repository.
_API: Final = frozenset({"v1", "v2"})


@dataclass(frozen=True, slots=True)
class Image:
    """A repository and a tag or digest in it."""

    repository: str
    reference: str

    def __str__(self) -> str:
        return f"{self.repository}{'@' if ':' in self.reference else ':'}{self.reference}"


@dataclass(frozen=True, slots=True)
class Target:
    registry: Registry
    image: Image | None = None


def parse_target(text: str, known: Collection[str] = ()) -> Target:
    """The registry, or the image, that a person meant; a bare name is an image of Docker Hub unless it is `known`.

    Raises:
        HostnameError: it is neither.
    """
    rest = _SCHEME.sub("", text.strip())
    host, _, path = rest.partition("/")
    path = path.strip("/")
    if not path and (host.lower() in known or (_names_host(host) and not _is_version(host))):
        return Target(parse_hostname(host))
    if path.lower() in _API:
        return Target(parse_hostname(host))
    if not _names_host(host) or not path:
        host, path = DOCKER_HUB, rest
    registry = parse_hostname(host)
    image = _image(path)
    if registry.hostname == DOCKER_HUB and "/" not in image.repository:
        image = Image(f"library/{image.repository}", image.reference)
    return Target(registry, image)


def _names_host(text: str) -> bool:
    """Docker's own rule for the first part of an image's name; `app:tag` alone is an image, `host:5000` none."""
    name, colon, port = text.partition(":")
    return "." in name or name.lower() == "localhost" or text.startswith("[") or (bool(colon) and port.isdigit())


def _is_version(text: str) -> bool:
    """Whether it is as `nginx:1` and `postgres:16`; no registry listens below 80, whereas `host:5000` is one."""
    name, _, port = text.partition(":")
    return "." not in name and name.lower() != "localhost" and port.isdigit() and int(port[:6]) < _LOWEST_PORT


def _image(path: str) -> Image:
    repository, at, digest = path.partition("@")
    tag = "latest"
    if ":" in repository:
        repository, _, tag = repository.rpartition(":")
    reference = digest if at else tag
    if len(repository) > _LONGEST or not _REPOSITORY.fullmatch(repository):
        raise HostnameError("not the name of an image: a repository is in lower case, such as host/org/name:tag")
    if not (_DIGEST if at else _TAG).fullmatch(reference):
        raise HostnameError("not the name of an image: after the name comes :tag or @sha256:…")
    return Image(repository, reference)
