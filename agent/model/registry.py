"""Registry host names: what people type, which key Docker uses for the login, and which hosts belong to ECR."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final

DOCKER_HUB: Final = "docker.io"
_HUB_ALIASES: Final = frozenset(
    {DOCKER_HUB, "index.docker.io", "registry-1.docker.io", "hub.docker.com", "app.docker.com", "docker.com"}
)
# The only key under which Docker looks up the login for Docker Hub (docker/cli, registry/config.go: IndexServer).
_HUB_KEY: Final = "https://index.docker.io/v1/"
_HUB_API: Final = "registry-1.docker.io"
_HTTPS: Final = 443
_LABEL: Final = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# `https:/` with one slash is a common typo. Without this pattern, the host would be `https`.
_SCHEME: Final = re.compile(r"https?:/+|(?:[a-z][a-z0-9+.-]*:)?//")
_BRACKETED: Final = re.compile(r"(\[[0-9a-f:.]*\])(?::(.*))?")
# Host names of the ECR data plane, from the endpoint tables of amazon-ecr-credential-helper
# (api/client.go), anchored at both ends.
_ECR: Final = re.compile(
    r"[0-9]{12}\.dkr(?:"
    r"\.ecr(?:-fips)?\.(?P<region>[a-z0-9][a-z0-9-]*)\.(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|"
    r"c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
    r"|-ecr(?:-fips)?\.(?P<region_dual>[a-z0-9][a-z0-9-]*)\.on\.(?:aws|amazonwebservices\.com\.cn))"
)
_ECR_PUBLIC: Final = frozenset({"public.ecr.aws", "ecr-public.aws.com"})
# Artifact Registry, its regional endpoints, gcr.io, and the sovereign cloud of S3NS. Its registries for npm or Python
# packages have other names.
_GOOGLE: Final = re.compile(
    r"(?:[a-z0-9-]+\.)?gcr\.io|[a-z0-9-]+-docker\.pkg\.dev|docker\.[a-z0-9-]+\.rep\.pkg\.dev|docker\.s3nsregistry\.fr"
)
# Login servers, some with a hash after the name, and the regional ones of a registry with several regions.
_AZURE: Final = re.compile(r"[a-z0-9]{5,50}(?:-[a-z0-9]{1,16})?(?:\.[a-z0-9]+\.geo)?\.azurecr\.(?:io|cn|us)")
ECR_PUBLIC_REGION: Final = "us-east-1"


class HostnameError(ValueError):
    """The text is not a registry host name that Docker can use. The message gives the reason."""


@dataclass(frozen=True, slots=True)
class EcrHost:
    """What an ECR host name shows: the region that issues the registry's tokens, and whether it is ECR Public."""

    region: str
    public: bool


@dataclass(frozen=True, slots=True)
class Registry:
    """One registry, by its canonical name: in lower case, without scheme and path, with the port if there is one."""

    hostname: str

    @property
    def docker_key(self) -> str:
        """The key under which Docker looks up this registry's login, and the argument for `docker login`."""
        return _HUB_KEY if self.hostname == DOCKER_HUB else self.hostname

    @property
    def api_host(self) -> str:
        """The host and port that serve `/v2/` for this registry."""
        return _HUB_API if self.hostname == DOCKER_HUB else self.hostname

    @property
    def host(self) -> str:
        """The API's host name without its port."""
        return _split_port(self.api_host)[0].strip("[]")

    @property
    def port(self) -> int | None:
        port = _split_port(self.api_host)[1]
        return int(port) if port else None

    @property
    def in_images(self) -> bool:
        """Whether an image can begin with this name. Docker takes `harbor/team/app` for an image of Docker Hub."""
        return self.hostname == "localhost" or re.search("[.:]", self.hostname) is not None

    @property
    def other_name(self) -> "Registry | None":
        """The name that images of this registry usually have, if Docker compares them with another name than this."""
        if not self.in_images:
            return Registry(f"{self.hostname}:{_HTTPS}")
        short = Registry(self.hostname.removesuffix(f":{_HTTPS}"))
        return short if short != self and self.port == _HTTPS and short.in_images else None

    @property
    def ecr(self) -> EcrHost | None:
        host = self.host
        if host in _ECR_PUBLIC:
            return EcrHost(ECR_PUBLIC_REGION, public=True)
        match = _ECR.fullmatch(host)
        if match is None:
            return None
        return EcrHost(match["region"] or match["region_dual"], public=False)

    @property
    def is_google(self) -> bool:
        return _GOOGLE.fullmatch(self.host) is not None

    @property
    def is_azure(self) -> bool:
        return _AZURE.fullmatch(self.host) is not None

    @property
    def is_public(self) -> bool:
        """Whether everybody may pull from all of it. Many programs do not try to if a helper fails."""
        return self.ecr is not None and self.ecr.public

    def __str__(self) -> str:
        return self.hostname


def parse_hostname(text: str) -> Registry:
    """Parse a registry as people type it, or raise a HostnameError.

    Removes surrounding spaces, a scheme, a path and one trailing dot. Converts to lower case and keeps a port. All
    common names of Docker Hub become `docker.io`.
    """
    rest = text.strip().lower()
    scheme = _SCHEME.match(rest)
    if scheme:
        rest = rest[scheme.end() :]
    rest = re.split(r"[/?#]", rest, maxsplit=1)[0].strip()
    if not rest:
        raise HostnameError("hostname is empty")
    if "@" in rest:
        raise HostnameError("hostname contains a user name; put it into the field username")
    host, port = _split_port(rest)
    # A trailing dot marks a fully qualified name. It does not make it another registry.
    host = host.removesuffix(".")
    _check(host, port)
    # 443 is the default port, so docker.io:443 is Docker Hub too.
    if host in _HUB_ALIASES and int(port or _HTTPS) == _HTTPS:
        return Registry(DOCKER_HUB)
    # Without leading zeros: 0443 is the same port.
    return Registry(f"{host}:{int(port)}" if port else host)


def registry_named(text: str) -> Registry | None:
    try:
        return parse_hostname(text)
    except HostnameError:
        return None


def _split_port(text: str) -> tuple[str, str]:
    bracketed = _BRACKETED.fullmatch(text)
    if bracketed:
        return bracketed[1], bracketed[2] or ""
    host, _, port = text.partition(":")
    return host, port


def _check(host: str, port: str) -> None:
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except AddressValueError:
            raise HostnameError("hostname has brackets, but no IPv6 address in them") from None
    elif len(host) > 253 or not _HOST.fullmatch(host):  # noqa: PLR2004 - the DNS's own limit
        raise HostnameError("hostname is not a host name: use letters, digits, dots and hyphens, and optionally a port")
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65535):  # noqa: PLR2004 - TCP's own limits
        raise HostnameError("hostname has a port that is not a number from 1 to 65535")
