"""Masks known secrets in every text, in all forms in which they can appear. This is the last line of defense."""

import re
from collections import ChainMap, deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import chain
from typing import Final
from urllib.parse import unquote

from agent.model.secret import RUNNER_NATIVE
from agent.model.sensitive import Sensitive
from agent.observe.decoding import levels
from agent.observe.forms import Forms, forms_of, is_ordinary
from agent.observe.secret_index import SecretIndex
from agent.settings import Settings

MASK: Final = "[redacted]"
_NOT_SECRET: Final = frozenset({"", RUNNER_NATIVE, "redacted", MASK})
_SHOWN: Final = 8192
"""No displayed text is longer. A hostile source could return endless keys, so learned secrets are cut here."""
_VARIABLES: Final = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    "IDENTITY_HEADER",  # Azure App Service
)
_NAMES_A_FILE: Final = re.compile(r"(?:_FILE|_CREDENTIALS|_CONFIG)$", re.IGNORECASE)
_LONGEST_NAME: Final = 16
"""A longer value of such a variable is taken for a secret unless it begins like a path."""
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}://", re.IGNORECASE)
_URL_DELIMITER: Final = re.compile(r"[@:/?#]")
_SHORTEST_PART: Final = 3
_NEWEST: Final = 64
"""So many secrets are indexed anew for each new one. Each index slows down every search."""
_asked: Final[ContextVar[set[str]]] = ContextVar("asked")
"""What the source that is being asked has given so far."""


class Scrubber:
    """Masks the known secrets of all owners, escaped and encoded too."""

    def __init__(self) -> None:
        self._forms: Final[dict[str, dict[str, Forms]]] = {}
        # One index for each owner, replaced as a whole: another thread may be scrubbing a text meanwhile.
        self._all: Final[dict[str, SecretIndex]] = {}
        self._unmistakable: Final[dict[str, SecretIndex]] = {}

    def protect(self, values: Iterable[str], owner: str = "secrets") -> None:
        """Replace the known secrets of `owner`. Values that are not secret (`runner-native`) are left out.

        For very many secrets this takes a while, and may run in a thread.
        """
        # Values that stay, or that another owner has, keep their forms, because computing them is expensive.
        former = ChainMap(*[*self._forms.values()])
        forms = {value: former.get(value) or forms_of(value) for value in frozenset(values) - _NOT_SECRET}
        unmistakable = [form for value, form in forms.items() if not is_ordinary(value)]
        self._forms[owner] = forms
        self._all[owner] = SecretIndex(forms.values())
        self._unmistakable[owner] = self._all[owner] if len(unmistakable) == len(forms) else SecretIndex(unmistakable)

    def scrub(self, text: str) -> str:
        """Return a text from outside with every known secret masked, even one that was cut off."""
        return _mask(text, [*self._all.values()])

    def scrub_own(self, text: str) -> str:
        """Return a text of the agent with the known secrets masked, except those that its own words contain by chance.

        Text from outside in it has to be scrubbed before.
        """
        return _mask(text, [*self._unmistakable.values()])


def _mask(text: str, indexes: Sequence[SecretIndex]) -> str:
    spans = {
        level.span(*found)
        for level in (levels(text) if indexes else ())
        for index in indexes
        for found in index.spans(level)
    }
    pieces: list[str] = []
    masked = -1
    for start, end in sorted(spans):
        # Spans that overlap get one mask. Otherwise, the rest of a secret behind another one would stay.
        if start > masked:
            pieces += [text[max(masked, 0) : start], MASK]
        masked = max(masked, end)
    return "".join([*pieces, text[max(masked, 0) :]])


@dataclass(frozen=True, slots=True)
class _Rounds:
    """What was learned while a source gave its last two tokens, and in its last two attempts."""

    given: deque[set[str]] = field(default_factory=lambda: deque(maxlen=2))
    tried: deque[set[str]] = field(default_factory=lambda: deque(maxlen=2))

    @property
    def all(self) -> Iterator[set[str]]:
        return chain(self.given, self.tried)


