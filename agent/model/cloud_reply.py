"""One answer of a cloud's HTTP API, as a value that decisions can be made from. Nothing in it is trusted."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from agent.model.outside_values import from_epoch, from_rfc3339, number
from agent.model.sensitive import Sensitive
from agent.model.text import printable

_SHOWN: Final = 200
# A machine can have thirty access scopes, each a URL.
LONGEST_TEXT: Final = 4000
_LONGEST_LIFE_S: Final = 10 * 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class CloudReply:
    """The answer to a request.

    Attributes:
        action: the request, for messages, such as "sts.googleapis.com".
        status: of HTTP.
        seen_at: the time of our clock.
        fields: the JSON object in the body. Empty if the body is anything else.
        text: the body, printable, cut and without the secrets of the request.
        retry_after: how long the server asks to wait.
        server_time: the Date header.
        flavor: the header `Metadata-Flavor`.
        secrets: what was sent with the request. The answer may repeat it, and no message may show it.
    """

    action: str
    status: int
    seen_at: datetime
    fields: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    retry_after: timedelta | None = None
    server_time: datetime | None = None
    flavor: str = ""
    secrets: tuple[Sensitive, ...] = ()

    @property
    def ok(self) -> bool:
        return self.status == 200  # noqa: PLR2004 - HTTP's own number

    def string(self, name: str) -> str | None:
        """Return a field that must be a text without control characters."""
        value = self.fields.get(name)
        return value if isinstance(value, str) and value.isascii() and value.isprintable() and value else None

    def secret(self, name: str) -> Sensitive | None:
        value = self.string(name)
        return None if value is None else Sensitive(value)

    def words(self, value: object) -> str:
        """Return a text of the answer for a message, in parentheses. Empty if it is no text."""
        return f" ({clean(value, self.secrets)})" if isinstance(value, str) and value else ""

    def ends_in(self, name: str = "expires_in") -> datetime | None:
        """Return the end from a number of seconds."""
        seconds = number(self.fields.get(name)) or 0
        return self.seen_at + timedelta(seconds=seconds) if 0 < seconds < _LONGEST_LIFE_S else None

    def ends_at(self, name: str) -> datetime | None:
        """Return the end from epoch seconds or from a time in RFC 3339."""
        value = self.fields.get(name)
        return from_epoch(value) or from_rfc3339(value)


def fields_of(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in a body. Empty if there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def clean(text: str, secrets: Iterable[Sensitive], limit: int = _SHOWN) -> str:
    """Mask the secrets of a request in a text from outside, and make it printable."""
    for secret in secrets:
        if secret:
            text = text.replace(secret.reveal(), "***")
    return printable(text, limit)
