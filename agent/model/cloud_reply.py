"""One answer of a cloud's HTTP API, as a value that decisions can be made from. Nothing in it is trusted."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from agent.model.jwt import moment
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
        text: the body, printable and cut.
        retry_after: how long the server asks to wait.
        server_time: the Date header.
        flavor: the header `Metadata-Flavor`.
        challenge: the header `WWW-Authenticate`.
        scrub: masks the secrets in what is shown of the answer.
    """

    action: str
    status: int
    seen_at: datetime
    fields: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
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
        return value if isinstance(value, str) and value.isascii() and value.isprintable() and value else None

    def secret(self, name: str) -> Sensitive | None:
        value = self.string(name)
        return None if value is None else Sensitive(value)

    @property
    def reason(self) -> str:
        """The server's own words in parentheses: of OAuth, of an API, or of a registry. Empty if there are none."""
        error, errors = self.fields.get("error"), self.fields.get("errors")
        first = errors[0] if isinstance(errors, list) and errors else error
        return self.words(first.get("message") if isinstance(first, dict) else self.fields.get("error_description"))

    def words(self, value: object) -> str:
        """Return a text of the answer for a message, in parentheses. Empty if it is no text."""
        return f" ({printable(self.scrub(value), _SHOWN)})" if isinstance(value, str) and value else ""

    def ends_in(self, name: str = "expires_in") -> datetime | None:
        """Return the end from a number of seconds. Some servers write it as a string."""
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            return None
        try:
            seconds = float(value)
        except ValueError:
            return None
        # NaN is not in this range either.
        return self.seen_at + timedelta(seconds=seconds) if 0 < seconds < _LONGEST_LIFE_S else None

    def ends_at(self, name: str) -> datetime | None:
        """Return the end from epoch seconds or from a time in RFC 3339."""
        value = self.fields.get(name)
        found = moment(value)
        if found is not None or not isinstance(value, str):
            return found
        try:
            parsed = datetime.fromisoformat(value)
        except ValueError:
            return None
        return parsed if parsed.tzinfo else None


def fields_of(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in a body. Empty if there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
