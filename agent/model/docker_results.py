"""What a `docker login`, and the agent's own request to the same registry, returned."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from agent.model.text import printable

_EXPIRED: Final = "authorization token has expired"
_REGISTRY_WORDS: Final = re.compile(
    r'(?:(?:Get|Head|Post) "?https?://[^"\s]+"?: )*(?:errors: *)?'
    r"(?:unauthorized|denied|forbidden|toomanyrequests|unknown|unsupported): (.+)$",
    re.IGNORECASE,
)
# They only repeat what the status shows already.
_EMPTY_WORDS: Final = frozenset(
    {
        *("unauthorized", "denied", "forbidden", "access denied", "authentication required", "not authorized"),
        *("incorrect username or password", "too many requests"),
    }
)
_WORDS: Final = 200


@dataclass(frozen=True, slots=True)
class CliResult:
    """How `docker login` ended: its exit code (negative: the signal that killed it), its output, what it saved.

    `cli` is the program behind it: docker, or podman under either name.
    """

    returncode: int
    stderr: bytes
    entry: Mapping[str, Any] | None = None
    cli: str = "docker"


class Fault(StrEnum):
    """Why there is no usable answer from a registry."""

    DNS = "dns"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TIMEOUT = "timeout"
    NONSENSE = "nonsense"
    """There was an answer, but it was not HTTP, or did not contain the requested token."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of the agent's own request to `/v2/`.

    It is a `fault` with its `detail`, or an answer. Then `detail` is the beginning of the body, made printable, and
    `registry` is whether the answer looks like a registry's. `server_time` is its Date header, `seen_at` our own time.
    """

    seen_at: datetime
    fault: Fault | None = None
    detail: str = ""
    status: int | None = None
    registry: bool = True
    retry_after: timedelta | None = None
    server_time: datetime | None = None
    refused: bool = False
    """Whether this is a 401 to a request that carried the user name and the password."""
    tls: bool = False
    """Whether the answer came over TLS."""
    token_server: str = ""
    """The host that answered, if it is the token server that the registry names."""

    @property
    def token_expired(self) -> bool:
        """Whether ECR reports that the token has expired (403 with this text)."""
        return _EXPIRED in self.detail.lower()


# Stands for a request that was not sent, or has not ended in time.
NO_ANSWER: Final = ProbeResult(datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class CliOutput:
    """What the docker CLI printed: a `fault`, a `status` from the registry, or neither if it is not understood.

    `local` is whether something on this machine failed, such as a file: then the registry is not the cause.
    """

    text: str
    fault: Fault | None = None
    status: int | None = None
    local: bool = False

    @property
    def registry_words(self) -> str:
        """The registry's own text about its refusal, such as what to do. Empty if it only repeats the status."""
        found = _REGISTRY_WORDS.match(self.text) if self.status is not None else None
        words = found[1].strip() if found else ""
        return "" if words.lower().rstrip(".") in _EMPTY_WORDS else printable(words, _WORDS)

    @property
    def about_network(self) -> bool:
        """Whether the output is about a request. If it is not understood, the agent's own result then replaces it."""
        return self.fault is not None or "://" in self.text or "dial " in self.text
