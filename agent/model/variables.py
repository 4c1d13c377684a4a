"""Which environment variables count as set."""

import re
from collections.abc import MutableMapping
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
