"""The last wall between a secret and a reader: known secrets are taken out of every line, in the forms they take."""

import base64
import html
import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

from agent.model.secret import RUNNER_NATIVE
from agent.model.sensitive import Sensitive
from agent.model.text import CONTROL

MASK: Final = "[redacted]"
_SHORT: Final = 6
"""Below this length a secret is masked only where it stands alone, or half of all words would go."""
_SHORTEST_CUT: Final = 4
_SHOWN: Final = 8192
"""No text that anybody is shown is longer; who gives keys may be hostile, and give endless ones."""
_LONG_TEXT: Final = 16 << 10
"""From here on each form is searched by itself: to look up every place of a text would cost more than that."""
_CUT: Final = "…"
_AWS_SECRETS: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")


@dataclass(frozen=True, slots=True)
class _Known:
    """All forms of the secrets in use. Taken whole: a text is scrubbed in one thread while another brings a secret."""

    forms: tuple[str, ...] = ()
    """Sorted; without the short ones."""
    by_beginning: Mapping[str, Sequence[str]] = field(default_factory=dict)
    longest: int = 0
    short: re.Pattern[str] | None = None

    @classmethod
    def of(cls, forms: Iterable[str]) -> "_Known":
        short: list[str] = []
        long: list[str] = []
        for form in sorted(forms):
            (short if len(form) < _SHORT else long).append(form)
        by_beginning: dict[str, list[str]] = {}
        for form in long:
            by_beginning.setdefault(form[:_SHORT], []).append(form)
        words = "|".join(map(re.escape, short))
        pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)") if short else None
        return cls(tuple(long), by_beginning, max(map(len, long), default=0), pattern)

    def found(self, text: str) -> set[str]:
        """The forms in `text`, by how each begins: what a look costs does not grow with the number of secrets."""
        if len(text) > _LONG_TEXT:
            return {form for form in self.forms if form in text}
        begins = {text[place : place + _SHORT] for place in range(len(text) - _SHORT + 1)}
        return {
            form for begin in begins & self.by_beginning.keys() for form in self.by_beginning[begin] if form in text
        }


class Scrubber:
    """Knows the secrets in use, by who uses them, and masks them: raw, JSON-escaped, URL-encoded, in base64."""

    def __init__(self) -> None:
        self._values: dict[str, frozenset[str]] = {}
        self._forms_of: dict[str, frozenset[str]] = {}
        self._known = _Known()

    def protect(self, values: Iterable[str], owner: str = "secrets") -> None:
        """Replace the secrets that `owner` uses. What is no secret by itself (`runner-native`) is left out."""
        self._values = {**self._values, owner: frozenset(values) - {"", RUNNER_NATIVE}}
        known = frozenset().union(*self._values.values())
        self._forms_of = {value: self._forms_of.get(value) or frozenset(_forms(value)) for value in known}
        self._known = _Known.of({form for these in self._forms_of.values() for form in these})

    def scrub(self, text: str) -> str:
        """`text` with every known secret masked, also one that was cut off by `…`."""
        known = self._known
        # The longest first: one secret may hold another.
        for form in sorted(known.found(text), key=len, reverse=True):
            text = text.replace(form, MASK)
        if known.short is not None:
            text = known.short.sub(MASK, text)
        return _scrub_cut(text, known) if _CUT in text else text


def _scrub_cut(text: str, known: _Known) -> str:
    *heads, tail = text.split(_CUT)
    return _CUT.join([*(_scrub_end(head, known) for head in heads), tail])


def _scrub_end(text: str, known: _Known) -> str:
    """`text` without the beginning of a secret that it ends with."""
    for length in range(min(len(text), known.longest), _SHORTEST_CUT - 1, -1):
        piece = text[-length:]
        place = bisect_left(known.forms, piece)
        if place < len(known.forms) and known.forms[place].startswith(piece):
            return text[:-length] + MASK
    return text


class LearnedSecrets:
    """Has a scrubber know the secrets that come up while the agent works, each before it is used; the `most` newest."""

    def __init__(self, scrubber: Scrubber, owner: str, most: int) -> None:
        self._scrubber: Final = scrubber
        self._owner: Final = owner
        self._most: Final = most
        self._values: dict[str, None] = {}

    def __call__(self, secret: Sensitive) -> None:
        value = secret.reveal()[:_SHOWN]  # a cut secret is known by its beginning
        known = value in self._values
        self._values.pop(value, None)
        self._values[value] = None  # the last is the newest
        if not known:
            self._values = dict.fromkeys([*self._values][-self._most :])
            self._scrubber.protect(self._values, owner=self._owner)


def secrets_of_environment(environ: Mapping[str, str]) -> list[str]:
    """What is secret in the process's own environment: what AWS knows it by, and passwords of proxies."""
    found = [environ.get(name, "") for name in _AWS_SECRETS]
    for name, value in environ.items():
        if name.lower().endswith("_proxy"):
            try:
                found.append(unquote(urlsplit(value).password or ""))
            except ValueError:
                continue
    return found


def _forms(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "surrogatepass")
    yield value
    yield CONTROL.sub(" ", value)  # as a message has it
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield html.escape(value)
    for encoded in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    yield from _base64_forms(raw)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """How `raw` looks inside any base64 text, such as that of `user:password`: one form for each alignment."""
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw).decode()
        # Characters that also carry bits of a neighbour differ from text to text.
        start = (shift * 8 + 5) // 6
        end = (shift + len(raw)) * 8 // 6
        if end - start >= _SHORT:
            yield encoded[start:end]
            yield encoded[start:end].replace("+", "-").replace("/", "_")
