"""The protocol of kubelet's credential providers (KEP 2133): the request, and the login in a response."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

from agent.model.registry import Registry

KIND: Final = "CredentialProviderResponse"
_VERSION: Final = "credentialprovider.kubelet.k8s.io/v1"
_SCHEME: Final = re.compile(r"https?://")
_UNITS_S: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = r"([0-9]+(?:\.[0-9]*)?)(ns|us|µs|ms|s|m|h)"
_DURATION: Final = re.compile(rf"(?:{_PART})+")


def request_for(registry: Registry) -> bytes:
    """Return the line that a provider reads. Programs that do not know the protocol ignore their input."""
    request = {"apiVersion": _VERSION, "kind": "CredentialProviderRequest", "image": f"{registry.hostname}/"}
    return json.dumps(request).encode() + b"\n"


def login_for(response: Mapping[str, Any], registry: Registry) -> Mapping[str, Any] | None:
    """Return the user name and password for a registry. Of several matches, the longest pattern counts."""
    auth = response.get("auth")
    if not isinstance(auth, Mapping):
        return None
    # Providers name Docker Hub by its API's host too, or by Docker's own key.
    names = {_bare(name) for name in (registry.hostname, registry.api_host, registry.docker_key)}
    matching = [pattern for pattern in auth if any(_matches(pattern, name) for name in names)]
    login = auth[max(matching, key=len)] if matching else None
    return login if isinstance(login, Mapping) else None


def _matches(pattern: str, hostname: str) -> bool:
    """Compare each label of the host name, as kubelet does: `*.example.com` does not match `a.b.example.com`."""
    wanted, labels = _bare(pattern).split("."), hostname.split(".")
    return len(wanted) == len(labels) and all(map(fnmatchcase, labels, wanted))


def _bare(name: str) -> str:
    """Remove what kubelet ignores too: the scheme, and the version of the registry's API as the path."""
    return _SCHEME.sub("", name.lower()).rstrip("/").removesuffix("/v1").removesuffix("/v2")


def parse_duration(text: object) -> timedelta | None:
    """Return a duration as Go writes it, such as `1h0m0s`. None for zero, which means "do not keep", and for others."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        return None
    try:
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in re.findall(_PART, text))
        return timedelta(seconds=seconds) or None
    except OverflowError:
        return None
