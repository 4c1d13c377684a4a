"""Parses what `docker login` prints."""

import re
from typing import Final

from agent.model.docker_results import CliOutput, Fault
from agent.model.text import printable

_STATUS: Final = re.compile(
    r"(?:failed with status|unexpected HTTP status|unexpected status(?: code)?|error parsing HTTP)[^0-9]{0,80}(\d{3})"
)
# Go's errors of local calls: of files, programs and sockets. Docker also names its own part that failed.
_LOCAL: Final = re.compile(
    r"^(?:error (?:saving|storing|getting|erasing) credentials|(?:WARNING: )?error (?:loading|parsing) config"
    r"|(?:\w*stat|open\w*|mkdir\w*|rename\w*|read|write|close|f?sync|chmod|chown|\w*link(?:at)?|remove"
    r"|(?:fork/)?exec) /"
    r"|exec: |dial unix |permission denied while trying|(?:cannot|failed to) connect to the docker)",
    re.IGNORECASE,
)
# The first match wins, so the order matters. A lookup that timed out is a DNS fault, a handshake that timed out is a
# timeout, and a malformed answer may quote any of the other words.
_SIGNS: Final[tuple[tuple[str, Fault | int], ...]] = (
    (r"(?i)proxyconnect|proxy authentication required|\bconnect: (?:permission|operation not)", Fault.UNREACHABLE),
    (r"malformed (?:HTTP|MIME)|unable to decode token|did not include a token", Fault.NONSENSE),
    (r"(?i)toomanyrequests|too many requests", 429),
    (r"(?i)unauthorized|(?:incorrect|invalid|bad|wrong) (?:credentials|user ?name)|authentication required", 401),
    (r"(?i)\bdenied\b|\bforbidden\b", 403),
    (r"(?i)no such host|server misbehaving|\blookup \S+|name resolution", Fault.DNS),
    (r"(?i)deadline exceeded|timeout|timed out|request canceled", Fault.TIMEOUT),
    (r"(?i)x509|tls:|certificate|HTTP response to HTTPS client", Fault.TLS),
    (r"connection re(?:fused|set)|no route to host|network is unreachable|\bEOF$|broken pipe", Fault.UNREACHABLE),
)
_REQUEST: Final = re.compile(r"^(?:(?:Get|Head|Post) \"?[a-z]+://[^\"\s]+\"?: )+")
# The host part of a URL to the engine's own socket is its path: %2Frun%2Fdocker.sock.
_TO_REGISTRY: Final = re.compile(r"^(?:Get|Head|Post) \"?https?://[^%]")
_ERROR_CODE: Final = re.compile(r"^(?:errors:|(?:unauthorized|denied|forbidden|toomanyrequests)\b)", re.IGNORECASE)
# podman names what it did in front of the registry's answer, and in front of its own errors.
_PODMAN: Final = re.compile(r'^(?:logging into|authenticating creds for) "[^"]*": ')
# A host name may be any word, such as denied.example.
_NAME: Final = re.compile(r"(?<![\w-])[\w-]+(?:\.[\w-]+)+")
_BEGIN: Final = re.compile(r"^(?:Error\b|Get |Head |Post |login attempt )")
# If a proxy refuses, Go prints only the reason phrase ("Forbidden"). If a registry refuses, more text follows.
_PROXY_REFUSAL: Final = re.compile(r"^(?:(?:Get|Head|Post) \"?https?://[^\"\s]+\"?: )+[A-Z][^:\"]*$")
_FALLBACK: Final = re.compile(r"http://([^/\"\s]+)/v2/")
_LOG_LINE: Final = re.compile(r'msg="Error logging in to endpoint, trying next endpoint".* error="((?:[^"\\]|\\.)*)"$')
_ESCAPED: Final = re.compile(r"\\(.)")


def read_stderr(stderr: bytes) -> CliOutput:
    """Parse the last message of `docker login`'s stderr. The lines before it are the CLI's own log.

    The texts are those of docker CLI 20.10 to 29, with or without an engine in front (docs/docker-versions.md).
    """
    # Not `splitlines`: Python splits at more characters than \n, and the last line could be half a quoted password.
    lines = [line.strip() for line in stderr.decode(errors="replace").split("\n") if line.strip()]
    if not lines:
        return CliOutput("")
    return _answer_over_tls(lines) or _read(_last_message(lines))


def _last_message(lines: list[str]) -> str:
    """Return the last line, with those before it that belong to it: a registry's own words may have several lines."""
    begins = [number for number, line in enumerate(lines) if _BEGIN.match(line)]
    return " ".join(lines[begins[-1] :]) if begins else lines[-1]


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
    words = _REQUEST.sub("", _PODMAN.sub("", text))
    to_registry = _TO_REGISTRY.match(text) is not None
    if _LOCAL.match(words) and not to_registry:
        return CliOutput(printable(text), local=True)
    status = _STATUS.search(text)
    if status:
        return CliOutput(printable(text), status=int(status[1]))
    answered = to_registry or _PODMAN.match(text) is not None or _ERROR_CODE.match(words) is not None
    sign = _sign(_NAME.sub("NAME", words), to_registry=to_registry, answered=answered)
    if sign is None or isinstance(sign, Fault):
        return CliOutput(printable(text), fault=sign)
    if _PROXY_REFUSAL.search(text):
        return CliOutput(printable(f"the proxy refused the request: {text}"), fault=Fault.UNREACHABLE)
    return CliOutput(printable(text), status=sign)


def _sign(words: str, *, to_registry: bool, answered: bool) -> Fault | int | None:
    """Return what the words mean. Those of a refusal count only if the registry has `answered`."""
    for pattern, sign in _SIGNS:
        if re.search(pattern, words) and (isinstance(sign, Fault) or answered):
            return sign
    # The request failed in another way: the CLI works, but the answer was unusable.
    return Fault.NONSENSE if to_registry else None
