"""Masks what looks like a secret. It needs no known values, so it also finds the secrets of other programs."""

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

from agent.observe.redaction import MASK

_FIELDS: Final = (
    r"auth|identity_?token|registry_?token|access_?token|refresh_?token|session_?token|id_?token|bearer_?token"
    r"|password|passwd|passphrase|secret_?key|secret_?access_?key|aws_secret_access_key|aws_session_token"
    r"|client_?secret|private_?key|api_?key|authorization_?token|web_?identity_?token|external_?id"
)
_JSON_FIELD: Final = re.compile(
    # `Secret` is a credential helper's field. In lower case it is the name of a secret, which is not masked.
    rf"(?<!\\)(?P<escape>\\{{0,15}})\"(?:(?i:{_FIELDS})|Secret)(?P=escape)\"\s{{0,9}}:\s{{0,9}}(?P=escape)\""
)
# A run of backslashes is matched even without a quote behind it. Otherwise, it would be tried again from each of them.
_STOP: Final = re.compile(r"\\+\"?|[\"\r\n]")
_URL: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,30}:/{2})([^\s\"'<>\\]+)")
_QUIET: Final = frozenset({"", MASK, "null", "true", "false", "none"})


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of secret. `name` appears in the list of redactions. `mask` returns the text to put instead of a match.

    If the match turns out not to be a secret, `mask` returns it unchanged.
    """

    name: str
    pattern: re.Pattern[str]
    mask: Callable[[re.Match[str]], str]


def mask_patterns(text: str) -> tuple[str, Counter[str]]:
    """Mask everything in `text` that looks like a secret. Returns the text, and how often each kind was found."""
    found: Counter[str] = Counter()
    text = "".join(_mask_fields(text, found))
    for kind in _KINDS:
        text = kind.pattern.sub(partial(_counted, kind, found), text)
    return text, found


def _mask_fields(text: str, found: Counter[str]) -> Iterator[str]:
    """The pieces of `text`, with the values of secret JSON fields masked.

    The JSON may be inside a JSON string, and so on. Each quote then has 1, 3, 7 … backslashes in front of it, and only
    a quote with as many backslashes ends the value. More backslashes belong to a quote inside the value. A value that
    was cut off ends with its line.
    """
    position = 0
    for field in _JSON_FIELD.finditer(text):
        # Inside the value of the previous field, which is masked already.
        if field.start() < position:
            continue
        end = _value_end(text, field.end(), len(field["escape"]))
        value = text[field.end() : end]
        yield text[position : field.end()]
        if value.lower() in _QUIET:
            yield value
        else:
            found["secret field"] += 1
            yield MASK
        position = end
    yield text[position:]


def _value_end(text: str, start: int, depth: int) -> int:
    for stop in _STOP.finditer(text, start):
        if stop[0] in "\r\n":
            return stop.start()
        if stop[0].endswith('"') and (len(stop[0]) - 1) % (2 * (depth + 1)) == depth:
            return stop.end() - depth - 1
    return len(text)


def _counted(kind: _Kind, found: Counter[str], match: re.Match[str]) -> str:
    masked = kind.mask(match)
    if masked != match[0]:
        found[kind.name] += 1
    return masked


def _mask_all(_match: re.Match[str]) -> str:
    return MASK


def _mask_rest(match: re.Match[str]) -> str:
    """Keep group 1, which shows what was masked."""
    return match[1] + MASK


def _mask_value(match: re.Match[str]) -> str:
    return match[0] if match[2].lower() in _QUIET else match[1] + MASK


def _mask_user(match: re.Match[str]) -> str:
    """Mask the user and the password of a URL, also a password with an `@` or a `/` in it."""
    user_info, at, host = match[2].rpartition("@")
    is_user = user_info != MASK and (":" in user_info.partition("/")[0] or "/" not in user_info)
    return f"{match[1]}{MASK}@{host}" if at and is_user else match[0]


def _mask_query(match: re.Match[str]) -> str:
    address, _, query = match[2].partition("?")
    return f"{match[1]}{address}?{MASK}" if query not in ("", MASK) else match[0]


def _mask_login(match: re.Match[str]) -> str:
    """Mask the base64 of `user:password`. Other text that happens to be valid base64 stays."""
    packed = match[0].replace("-", "+").replace("_", "/").rstrip("=")
    try:
        decoded = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True).decode()
    except ValueError:
        return match[0]
    user, colon, password = decoded.partition(":")
    return MASK if colon and user and password and decoded.isprintable() else match[0]


def _mask_random(match: re.Match[str], each: int = 2) -> str:
    """Mask text with at least `each` digits, upper-case and lower-case letters. Names hardly ever look like this."""
    kinds = (sum(map(is_one, match[0])) for is_one in (str.isdigit, str.isupper, str.islower))
    return MASK if min(kinds) >= each else match[0]


# The order matters: first the patterns that find a secret by its context, then those that guess by its form.
_KINDS: Final = (
    # Spans lines, also those written as \\n in JSON. If the end is missing, the rest of the line is masked.
    _Kind(
        "PEM block",
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{1,40}-----"
            r"(?:(?:[^-]|-(?!----(?:BEGIN|END))){0,20000}-----END [A-Z0-9 ]{1,40}-----|[^\"\r\n]*)"
        ),
        _mask_all,
    ),
    _Kind(
        "authorization header",
        re.compile(
            r"(?i)((?:proxy-)?authorization(?:\\*[\"'])?\s{0,4}[:=]\s{0,4}(?:\\*[\"'])?)(?!\s{0,4}\[redacted)[^\"'\\\r\n]+"
        ),
        _mask_rest,
    ),
    _Kind(
        "authorization header",
        re.compile(r"\b((?i:bearer|basic)\s{1,4})(?=[^\s\"']*[0-9A-Z=])[A-Za-z0-9+/=_.~-]{8,}"),
        _mask_rest,
    ),
    _Kind("secret field", re.compile(rf"(?i)\b((?:{_FIELDS})\s{{0,4}}=\s{{0,4}}[\"']?)([^\s\"'&;,]+)"), _mask_value),
    _Kind("URL with a user name", _URL, _mask_user),
    _Kind("query of a URL", _URL, _mask_query),
    _Kind("AWS access key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}"), _mask_all),
    _Kind("JWT or AWS token", re.compile(r"\beyJ[A-Za-z0-9+/_=-]{8,}(?:\.[A-Za-z0-9+/_=-]*)*"), _mask_all),
    _Kind(
        "token with a known prefix",
        re.compile(
            r"\b(?:gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-|dckr_[a-z]{2,4}_|npm_|pypi-|xox[abeoprs]-"
            r"|hvs\.|sk-|dop_v1_|ya29\.|AIza|quay_|oci_)[A-Za-z0-9_.-]{8,}"
        ),
        _mask_all,
    ),
    _Kind("base64 of user:password", re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{8,}={0,2}"), _mask_login),
    _Kind(
        "AWS secret key",
        re.compile(r"(?<![A-Za-z0-9])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/])"),
        partial(_mask_random, each=1),
    ),
    _Kind("random-looking text", re.compile(r"[A-Za-z0-9]{16,}"), _mask_random),
    _Kind(
        "e-mail address",
        re.compile(
            # Names of systemd units such as registry-agent@ada.service are not e-mail addresses.
            r"\b[A-Za-z0-9._%+-]{1,64}(?=@(?![^\s@]{1,200}\.(?:service|socket|target|slice|scope|timer|mount)\b)"
            r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+)"
        ),
        _mask_all,
    ),
)
"""Each pattern takes linear time: what it looks at is bounded, or becomes a part of the match."""
