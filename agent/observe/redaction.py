"""Masks known secrets in every text, in all forms in which they can appear. This is the last line of defense."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import unquote

from agent.model.secret import RUNNER_NATIVE
from agent.model.sensitive import Sensitive
from agent.observe.decoding import levels
from agent.observe.forms import Forms, forms_of, is_ordinary
from agent.observe.secret_index import SecretIndex

MASK: Final = "[redacted]"
_NOT_SECRET: Final = frozenset({"", RUNNER_NATIVE, "redacted", MASK})
_SHOWN: Final = 8192
"""No displayed text is longer. A hostile source could return endless keys, so learned secrets are cut here."""
_VARIABLES: Final = (
    *("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"),
    "IDENTITY_HEADER",  # Azure App Service
)
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]{0,30}://", re.IGNORECASE)
_URL_DELIMITER: Final = re.compile(r"[@:/?#]")
_SHORTEST_PART: Final = 3


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
        former = self._forms.get(owner, {})
        # Values that stay keep their forms, because computing them is expensive.
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
    """Return the secrets in the process's environment: credentials of clouds, and proxy passwords."""
    found = [environ.get(name, "") for name in _VARIABLES]
    for name, value in environ.items():
        if name.lower().endswith("_proxy"):
            found += url_passwords(value)
    return found


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
