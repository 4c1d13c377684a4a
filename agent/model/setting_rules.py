"""What the value of a setting must be. Each rule checks a value, and has the words for what is wrong with it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

from agent.model.google_names import AUDIENCE, SERVICE_ACCOUNT
from agent.model.loopback import is_loopback
from agent.model.registry import parse_hostname
from agent.model.secret import CLIENT_ID, REGION, ROLE_ARN, TENANT_ID
from agent.model.text import CONTROL

_LONGEST: Final = 1000
_PRINTABLE_ASCII: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_HOST_PATTERN: Final = re.compile(r"(?:\*\.)?[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
_ORIGIN: Final = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?"
)
_MOST_PORT: Final = 65535


class SettingFault(Exception):  # noqa: N818 - a mistake in the settings, not an error in the code
    """What is wrong with a value, as words that follow the key, and what to write instead. Never contains the value."""

    def __init__(self, fault: str, hint: str) -> None:
        super().__init__(fault)
        self.hint: Final = hint


@dataclass(frozen=True, slots=True)
class Limit:
    """A number greater than 0 and at most `most`; with `below`, less than `most`. With `never`, 0 is allowed too."""

    most: float
    below: bool = False
    never: bool = False

    def check(self, value: object, default: float) -> float:
        # In Python, a bool is an int too. The comparison with 0 also refuses NaN.
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and self.never and value == 0:
            return 0.0
        if not number or not 0 < value <= self.most or (self.below and value == self.most):  # type: ignore[operator]
            limit = f"{'less than' if self.below else 'at most'} {self.most:g}"
            never = "0 (never), or " if self.never else ""
            raise SettingFault(
                f"must be {never}a number greater than 0 and {limit}", f"write a plain number, such as {default:g}"
            )
        return float(value)  # type: ignore[arg-type]  # mypy does not follow `number`


@dataclass(frozen=True, slots=True)
class Text:
    """A string. `parse` returns its normal form, or raises ValueError if it is not what `meaning` describes."""

    meaning: str
    parse: Callable[[str], str]
    example: str = ""

    def check(self, value: object) -> str:
        try:
            if isinstance(value, str):
                return self.parse(value)
        except ValueError:
            pass
        # Raised here, because the cause of a ValueError may quote the value.
        example = f", such as {self.example}" if self.example else ""
        raise SettingFault(f"must be {self.meaning}", f"write {self.meaning}{example}")


def one_of(*words: str) -> Text:
    return Text(f"one of {', '.join(words)}", lambda text: words[words.index(text.strip().lower())])


def _line(text: str) -> str:
    if CONTROL.search(text) or len(text) > _LONGEST:
        raise ValueError
    return text.strip()


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not pattern.fullmatch(text.strip()):
            raise ValueError
        return text.strip()

    return parse


def _argument(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError
    return text


def _listen(text: str) -> str:
    if not text.strip():
        return ""
    host, _, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        address = IPv6Address(host[1:-1])
        # An IPv6 socket of the agent serves no IPv4 address, such as ::ffff:127.0.0.1.
        host = str(address.ipv4_mapped) if address.ipv4_mapped else f"[{address}]"
    elif not _HOST.fullmatch(host):
        raise ValueError
    # The slice keeps `int` fast for a very long text.
    if not (port.isascii() and port.isdigit()) or int(port[:6]) > _MOST_PORT:
        raise ValueError
    return f"{host}:{int(port)}"


def _host_name(text: str) -> str:
    host = _matching(_HOST_PATTERN)(text.lower())
    return f"[{IPv6Address(host[1:-1])}]" if host.startswith("[") else host


def _origin(text: str) -> str:
    """Return the origin exactly as a browser sends it."""
    origin = urlsplit(_matching(_ORIGIN)(text.strip().lower().removesuffix("/")))
    default = {"https": 443, "http": 80}.get(origin.scheme)
    port = "" if origin.port in (None, default) else f":{origin.port}"
    host = f"[{IPv6Address(origin.hostname)}]" if origin.netloc.startswith("[") else origin.hostname
    return f"{origin.scheme}://{host}{port}"


def _url(text: str, *, plain: bool) -> str:
    text = _matching(_PRINTABLE_ASCII)(text)
    scheme, _, path = text.partition(":")
    if scheme.lower() == "unix" and path.startswith("/") and path.strip("/"):
        return f"unix:/{path.lstrip('/')}"
    parts = urlsplit(text)
    host, _port = parts.hostname, parts.port  # a wrong port is a ValueError
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError
    if "@" in parts.netloc:
        raise SettingFault(
            "must not contain a user name or a password", "put the token into a file, and set token_file to it"
        )
    if parts.scheme == "http" and not plain and not is_loopback(host):
        raise SettingFault("must be https (http only to loopback), because it carries secrets", "write https://…")
    # A fragment is never sent to a server.
    return parts._replace(fragment="").geturl()


LINE: Final = Text("a string on one line", _line)
AWS_REGION: Final = Text("an AWS region", _matching(REGION), "eu-west-1")
ROLE: Final = Text("a role's ARN", _matching(ROLE_ARN), "arn:aws:iam::123456789012:role/pull")
GOOGLE_AUDIENCE: Final = Text(
    "the name of a workload identity provider",
    _matching(AUDIENCE),
    "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/dev/providers/dev",
)
GOOGLE_SERVICE_ACCOUNT: Final = Text(
    "the e-mail address of a service account", _matching(SERVICE_ACCOUNT), "pull@acme.iam.gserviceaccount.com"
)
AZURE_ID: Final = Text("a client ID", _matching(CLIENT_ID), "11111111-2222-3333-4444-555555555555")
AZURE_TENANT: Final = Text("a tenant ID or a domain", _matching(TENANT_ID), "11111111-2222-3333-4444-555555555555")
ARGUMENT: Final = Text("a program or an argument that is not empty", _argument, "gp")
REGISTRY: Final = Text("a registry's host name", lambda text: parse_hostname(text).hostname, "ghcr.io")
HOST: Final = Text("a host name without a port", _host_name, "*.example.com")
ORIGIN: Final = Text("an origin", _origin, "https://dashboard.example.com")
LISTEN: Final = Text('host:port, [address]:port, or "" to turn TCP off', _listen, "127.0.0.1:8719")
URL: Final = Text("https://…, http://…, or unix: and the path of a socket", lambda text: _url(text, plain=True))
SECRET_URL: Final = Text(
    "https://…, http:// to loopback, or unix: and the path of a socket", lambda text: _url(text, plain=False)
)
