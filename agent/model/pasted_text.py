"""Finds the JSON in what people paste: in quotes, encoded twice, in base64. Names what it cannot be."""

import json
import re
from typing import Any, Final

from agent.model.document_text import DocumentError, NotJsonError, parse_json, text_of
from agent.model.encoded_login import ECR_USER, decoded, login_of
from agent.model.leftovers import DECRYPT, ENCRYPTED, PLACEHOLDER, leftover
from agent.model.secret_manifest import is_yaml_manifest, parse_yaml
from agent.model.text import trimmed

_MOST_LAYERS: Final = 4
_QUOTES: Final = ("''", '""', "``", "“”")
# JSON that was encoded twice, without the quotes around it.
_ESCAPED: Final = re.compile(r'[\[{\s]+\\"')
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}")
_AS_JSON: Final = "write a JSON object with name, hostname, username and password instead"
_RUNNER_NATIVE: Final = (
    "write a JSON object with name, the registry as hostname, and the username runner-native instead: the agent then "
    "gets the tokens itself"
)
_INSTEAD: Final = "replace it with the secret: a JSON object with name, hostname, username and password"
_TEXT: Final = "is plain text, not JSON"
ELSEWHERE: Final = "if it is not for a registry, move it to another directory"
_PATH: Final = "add the directory of that file to secrets.directories, or put the file's content here"
# Only the opening line: a pattern that also looks for the closing fence takes quadratic time if there is none.
_FENCE: Final = re.compile(r"```[\w-]*\n")
_FENCE_END: Final = "```"
# What may be in front of a text of any kind: comments, and the marker of a YAML document.
_LEAD: Final = re.compile(r"(?>(?:(?:#|//|---(?=\s))[^\n]*\n|/\*.*?\*/|\s+)+)", re.DOTALL)
_COMMENT: Final = re.compile(r"^[ \t]*(?:#|//|/\*)", re.MULTILINE)
# What may be in front of a command: a prompt, other commands, sudo, and the directory of the program.
_SHELL: Final = r"(?:[^\n]*[$#|;&]\(?[ \t]*)?(?:sudo +)?(?:/[\w./-]*/)?"
# What the beginning of a text shows: what it is, and the fix.
_KNOWN: Final = (
    (r"-----BEGIN (?!PGP MESSAGE|AGE )", "is a certificate or a key (PEM), not a registry secret", ELSEWHERE),
    (
        r"-----BEGIN |\$ANSIBLE_VAULT;|age-encryption\.org/",
        "is encrypted, not JSON",
        "decrypt it, and put the result here",
    ),
    (r"ENC\[[A-Z0-9_]+,", f"is {ENCRYPTED}, not JSON", DECRYPT),
    (r"<(?![^<>]*>\Z)", "is an HTML or XML page, not JSON", "replace it with the secret: a download may have failed"),
    (
        rf"{_SHELL}(?:aws ecr\S* get-|az acr login|gcloud auth )",
        "is a login command of a cloud, not JSON",
        _RUNNER_NATIVE,
    ),
    (
        rf"{_SHELL}kubectl create secret\b",
        "is a kubectl command, not JSON",
        "add `--dry-run=client -o json` to the command, and put what it prints here",
    ),
    (
        rf"{_SHELL}(?:docker|podman|nerdctl|buildah|skopeo|oras|crane auth|helm registry) login\b",
        "is a login command, not JSON",
        _AS_JSON,
    ),
    (r"\[\[?[\w .-]+\]\]?[ \t]*(?:\n|\Z)", "is an INI or TOML file, such as AWS's credentials, not JSON", _AS_JSON),
    (r"(?:export\s+)?[A-Za-z_]\w*=(?!=?\s*\Z)", "is a list of variables, not JSON", _AS_JSON),
    (r"[A-Za-z_][\w.-]* += ", "is TOML, not JSON", _AS_JSON),
    (r"(?:- +)?[A-Za-z_][\w.-]*:(?:\s|$)", "is YAML, not JSON", _AS_JSON),
    (r"(?:machine|default)\s+\S+\s+(?:login|password)\s", "is a netrc file, not JSON", _AS_JSON),
    (r"\S+:\$(?:2[aby]|apr1|[156])\$", "is an htpasswd file, which holds no passwords", _AS_JSON),
    (r"https?://[^\s/@]*@", "is a URL with a login, not JSON", _AS_JSON),
    (r"~?(?:/[\w.-]+)+\.[A-Za-z]+\Z", "is a path, not JSON", _PATH),
)


def decode(text: str, layers: int = _MOST_LAYERS) -> Any:
    """Decode JSON as people paste it, or a Secret manifest in YAML. A DocumentError names what it is instead.

    `layers` is how many layers of quotes or base64 may be around the document.
    """
    text = trimmed(text)
    if (fence := _FENCE.match(text)) and text.endswith(_FENCE_END):
        text = text[fence.end() :].removesuffix(_FENCE_END).strip()
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


def is_whole_document(text: str) -> bool:
    """Whether this is a document, and not the value of a field: a password may begin with a bracket."""
    text = trimmed(text)
    if not text.startswith("["):
        return text.startswith("{") or is_yaml_manifest(text)
    try:
        value = parse_json(text)
    except DocumentError:
        return False
    # A command is a list too, of strings.
    return any(isinstance(item, dict) for item in value)


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
    lead = _LEAD.match(text)
    start = lead.end() if lead else 0
    rest = text[start:]
    for pattern, fault, hint in _KNOWN:
        # A command may be in a comment.
        if re.match(pattern, text) or re.match(pattern, rest):
            return DocumentError(fault, hint)
    if leftover(text) == PLACEHOLDER:
        return DocumentError(f"is {PLACEHOLDER}, not JSON", _INSTEAD)
    return _named_json(text, start, error)


def _named_json(text: str, start: int, error: DocumentError) -> DocumentError:
    # `start` is the end of a text that is only a comment.
    if text.startswith(("{", "[", '"'), start):
        beginning = text[start : start + 1000]
        if re.search("[“”„]", beginning):
            hint = 'replace all of them with straight quotes (")'
            return DocumentError(f"{error}: it contains typographic quotes", hint)
        if start or _COMMENT.search(beginning):
            return DocumentError(f"{error}: it contains comments", "remove all comments: JSON has none")
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
