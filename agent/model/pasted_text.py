"""Finds the JSON in what people paste: in quotes, encoded twice, in base64. Names what it cannot be."""

import json
import re
from typing import Any, Final

from agent.model.document_text import DocumentError, NotJsonError, parse_json, text_of
from agent.model.encoded_login import ECR_USER, decoded, login_of
from agent.model.leftovers import PLACEHOLDER, leftover
from agent.model.secret_manifest import is_yaml_manifest, parse_yaml
from agent.model.text import trimmed

_MOST_LAYERS: Final = 4
_QUOTES: Final = ("''", '""', "``", "“”")
# JSON that was encoded twice, without the quotes around it.
_ESCAPED: Final = re.compile(r'[\[{\s]+\\"')
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}")
_AS_JSON: Final = "write a JSON object with name, hostname, username and password instead"
_TEXT: Final = "is plain text, not JSON"
ELSEWHERE: Final = "if it is not for a registry, move it to another directory"
_INSTEAD: Final = "replace it with the secret: a JSON object with name, hostname, username and password"
_PATH: Final = "add the directory of that file to secrets.directories, or put the file's content here"
# What the beginning of a text shows: what it is, and the fix.
_KNOWN: Final = (
    (r"-----BEGIN ", "is a certificate or a key (PEM), not a registry secret", ELSEWHERE),
    (r"<", "is an HTML or XML page, not JSON", "replace it with the secret: a download may have failed"),
    (r"(?:\$ )?(?:docker|podman) login\b", "is a login command, not JSON", _AS_JSON),
    (r"(?m)\[[\w .-]+\]\s*$", "is an INI file, such as AWS's credentials, not JSON", _AS_JSON),
    (r"(?:export\s+)?[A-Za-z_]\w*=(?!=?\s*\Z)", "is a list of variables, not JSON", _AS_JSON),
    (r"[A-Za-z_][\w.-]*:(?:\s|$)", "is YAML, not JSON", _AS_JSON),
    (r"~?(?:/[\w.-]+)+\.[A-Za-z]+\Z", "is a path, not JSON", _PATH),
)


def decode(text: str, layers: int = _MOST_LAYERS) -> Any:
    """Decode JSON as people paste it, or a Secret manifest in YAML. A DocumentError says what it is instead.

    `layers` is how many layers of quotes or base64 may be around the document.
    """
    text = trimmed(text)
    try:
        value = parse_json(text)
    except NotJsonError as error:
        if is_yaml_manifest(text):
            return parse_yaml(text)
        inner = _unwrapped(text, layers)
        if inner is None:
            raise _named(text, error) from None
        return decode(inner, layers - 1)
    # A string in JSON may also be just a password.
    if isinstance(value, str) and layers and _is_document(value.strip(), layers - 1):
        return decode(value, layers - 1)
    return value


def _unwrapped(text: str, layers: int) -> str | None:
    """Return the document inside quotes, backslashes or base64."""
    if not layers:
        return None
    if _ESCAPED.match(text):
        return _unescaped(text)
    if len(text) > 2 and text[0] + text[-1] in _QUOTES:  # noqa: PLR2004 - two quotes, and something between them
        inner = text[1:-1].strip()
        return inner if _is_document(inner, layers - 1) else None
    if not _BASE64.fullmatch("".join(text.split())):
        return None
    try:
        inner = text_of(decoded(text)).strip()
    except ValueError:
        return None
    return inner if _is_document(inner, layers - 1) else None


def _is_document(text: str, layers: int) -> bool:
    """Whether this is a document, or at most so many layers around one."""
    return text.startswith(("{", "[")) or is_yaml_manifest(text) or _unwrapped(text, layers) is not None


def _unescaped(text: str) -> str:
    """Undo the encoding as a JSON string, or what a person escaped for a shell: only the quotes."""
    try:
        inner = str(json.loads(f'"{text}"', strict=False))
        parse_json(inner)
    except ValueError:
        return text.replace('\\"', '"')
    return inner


def _named(text: str, error: DocumentError) -> DocumentError:
    """Say what the text is instead of JSON, if its beginning or its form shows this."""
    if leftover(text) == PLACEHOLDER:
        return DocumentError(f"is {PLACEHOLDER}, not JSON", _INSTEAD)
    for pattern, fault, hint in _KNOWN:
        if re.match(pattern, text):
            return DocumentError(fault, hint)
    if re.search("[“”„]", text[:1000]) and text.startswith(("{", "[")):
        return DocumentError(f"{error}: it contains typographic quotes", 'replace all of them with straight quotes (")')
    if text[0] in '{["':
        return error
    return DocumentError(*(_single(text) if len(text.split()) == 1 else (_TEXT, f"{_AS_JSON}; {ELSEWHERE}")))


def _single(text: str) -> tuple[str, str]:
    try:
        user, _ = login_of(text)
    except ValueError:
        return "is a single value, such as a password or token, not JSON", f"{_AS_JSON}; {ELSEWHERE}"
    if user == ECR_USER:
        return (
            "is an ECR authorization token, without the registry that it is for",
            "put it into the field password of a JSON secret, with the registry as hostname and the user name AWS",
        )
    return (
        "is the base64 of a user name and a password, without the registry that they are for",
        "write a Docker file instead: this text is the auth of a registry under auths",
    )
