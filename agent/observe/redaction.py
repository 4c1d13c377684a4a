"""Masks known secrets in every line, in all encodings in which they can appear. This is the last line of defense."""

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
"""A shorter secret is masked only as a separate word. Otherwise, parts of many ordinary words would be masked."""
_SHORTEST_CUT: Final = 4
_SHOWN: Final = 8192
"""No displayed text is longer. A hostile source could return endless keys, so learned secrets are cut here."""
_LONG_TEXT: Final = 16 << 10
"""In texts from this length on, each form is searched separately. Looking up each position would cost more there."""
_CUT: Final = "…"
_AWS_SECRETS: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")


@dataclass(frozen=True, slots=True)
class _Known:
    """All forms of the known secrets. It is replaced as a whole: another thread may be scrubbing a text meanwhile."""

    forms: tuple[str, ...] = ()
    """Sorted, without the short forms."""
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
        """Return the forms in `text`.

        Looks them up by their first characters, so the cost does not grow with the number of secrets.
        """
        if len(text) > _LONG_TEXT:
            return {form for form in self.forms if form in text}
        begins = {text[start : start + _SHORT] for start in range(len(text) - _SHORT + 1)}
        return {
            form for begin in begins & self.by_beginning.keys() for form in self.by_beginning[begin] if form in text
        }


class Scrubber:
    """Masks the known secrets of all owners: raw, JSON-escaped, HTML-escaped, URL-encoded and in base64."""

    def __init__(self) -> None:
        self._values: dict[str, frozenset[str]] = {}
        self._forms_of: dict[str, frozenset[str]] = {}
        self._known = _Known()

    def protect(self, values: Iterable[str], owner: str = "secrets") -> None:
        """Replace the known secrets of `owner`. Values that are not secret (`runner-native`) are left out."""
        self._values = {**self._values, owner: frozenset(values) - {"", RUNNER_NATIVE}}
        known = frozenset().union(*self._values.values())
        # Values that stay keep their forms, because computing them is expensive.
        self._forms_of = {value: self._forms_of.get(value) or frozenset(_forms(value)) for value in known}
        self._known = _Known.of({form for these in self._forms_of.values() for form in these})

    def scrub(self, text: str) -> str:
        """Return `text` with every known secret masked, even one that was cut off with `…`."""
        known = self._known
        # The longest first, because one secret may contain another.
        for form in sorted(known.found(text), key=len, reverse=True):
            text = text.replace(form, MASK)
        if known.short is not None:
            text = known.short.sub(MASK, text)
        return _scrub_cut(text, known) if _CUT in text else text


def _scrub_cut(text: str, known: _Known) -> str:
    *heads, tail = text.split(_CUT)
    return _CUT.join([*(_scrub_end(head, known) for head in heads), tail])


def _scrub_end(text: str, known: _Known) -> str:
    """Mask the beginning of a secret at the end of `text`."""
    for length in range(min(len(text), known.longest), _SHORTEST_CUT - 1, -1):
        piece = text[-length:]
        index = bisect_left(known.forms, piece)
        if index < len(known.forms) and known.forms[index].startswith(piece):
            return text[:-length] + MASK
    return text


class LearnedSecrets:
    """Adds secrets that appear at run time to a scrubber, each before its first use. Keeps the `most` newest."""

    def __init__(self, scrubber: Scrubber, owner: str, most: int) -> None:
        self._scrubber: Final = scrubber
        self._owner: Final = owner
        self._most: Final = most
        self._values: dict[str, None] = {}

    def __call__(self, secret: Sensitive) -> None:
        value = secret.reveal()[:_SHOWN]  # the beginning is enough to recognize a cut secret
        known = value in self._values
        self._values.pop(value, None)
        self._values[value] = None  # a dict keeps the order of insertion: the last is the newest
        if not known:
            self._values = dict.fromkeys([*self._values][-self._most :])
            self._scrubber.protect(self._values, owner=self._owner)


def secrets_of_environment(environ: Mapping[str, str]) -> list[str]:
    """Return the secrets in the process's environment: AWS credentials and proxy passwords."""
    found = [environ.get(name, "") for name in _AWS_SECRETS]
    for name, value in environ.items():
        if name.lower().endswith("_proxy"):
            try:
                found.append(unquote(urlsplit(value).password or ""))
            except ValueError:  # not a valid URL
                continue
    return found


def _forms(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "surrogatepass")
    yield value
    yield CONTROL.sub(" ", value)  # as `printable` shows it in a message
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield html.escape(value)
    for encoded in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield encoded
        # Some programs write %2f instead of %2F.
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    yield from _base64_forms(raw)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Return how `raw` looks inside a base64 text, such as that of `user:password`: one form for each alignment."""
    # Base64 encodes three bytes at a time, so the secret can begin at three different offsets.
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw).decode()
        # The first and the last character may also encode bits of the neighbors, so they differ from text to text.
        start = (shift * 8 + 5) // 6
        end = (shift + len(raw)) * 8 // 6
        if end - start >= _SHORT:
            yield encoded[start:end]
            # The URL-safe alphabet
            yield encoded[start:end].replace("+", "-").replace("/", "_")
