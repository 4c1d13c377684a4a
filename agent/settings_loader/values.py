"""The types of settings. A value from TOML has a type already; a variable or a flag is a string."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agent.model.loopback import is_loopback
from agent.model.text import CONTROL

_LONGEST: Final = 1000
_PRINTABLE_ASCII: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_FLAGS: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
_MOST_PORT: Final = 65535


class Fault(ValueError):  # noqa: N818 - a mistake in the settings, not an error in the code
    """What is wrong with a value, as words that follow the key, and what to write instead. Never contains the value."""

    def __init__(self, fault: str, hint: str) -> None:
        super().__init__(fault)
        self.hint: Final = hint


@dataclass(frozen=True, slots=True)
class Kind:
    """How to convert a string to a value, and how to check any value. Both functions raise `Fault`."""

    from_text: Callable[[str], object]
    check: Callable[[object], object]


def number(most: float, *, below: bool = False) -> Kind:
    """A number greater than 0 and at most `most`; with `below`, less than `most`."""

    def fault() -> Fault:
        return Fault(
            f"must be a number greater than 0 and {'less than' if below else 'at most'} {most:g}",
            "write a plain number, such as 0.5" if below else "write a plain number of seconds, such as 60",
        )

    def from_text(text: str) -> object:
        try:
            return float(text)
        except ValueError:
            raise fault() from None

    def check(value: object) -> object:
        # In Python, a bool is an int too.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise fault()
        # Written this way, the comparison also refuses NaN.
        if not 0 < value <= most or (below and value == most):
            raise fault()
        return float(value)

    return Kind(from_text, check)


def flag() -> Kind:

    def from_text(text: str) -> object:
        return _FLAGS.get(text.strip().lower())

    def check(value: object) -> object:
        if not isinstance(value, bool):
            raise Fault("must be true or false", "write true or false, without quotes in the file")
        return value

    return Kind(from_text, check)


def text(pattern: re.Pattern[str] | None = None, meaning: str = "a string on one line") -> Kind:
    """A string on one line. If there is a `pattern`, the whole string must match. An empty string is None."""

    def check(value: object) -> object:
        if not isinstance(value, str) or CONTROL.search(value) or len(value) > _LONGEST:
            raise Fault(f"must be {meaning}", "write it in quotes, on one line")
        if value.strip() and pattern is not None and not pattern.fullmatch(value.strip()):
            raise Fault(f"must be {meaning}", "fix it, or remove the key")
        return value.strip() or None

    return Kind(_same, check)


def choice(*words: str) -> Kind:
    allowed = ", ".join(words)

    def check(value: object) -> object:
        if not isinstance(value, str) or value.strip().lower() not in words:
            raise Fault(f"must be one of {allowed}", f"write one of {allowed}")
        return value.strip().lower()

    return Kind(_same, check)


def path(home: Path) -> Kind:
    """An absolute path, or one that begins with `~/`. An empty string is None."""
    return Kind(_same, lambda value: None if value == "" else _path(value, home))


def paths(home: Path) -> Kind:
    return many(lambda item: _path(item, home), "/run/secrets/registries")


def many(item: Callable[[str], object], example: str) -> Kind:
    """A list of strings, each checked by `item`. In a variable or a flag, it is a JSON list."""
    hint = f'write a list, such as ["{example}"]'

    def from_text(text: str) -> object:
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise Fault("must be a JSON list of strings", f"{hint} (commas alone are not enough)") from None

    def check(value: object) -> object:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Fault("must be a list of strings", hint)
        return tuple(item(each) for each in value)

    return Kind(from_text, check)


def url(*, plain: bool) -> Kind:
    """`https://…`, `unix:/path`, or `http://…`. Without `plain`, http is allowed only to loopback."""
    hint = (
        "write https://…, "
        + ("http://…" if plain else "http:// to loopback")
        + ", or unix: and the absolute path of a socket"
    )

    def check(value: object) -> object:
        if value == "":
            return None
        if not isinstance(value, str) or not _PRINTABLE_ASCII.fullmatch(value.strip()):
            raise Fault("must be an address", hint)
        return _url(value.strip(), hint, plain=plain)

    return Kind(_same, check)


def listen() -> Kind:
    """`host:port` or `[v6]:port`. An empty string turns TCP off."""
    hint = 'write host:port or [address]:port, such as 127.0.0.1:8719, or "" to turn TCP off'

    def check(value: object) -> object:
        if not isinstance(value, str):
            raise Fault("must be a string", hint)
        host, colon, port = value.strip().rpartition(":")
        if not value.strip():
            return ""
        # The slice keeps `int` fast for a very long text.
        if not colon or not _is_host(host) or not (port.isascii() and port.isdigit() and int(port[:6]) <= _MOST_PORT):
            raise Fault("must be host:port", hint)
        return f"{host}:{int(port)}"

    return Kind(_same, check)


def word(pattern: re.Pattern[str], meaning: str, example: str) -> Callable[[str], str]:
    """Return a check for one item of a list. It converts the item to lower case, and it must match `pattern`."""

    def check(value: str) -> str:
        value = value.strip().lower()
        if not pattern.fullmatch(value):
            raise Fault(f"must contain {meaning}", f"write {meaning}, such as {example}")
        return value

    return check


def _same(given: str) -> object:
    return given


def _path(value: object, home: Path) -> Path:
    hint = "write an absolute path, or one that begins with ~/"
    if not isinstance(value, str) or not value or "\0" in value:
        raise Fault("must be a path", hint)
    if value == "~" or value.startswith("~/"):
        return home / value[2:]
    if not value.startswith("/"):
        raise Fault("must be an absolute path", hint)
    return Path(value)


def _url(value: str, hint: str, *, plain: bool) -> str:
    scheme, _, rest = value.partition(":")
    scheme = scheme.lower()
    if scheme == "unix":
        socket = "/" + rest.lstrip("/")
        if not rest.startswith("/") or socket == "/":
            raise Fault("must name a socket by its absolute path", hint)
        return f"unix:{socket}"
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise Fault("must be an address with a host name and a valid port", hint) from None
    if scheme not in ("https", "http") or not host or not rest.startswith("//"):
        raise Fault("must be an address with a scheme and a host name", hint)
    if "@" in parts.netloc:
        raise Fault("must not contain a user name or a password", "put the token into a file, and set token_file to it")
    if scheme == "http" and not plain and not is_loopback(host):
        raise Fault("must be https (http only to loopback), because it carries secrets", hint)
    # A fragment is never sent to a server.
    return parts._replace(fragment="").geturl()


def _is_host(host: str) -> bool:
    if host.startswith("[") and host.endswith("]"):
        try:
            IPv6Address(host[1:-1])
        except ValueError:
            return False
        return True
    return _HOST.fullmatch(host) is not None
