"""Makes text from outside safe for messages: on one line, printable, short."""

import re
from typing import Final

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")
# Web pages, word processors and chats add invisible characters to what people copy.
_AROUND: Final = (
    "\t\n\v\f\r \x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\xad\u061c\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060"
    "\u2066\u2067\u2068\u2069\ufeff"
)
_HIDDEN: Final = re.compile(rf"{CONTROL.pattern}|^ +| +$")
# JSON can hold half a Unicode character, but nothing can write it to a pipe or a file.
LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FIRST_BYTE: Final = 0xDC80
_LAST_BYTE: Final = 0xDCFF
# What a problem's subject replaces in its hint. The end of DOCKER_HOST does not match.
HOST_WORD: Final = re.compile(r"\bHOST\b")
# The same word in a text from outside, such as a path. It has to stay as it is.
ESCAPED_HOST: Final = "H\ue000OST"


def literal(hint: str) -> str:
    """Return the hint of one problem for another one. The subject is in it already, and any other HOST has to stay."""
    return HOST_WORD.sub(ESCAPED_HOST, hint)


def named_path(name: str, path: object) -> str:
    """Return `NAME PATH` for messages. `name` is the setting or variable that should hold the path.

    A path that is not absolute is not shown: people also put the credential itself into such variables.
    """
    text = str(path)
    return f"{name} {text}" if text.startswith("/") else f"{name}, whose value is not an absolute path,"


def uncapitalized(text: str) -> str:
    """Return a text with a small first letter, to continue a sentence. The rest may hold a path."""
    return text[:1].lower() + text[1:]


def program_of(word: str) -> str:
    """Return the program in the first word of a command, for messages. Arguments may hold a secret.

    People also write a whole command line as one word.
    """
    program, *arguments = word.split(maxsplit=1) or [""]
    return f"{printable(program, 200)} …" if arguments else printable(program, 200)


def trimmed(text: str) -> str:
    """Return `text` without blanks and invisible characters around it."""
    return text.strip(_AROUND)


def escaped(name: str, limit: int = 4096) -> str:
    """Return a name or path on one line, like `printable`, but so that different names stay different."""
    line = _HIDDEN.sub(lambda match: "".join(map(_escape, match[0])), name[:limit])
    return line if len(line) <= limit and len(name) <= limit else line[: limit - 1] + "…"


def _escape(character: str) -> str:
    code = ord(character)
    # Python represents a byte of a file name that is not UTF-8 as half a Unicode character.
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        code &= 0xFF
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - the largest byte


def printable(text: str, limit: int = 300) -> str:
    """Return `text` on one line, without control characters, escapes and direction marks, cut off at `limit`."""
    # The slice keeps the cost of a huge text low.
    line = CONTROL.sub(" ", text[: limit * 4]).strip()
    # Always mark the cut, also after the slice above: the redaction recognizes a cut secret by the mark.
    return line if len(line) <= limit and len(text) <= limit * 4 else line[: limit - 1] + "…"
