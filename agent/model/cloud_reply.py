"""One answer of a cloud's HTTP API, as a value that decisions can be made from. Nothing in it is trusted."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from agent.model.outside_values import from_epoch, from_rfc3339, number
from agent.model.sensitive import Sensitive
from agent.model.text import printable

_SHOWN: Final = 200
_REASONS: Final = ("error_description", "message", "ExceptionMessage")
# A machine can have thirty access scopes, each a URL.
LONGEST_TEXT: Final = 4000
_LONGEST_LIFE_S: Final = 10 * 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class CloudReply:
    """The answer to a request, which messages name by `action`, such as "sts.googleapis.com".

    `fields` is the JSON object in the `body`, and `text` the body, printable and cut. `server_time` is the Date header,
    and `seen_at` our clock then. `flavor` is the header `Metadata-Flavor`, `challenge` is `WWW-Authenticate`. `scrub`
    masks the secrets in what is shown of the answer.
    """

    action: str
    status: int
    seen_at: datetime
    fields: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    body: bytes = field(default=b"", repr=False)
    retry_after: timedelta | None = None
    server_time: datetime | None = None
    flavor: str = ""
    challenge: str = ""
    scrub: Callable[[str], str] = str

    @property
    def ok(self) -> bool:
        return self.status == 200  # noqa: PLR2004 - HTTP's own number

    def string(self, name: str) -> str | None:
        """Return a field that must be a text without control characters."""
        value = self.fields.get(name)
        return value if isinstance(value, str) and value and value.isascii() and value.isprintable() else None

    def secret(self, name: str) -> Sensitive | None:
        value = self.string(name)
        return None if value is None else Sensitive(value)

    @property
    def reason(self) -> str:
        """The server's own words in parentheses: of OAuth, of an API, or of a registry. Empty if there are none."""
        error, errors = self.fields.get("error"), self.fields.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else error
        own = next((self.fields[name] for name in _REASONS if self.fields.get(name)), None)
        return self.words(first.get("message") if isinstance(first, dict) else own)

    def words(self, value: object) -> str:
        """Return a text of the answer for a message, in parentheses. Empty if it is no text."""
        return f" ({printable(self.scrub(value), _SHOWN)})" if isinstance(value, str) and value else ""

    def ends_in(self, start: datetime) -> datetime | None:
        """Return the end from `expires_in`, a number of seconds after `start`."""
        seconds = number(self.fields.get("expires_in")) or 0
        return start + timedelta(seconds=seconds) if 0 < seconds < _LONGEST_LIFE_S else None

    def ends_at(self, name: str) -> datetime | None:
        value = self.fields.get(name)
        return from_epoch(value) or from_rfc3339(value)


def fields_of(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in a body. Empty if there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
