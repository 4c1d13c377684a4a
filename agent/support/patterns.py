"""What looks like a secret, whoever's it is: found by its form alone, for what nobody here knows the value of."""

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

MASK: Final = "[redacted]"

_FIELDS: Final = (
    r"auth|identity_?token|registry_?token|access_?token|refresh_?token|session_?token|id_?token|bearer_?token"
    r"|password|passwd|passphrase|secret_?key|secret_?access_?key|aws_secret_access_key|aws_session_token"
    r"|client_?secret|private_?key|api_?key|authorization_?token|web_?identity_?token|external_?id"
)
_JSON_FIELD: Final = re.compile(
    # `Secret` is a credential helper's; in lower case it is the name of a secret.
    rf"(?<!\\)(?P<escape>\\{{0,15}})\"(?:(?i:{_FIELDS})|Secret)(?P=escape)\"\s{{0,9}}:\s{{0,9}}(?P=escape)\""
)
_STOP: Final = re.compile(r"(\\*)\"|[\r\n]")
_QUIET: Final = frozenset({"", MASK, "null", "true", "false", "none"})


@dataclass(frozen=True, slots=True)
class _Kind:
    """`name` is what the list of redactions calls it; `mask` gives what stands for a match, itself where it is none."""

    name: str
    pattern: re.Pattern[str]
    mask: Callable[[re.Match[str]], str]


def mask_patterns(text: str) -> tuple[str, Counter[str]]:
    """`text` with everything masked that looks like a secret, and how often each kind was found."""
    found: Counter[str] = Counter()
    text = "".join(_mask_fields(text, found))
    for kind in _KINDS:
        text = kind.pattern.sub(partial(_counted, kind, found), text)
    return text, found


def _mask_fields(text: str, found: Counter[str]) -> Iterator[str]:
    """The pieces of `text`, with a mask in the place of what stands in secret fields of JSON.

    The JSON may stand in a text of JSON, and so on: there each quote has 1, 3, 7 … backslashes in front, and only
    that many end the value, but for those that are part of it. A value that was cut off ends with its line.
    """
    place = 0
    for field in _JSON_FIELD.finditer(text):
        if field.start() < place:
            continue
        depth, end = len(field["escape"]), len(text)
        for stop in _STOP.finditer(text, field.end()):
            before = len(stop[1] or "")
            if stop[0] in "\r\n":
                end = stop.start()
                break
            if before % (2 * (depth + 1)) == depth:
                end = stop.end() - depth - 1
                break
        value = text[field.end() : end]
        yield text[place : field.end()]
        if value.lower() in _QUIET:
            yield value
        else:
            found["secret field"] += 1
            yield MASK
        place = end
    yield text[place:]


def _counted(kind: _Kind, found: Counter[str], match: re.Match[str]) -> str:
    masked = kind.mask(match)
    if masked != match[0]:
        found[kind.name] += 1
    return masked


def _all(_match: re.Match[str]) -> str:
    return MASK


def _but_first(match: re.Match[str]) -> str:
    """Group 1 stays: it says what was there."""
    return match[1] + MASK


def _assigned(match: re.Match[str]) -> str:
    return match[0] if match[2].lower() in _QUIET else match[1] + MASK


def _login(match: re.Match[str]) -> str:
    """The base64 of `user:password`; other words that happen to be base64 stay."""
    packed = match[0].replace("-", "+").replace("_", "/").rstrip("=")
    try:
        decoded = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode()
    except ValueError:
        return match[0]
    user, colon, password = decoded.partition(":")
    return MASK if colon and user and password and decoded.isprintable() else match[0]


def _random(match: re.Match[str], each: int = 2) -> str:
    """Letters of both cases and figures, `each` of them at least: names of things are hardly ever so."""
    kinds = (sum(map(is_one, match[0])) for is_one in (str.isdigit, str.isupper, str.islower))
    return MASK if min(kinds) >= each else match[0]


# In this order: what names a secret by its place goes before what guesses it by its form.
_KINDS: Final = (
    # Across lines, and across the \\n of JSON. Without its end, what is left of the line.
    _Kind(
        "PEM block",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{1,40}-----"
            r"(?:(?:[^-]|-(?!----(?:BEGIN|END))){0,20000}-----END [A-Z0-9 ]{1,40}-----|[^\"\r\n]*)"
        ),
        _all,
    ),
    _Kind(
        "authorization header",
        re.compile(
            r"(?i)((?:proxy-)?authorization(?:\\*[\"'])?\s{0,4}[:=]\s{0,4}(?:\\*[\"'])?)(?!\s{0,4}\[redacted)[^\"'\\\r\n]+"
        ),
        _but_first,
    ),
    _Kind(
        "authorization header",
        re.compile(r"\b((?i:bearer|basic)\s{1,4})(?=[^\s\"']*[0-9A-Z=])[A-Za-z0-9+/=_.~-]{8,}"),
        _but_first,
    ),
    _Kind("secret field", re.compile(rf"(?i)\b((?:{_FIELDS})\s{{0,4}}=\s{{0,4}}[\"']?)([^\s\"'&;,]+)"), _assigned),
    _Kind(
        "URL with a user name",
        re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,30}:/{2})[^/\s\"'<>@\\]*:[^\s\"'<>@\\]*(?=@)"),
        _but_first,
    ),
    _Kind("URL with a user name", re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,30}:/{2})[^/\s\"'<>@\\]+(?=@)"), _but_first),
    _Kind(
        "query of a URL", re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,30}:/{2}[^\s\"'<>?\\]+\?)[^\s\"'<>\\]+"), _but_first
    ),
    _Kind("AWS access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), _all),
    _Kind("JWT or AWS token", re.compile(r"\beyJ[A-Za-z0-9+/_=-]{8,}(?:\.[A-Za-z0-9+/_=-]*)*"), _all),
    _Kind(
        "token with a known prefix",
        re.compile(
            r"\b(?:gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-|dckr_[a-z]{2,4}_|npm_|pypi-|xox[abeoprs]-"
            r"|hvs\.|sk-|dop_v1_|ya29\.|AIza|quay_|oci_)[A-Za-z0-9_.-]{8,}"
        ),
        _all,
    ),
    _Kind("base64 of user:password", re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{8,}={0,2}"), _login),
    _Kind(
        "AWS secret key", re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/])"), partial(_random, each=1)
    ),
    _Kind("random-looking text", re.compile(r"[A-Za-z0-9]{16,}"), _random),
    _Kind(
        "e-mail address",
        re.compile(
            # Not the name of a systemd unit.
            r"\b[A-Za-z0-9._%+-]{1,64}(?=@(?![^\s@]{1,200}\.(?:service|socket|target|slice|scope|timer|mount)\b)"
            r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+)"
        ),
        _all,
    ),
)
"""Each pattern is linear in the length of a line: repetitions are bounded, or end at what the next part begins with."""