class LearnedSecrets:
    """Adds secrets that appear at run time to a scrubber, each before its first use.

    The agent still uses the last token of each source, and a message may repeat the secrets of the one before. So
    what was learned for the last two tokens of a source is kept, and in the last two attempts to get one.
    """

    def __init__(self, scrubber: Scrubber) -> None:
        self._scrubber: Final = scrubber
        self._always: Final[set[str]] = set()
        self._sources: Final[dict[Hashable, _Rounds]] = {}
        self._planned: frozenset[Hashable] = frozenset()
        self._indexed: set[str] = set()
        self._newest: Final[set[str]] = set()

    def __call__(self, secret: Sensitive) -> None:
        """Mask the secret as long as the source that is being asked keeps it; always if no source is being asked."""
        value = secret.reveal()[:_SHOWN]  # the beginning is enough to recognize a cut secret
        _asked.get(self._always).add(value)
        if value not in self._indexed and value not in self._newest:
            self._add(value)

    @contextmanager
    def asking(self, source: Hashable) -> Iterator[None]:
        """Keep what is learned meanwhile, also in tasks that start meanwhile, as secrets of `source`."""
        rounds, learned = self._sources.setdefault(source, _Rounds()), set[str]()
        rounds.tried.append(learned)
        before = _asked.set(learned)
        try:
            yield
        finally:
            _asked.reset(before)
        rounds.given.append(learned)

    def of(self, source: Hashable, secret: Sensitive) -> None:
        """Mask a secret that `source` has given."""
        with self.asking(source):
            self(secret)

    def retain(self, sources: Iterable[Hashable]) -> None:
        """Forget the secrets of all sources that are neither in `sources` nor were at the last call.

        A login with a source that was just removed may still be running.
        """
        planned = frozenset(sources)
        gone = self._sources.keys() - planned - self._planned
        for source in gone:
            del self._sources[source]
        self._planned = planned
        if gone:
            self._index_all()

    def _add(self, value: str) -> None:
        self._newest.add(value)
        # Among very many, a new one gets into a small index, and the large one is built again now and then.
        if len(self._indexed) > _NEWEST >= len(self._newest):
            self._scrubber.protect(self._newest, owner="learned.newest")
        else:
            self._index_all()

    def _index_all(self) -> None:
        """Index all secrets that are kept, and forget the others."""
        self._indexed = self._always.union(*(each for rounds in self._sources.values() for each in rounds.all))
        self._newest.clear()
        self._scrubber.protect(self._indexed, owner="learned")
        self._scrubber.protect((), owner="learned.newest")


def secrets_of_environment(environ: Mapping[str, str]) -> list[str]:
    """Return the secrets in the process's environment.

    These are credentials of clouds, passwords in URLs, and what somebody put where the path of a file belongs.
    """
    found = [environ.get(name, "") for name in _VARIABLES]
    for name, value in environ.items():
        if name.lower().endswith("_proxy") or _SCHEME.match(value):
            found += url_passwords(value)
        elif _NAMES_A_FILE.search(name) and _is_no_path(value):
            # On one line: a line of its own, such as the name of a section, would be masked everywhere.
            line = " ".join(value.split())
            # A message may show only the name of the supposed file.
            found += [line, *(end for end in [line.rpartition("/")[2]] if len(end) > _LONGEST_NAME)]
    return found


def secrets_of_settings(settings: Settings) -> list[str]:
    """Return the passwords in URLs of the settings."""
    return [each for url in (settings.secrets.url, settings.report.url) if url for each in url_passwords(url)]


def _is_no_path(value: str) -> bool:
    """Whether the value cannot be the path of a file, and so may be what the file should contain."""
    return "\n" in value or "{" in value or (len(value) > _LONGEST_NAME and value[0] not in "/~.$")


def url_passwords(url: str) -> Iterator[str]:
    """Return the password in a URL, also one that should be percent-encoded and is not.

    Programs split such a URL at different places, and show a part of the password as the host. So its parts are
    secrets too.
    """
    scheme = _SCHEME.match(url)
    user_info = url[scheme.end() if scheme else 0 :].rpartition("@")[0]
    password = user_info.partition(":")[2]
    if not password:
        return
    yield password
    yield unquote(password)
    yield from (part for part in _URL_DELIMITER.split(password) if len(part) >= _SHORTEST_PART)
