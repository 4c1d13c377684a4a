"""Reads Kubernetes Secret manifests: JSON, or YAML as kubectl writes it and as people write it by hand."""

import json
import re
from collections.abc import Callable, Container, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final, NoReturn

from agent.model.document_text import DocumentError, field_text, text_of
from agent.model.encoded_login import decoded

_MANIFEST: Final = re.compile(r"""^["']?apiVersion["']?:\s""", re.MULTILINE)
_KEY: Final = re.compile(r"""(?:"([^"]+)"|'([^']+)'|([^\s"'#:-][^:]*)):(?:\s+(.*))?""")
_COMMENT: Final = re.compile(r"(?:\s+#.*|\s*)")
_ESCAPE: Final = re.compile(r"\\(x[\da-fA-F]{2}|U[\da-fA-F]{8}|.)")
# What a backslash means in YAML, but not in JSON.
_ESCAPES: Final = dict(zip("0ave N_LP", "\0\a\v\x1b \x85\xa0\u2028\u2029", strict=True))
# Atomic, so that no text takes quadratic time. Groups are never possessive: before Python 3.11.5, such a group does not
# match if it contains alternatives (https://github.com/python/cpython/issues/106052). Debian 12 has 3.11.2.
_IN_WORD: Final = r"(?:[^\s:{}\[\],]|:(?!\s))"
_PLAIN: Final = rf"""[^\s"'{{}}\[\],&*!|>%@`#?:-](?>{_IN_WORD}*)(?>(?:[ \t]++(?!\#)(?>{_IN_WORD}+))*)"""
_FLOW_SCALAR: Final = rf"""("(?>(?:[^"\\]|\\.)*)"|'(?>(?:[^']|'')*)'|{_PLAIN})"""
_FLOW_ITEM: Final = re.compile(rf"\s*+{_FLOW_SCALAR}\s*+:\s++{_FLOW_SCALAR}\s*+([,}}])", re.ASCII)
_BLOCK: Final = re.compile(r"[|>][+-]?(?:\s+#.*)?")
_DATA: Final = frozenset({"data", "stringData"})
_SECTIONS: Final = _DATA | {"metadata"}
_KIND: Final = re.compile(r"[A-Z][A-Za-z]{1,60}")
_TYPES: Final = frozenset(
    {"", "Opaque", "kubernetes.io/dockerconfigjson", "kubernetes.io/dockercfg", "kubernetes.io/basic-auth"}
)
_OTHER_TYPES: Final = re.compile(r"[a-z0-9./-]{1,80}")
_RIGHT: Final = "use a Secret of the type kubernetes.io/dockerconfigjson, or move this file to another directory"


def is_yaml_manifest(text: str) -> bool:
    return not text.startswith(("{", "[")) and _MANIFEST.search(text) is not None


def parse_yaml(text: str) -> dict[str, Any]:
    """Parse what the agent needs: the top level of a manifest, and in it `data`, `stringData` and `metadata`.

    Also a List of manifests. A whole YAML parser is a large dependency for three maps of strings. What this one cannot
    read is a DocumentError.
    """
    documents = [part for part in re.split(r"^---.*$", text, flags=re.MULTILINE) if _MANIFEST.search(part)]
    parsed = [_mapping(document.splitlines()) for document in documents]
    return parsed[0] if len(parsed) == 1 else {"apiVersion": "v1", "kind": "List", "items": parsed}


def name_of(manifest: Mapping[str, Any]) -> str | None:
    metadata = manifest.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None


def contents_of(manifest: Mapping[str, Any], fields: Container[str] = ()) -> dict[str, str]:
    """Return the files that Kubernetes would mount for this Secret, by name.

    Those in `fields` may be a password.
    """
    kind = manifest.get("kind")
    if kind != "Secret":
        shown = kind if isinstance(kind, str) and _KIND.fullmatch(kind) else "object"
        raise DocumentError(f"is a Kubernetes {shown}, not a Secret", _RIGHT)
    kind_of_secret = str(manifest.get("type") or "")
    if kind_of_secret not in _TYPES:
        shown = f"of the type {kind_of_secret}" if _OTHER_TYPES.fullmatch(kind_of_secret) else "of another type"
        raise DocumentError(f"is a Secret {shown}, which holds no registry login", _RIGHT)
    data = _texts(manifest, "data")
    contents = {name: _decoded(name, text, field_text if name in fields else text_of) for name, text in data.items()}
    # Kubernetes lets stringData win.
    contents.update(_texts(manifest, "stringData"))
    if not contents:
        raise DocumentError("is a Secret without data", "add the login to the Secret, under data or stringData")
    return contents


def _texts(manifest: Mapping[str, Any], section: str) -> dict[str, str]:
    texts = manifest.get(section) or {}
    if not isinstance(texts, dict) or not all(isinstance(value, str) for value in texts.values()):
        raise DocumentError(
            f"is a Secret whose {section} is not a map of strings", f"put quotes around each value under {section}"
        )
    return texts


