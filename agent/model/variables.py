"""Which environment variables count as set, and what those about the terminal mean."""

import re
from collections.abc import Mapping, MutableMapping
from typing import Final

# Not REGISTRY_AGENT_*: there an empty value may be the setting, such as `status.listen`.
_EMPTY_IS_UNSET: Final = re.compile(
    r"(?:AWS|AZURE|DOCKER|GOOGLE|CLOUDSDK)_\w+|(?:HTTPS?|ALL|NO)_PROXY|SSL_CERT_(?:FILE|DIR)|(?:REQUESTS|CURL)_CA_BUNDLE",
    re.IGNORECASE,
)


def is_set(name: str, value: str) -> bool:
    """Return whether a variable has a value. Dev containers and compose files set missing ones to the empty text."""
    return bool(value.strip()) or _EMPTY_IS_UNSET.fullmatch(name) is None


def drop_empty(environ: MutableMapping[str, str]) -> None:
    """Remove the variables that are set and empty.

    The AWS SDK looks for a profile without a name if AWS_PROFILE is empty, and OpenSSL trusts nothing if SSL_CERT_FILE
    is.
    """
    for name in [name for name, value in environ.items() if not is_set(name, value)]:
        del environ[name]


def obeys_escapes(environ: Mapping[str, str]) -> bool:
    """Return whether the terminal can move its cursor and change its colours. The shell in Emacs cannot."""
    return environ.get("TERM") != "dumb"


def wants_colours(environ: Mapping[str, str]) -> bool:
    return obeys_escapes(environ) and not environ.get("NO_COLOR")
