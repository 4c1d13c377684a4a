"""One config.json of the corpus, and what most of them contain."""

import base64
import json
from dataclasses import dataclass
from typing import Any, Final

HOST: Final = "registry.example:5000"
HELPER: Final = "stub"
"""The credential helper of the tests. It has a login for every server."""


@dataclass(frozen=True, slots=True)
class File:
    """The content of one config.json. `name` says what is special about it."""

    name: str
    data: bytes
    since: tuple[int, ...] = ()
    """Older versions of docker read it differently, and the agent does not follow them."""


def encoded(text: str | bytes) -> str:
    data = text if isinstance(text, bytes) else text.encode()
    return base64.b64encode(data).decode()


AUTH: Final = encoded("ada:s3cret")
LOGIN: Final = {"auth": AUTH}


def file(name: str, document: Any) -> File:
    return File(name, json.dumps(document).encode())