def _decoded(name: str, value: str, decode: Callable[[bytes], str]) -> str:
    try:
        return decode(decoded(value))
    except DocumentError as error:
        raise DocumentError(f"has a {name} under data that {error}", error.hint) from None
    except ValueError:
        raise DocumentError(
            f"has a {name} under data that is not base64", "encode the value with base64, or move it to stringData"
        ) from None


def _mapping(lines: Sequence[str], section: str = "") -> dict[str, Any]:
    """Parse a block of `key: value` lines: the top level, or one of the `_SECTIONS`."""
    depth = _depth(next((line for line in lines if not _is_blank(line)), ""))
    blocks: list[tuple[str, list[str]]] = []
    for line in lines:
        # What belongs to the key before: deeper lines, comments, and the items of a list.
        if blocks and (_is_blank(line) or _depth(line) > depth or line[depth:].split(" ")[0] == "-"):
            blocks[-1][1].append(line)
        elif line.lstrip(" ").startswith("\t") and not _is_blank(line):
            raise DocumentError(
                "is YAML that is indented with a tab", "replace the tab with spaces: YAML allows no tabs"
            )
        elif not _is_blank(line):
            blocks.append((line, []))
    result: dict[str, Any] = {}
    for line, inner in blocks:
        match = _KEY.fullmatch(line.strip())
        if match is None or _depth(line) != depth:
            _refuse()
        key = match[1] or match[2] or match[3].strip()
        if key in result:
            raise DocumentError("has the same key twice", "remove one of the two keys, or rename it")
        result[key] = _value(key, match[4] or "", inner, section)
    return result


def _value(key: str, text: str, inner: Sequence[str], section: str) -> Any:
    """Return the value of a key: `text` after the colon, or the lines `inner` below it."""
    if _BLOCK.fullmatch(text):
        return _block(inner, text)
    if text and not text.startswith("#"):
        read = _flow_map if text.startswith("{") and key in _SECTIONS and not section else _scalar
        try:
            return read(text) if all(map(_is_blank, inner)) else _refuse()
        except DocumentError:
            # Labels and the like may be written in any way.
            if _DATA & {key, section}:
                raise
            return None
    if key == "items" and not section:
        return _items(inner)
    return _mapping(inner, key) if key in _SECTIONS and not section else None


def _items(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Parse the objects of a List, as `kubectl get` prints it. Each begins with a dash."""
    depth = _depth(next((line for line in lines if not _is_blank(line)), ""))
    items: list[list[str]] = []
    for line in lines:
        if line[depth:].split(" ")[0] == "-":
            items.append([f"{line[:depth]} {line[depth + 1 :]}"])
        elif items:
            items[-1].append(line)
        elif not _is_blank(line):
            _refuse()
    return [_mapping(item) for item in items]


def _block(lines: Sequence[str], style: str) -> str:
    margin = _depth(next((line for line in lines if line.strip()), ""))
    inside = takewhile(lambda line: not line.strip() or _depth(line) >= margin, lines)
    text = ("\n" if style[0] == "|" else " ").join(line[margin:] for line in inside).rstrip()
    return text if style[1:2] == "-" else f"{text}\n"


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_blank(line: str) -> bool:
    return line.lstrip()[:1] in ("", "#")


def _flow_map(text: str) -> Any:
    """Return a map of strings on one line: JSON, or `{hostname: ghcr.io, username: "bot"}`."""
    try:
        return _scalar(text)
    except DocumentError:
        result, position = {}, 1
    while match := _FLOW_ITEM.match(text, position):
        key = _scalar(match[1])
        if not isinstance(key, str) or key in result:  # `null` and `~` are no text
            _refuse()
        result[key], position = _scalar(match[2]), match.end()
        if match[3] == "}":
            return result if _COMMENT.fullmatch(text, position) else _refuse()
    return _refuse()


def _scalar(text: str) -> Any:
    if text[0] in '"{[':
        return _json(text)
    if text[0] == "'":
        quoted = re.fullmatch(r"'((?:[^']|'')*)'(?:\s+#.*)?", text)
        return quoted[1].replace("''", "'") if quoted else _refuse()
    if text[0] in "&*!%@`|>":
        _refuse()
    plain = re.split(r"[ \t]#", text, maxsplit=1)[0].rstrip(" \t")
    return None if plain in ("null", "~") else plain


def _as_json(match: re.Match[str]) -> str:
    """Return what JSON has instead of an escape of YAML."""
    escape = match[1]
    if len(escape) > 1:
        return json.dumps(chr(int(escape[1:], 16)))[1:-1]
    return json.dumps(_ESCAPES[escape])[1:-1] if escape in _ESCAPES else match[0]


def _json(text: str) -> Any:
    """Decode a text in double quotes, or a value in JSON. A comment may follow."""
    try:
        text = _ESCAPE.sub(_as_json, text)
        value, end = json.JSONDecoder(strict=False).raw_decode(text)
    except (ValueError, OverflowError, RecursionError):
        _refuse()
    return value if _COMMENT.fullmatch(text, end) else _refuse()


def _refuse() -> NoReturn:
    raise DocumentError(
        "is a Kubernetes manifest in a form of YAML that the agent cannot read",
        "save the Secret as JSON (kubectl prints it with -o json), or mount it as a directory",
    )
