"""From bytes to text to JSON. No error message quotes the content."""

import codecs
import json
from typing import Any, Final


class DocumentError(ValueError):
    """The content has another form than expected. The text names that form, and quotes nothing.

    `hint` is the fix for this cause, or None for the general hint.
    """

    def __init__(self, fault: str, hint: str | None = None) -> None:
        super().__init__(fault)
        self.hint: Final = hint


class NotJsonError(DocumentError):
    """The text is not JSON at all."""


def text_of(data: bytes) -> str:
    """Decode UTF-8 or UTF-16, with or without a byte order mark. PowerShell and Windows editors write all of them."""
    try:
        return data.decode(json.detect_encoding(data)).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"is not UTF-8 (byte {error.start})", "save it as UTF-8 text, or move it to another directory"
        ) from None


def plain_text(data: bytes) -> str:
    """Decode a text that may be a password: UTF-8, or UTF-16 with its byte order mark. Nothing else is guessed."""
    is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError:
        raise DocumentError("is not UTF-8 text") from None


def field_text(data: bytes) -> str:
    """Decode a text that may be a password of a secret, also ASCII in UTF-16 without a byte order mark.

    Of any other text with NUL bytes, it may not be UTF-16, and a wrong guess would be another password.
    """
    text = text_of(data)
    return text if text.isascii() else plain_text(data)


def parse_json(text: str) -> Any:
    """Decode a JSON text. One that two parsers could understand differently is a DocumentError too."""
    if not text.strip():
        raise DocumentError("is empty", "write the secret into it, or remove it")
    try:
        return json.loads(text, object_pairs_hook=_no_repetition, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        # The message of the cause may quote the text, so it is dropped.
        where = f"line {error.lineno}, column {error.colno}"
        if error.msg == "Extra data":
            raise NotJsonError(
                f"has something after the end of the JSON ({where})",
                "remove it, or put all secrets into one list: in square brackets, with commas between them",
            ) from None
        raise NotJsonError(f"is not JSON ({where})", "fix the JSON there: check quotes, commas and brackets") from None
    except RecursionError:
        raise DocumentError("is nested too deeply") from None
    except DocumentError:
        raise
    except ValueError:
        raise DocumentError("contains a number that is too long", "put quotes around the number") from None


def _no_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # JSON parsers disagree on which of two equal keys counts.
    value = dict(pairs)
    if len(value) != len(pairs):
        raise DocumentError("has the same key twice in one object", "remove one of the two keys, or rename it")
    return value


def _no_constant(_name: str) -> Any:
    raise DocumentError("contains a number that is not JSON (NaN or Infinity)", "put quotes around the value")
