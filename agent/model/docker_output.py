"""Parses what `docker login` prints."""

import re
from typing import Final

from agent.model.docker_errors import CliOutput, Fault
from agent.model.text import printable

_STATUS: Final = re.compile(
    r"(?:failed with status|unexpected HTTP status|unexpected status(?: code)?)[^0-9]{0,80}(\d{3})"
)
# The first match wins, so the order matters. A lookup that timed out is a DNS fault, a handshake that timed out is a
# timeout, and a malformed answer may quote any of the other words.
_SIGNS: Final[tuple[tuple[re.Pattern[str], Fault | int], ...]] = (
    (re.compile(r"proxyconnect|proxy authentication required", re.IGNORECASE), Fault.UNREACHABLE),
    (re.compile(r"malformed (?:HTTP|MIME)|unable to decode token|did not include a token"), Fault.NONSENSE),
    (re.compile(r"toomanyrequests|too many requests", re.IGNORECASE), 429),
    (
        re.compile(
            r"unauthorized|incorrect username or password|invalid username/password|authentication required",
            re.IGNORECASE,
        ),
        401,
    ),
    (re.compile(r"\bdenied\b|\bforbidden\b", re.IGNORECASE), 403),
    (re.compile(r"no such host|server misbehaving|\blookup \S+|name resolution", re.IGNORECASE), Fault.DNS),
    (re.compile(r"deadline exceeded|timeout|timed out|request canceled", re.IGNORECASE), Fault.TIMEOUT),
    (re.compile(r"x509|tls:|certificate|HTTP response to HTTPS client", re.IGNORECASE), Fault.TLS),
    (
        re.compile(r"connection re(?:fused|set)|no route to host|network is unreachable|\bEOF$|broken pipe"),
        Fault.UNREACHABLE,
    ),
    # The request failed in another way: the CLI works, but the answer was unusable.
    (re.compile(r"^(?:Get|Head|Post) \"?https?://"), Fault.NONSENSE),
)
# If a proxy refuses, Go prints only the reason phrase ("Forbidden"). If a registry refuses, more text follows.
_PROXY_REFUSAL: Final = re.compile(r"^(?:(?:Get|Head|Post) \"?https?://[^\"\s]+\"?: )+[A-Z][^:\"]*$")
_FALLBACK: Final = re.compile(r"http://([^/\"\s]+)/v2/")
_LOG_LINE: Final = re.compile(r'msg="Error logging in to endpoint, trying next endpoint".* error="((?:[^"\\]|\\.)*)"$')
_ESCAPED: Final = re.compile(r"\\(.)")


def read_stderr(stderr: bytes) -> CliOutput:
    """Parse the last line of `docker login`'s stderr. The lines before it are the CLI's own log.

    The texts are those of docker CLI 20.10 to 29, with or without an engine in front (docs/docker-versions.md).
    """
    # Not `splitlines`: Python splits at more characters than \n, and the last line could be half a quoted password.
    lines = [line.strip() for line in stderr.decode(errors="replace").split("\n") if line.strip()]
    if not lines:
        return CliOutput("")
    return _answer_over_tls(lines) or _read(lines[-1])


def _answer_over_tls(lines: list[str]) -> CliOutput | None:
    """Return the registry's answer over TLS, if the CLI then fell back to plain HTTP and failed there too.

    Up to version 28.3, the CLI falls back on loopback addresses, even after "401 Unauthorized". Then only its log lines
    contain the answer over TLS.
    """
    fallback = _FALLBACK.search(lines[-1])
    if fallback is None:
        return None
    for line in lines[:-1]:
        logged = _LOG_LINE.search(line)
        if logged is not None and f"https://{fallback[1]}/v2/" in logged[1]:
            output = _read(_ESCAPED.sub(lambda escape: " " if escape[1] in "nrt" else escape[1], logged[1]))
            return output if output.status is not None or output.fault is Fault.NONSENSE else None
    return None


def _read(text: str) -> CliOutput:
    text = text.removeprefix("Error response from daemon:").removeprefix("Error:").strip()
    status = _STATUS.search(text)
    if status:
        return CliOutput(printable(text), status=int(status[1]))
    for pattern, sign in _SIGNS:
        if pattern.search(text):
            if isinstance(sign, Fault):
                return CliOutput(printable(text), fault=sign)
            if _PROXY_REFUSAL.search(text):
                return CliOutput(printable(f"the proxy refused the request: {text}"), fault=Fault.UNREACHABLE)
            return CliOutput(printable(text), status=sign)
    return CliOutput(printable(text))
