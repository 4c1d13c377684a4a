"""Why a `docker login` failed: from what the CLI printed, and from what the agent itself saw at `/v2/`."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from agent.model import hints
from agent.model.commands import command
from agent.model.problem import Problem
from agent.model.problems.aws import ClockSkew
from agent.model.problems.environment import DockerCliFailed
from agent.model.problems.registry import (
    EcrTokenExpired,
    LoginForbidden,
    LoginRejected,
    NotARegistry,
    RegistryDns,
    RegistryError,
    RegistryRateLimited,
    RegistryRefusedRequest,
    RegistryTimeout,
    RegistryTls,
    RegistryUnreachable,
)
from agent.model.problems.stored_login import ConfigUnwritable
from agent.model.text import printable

CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""AWS refuses signatures whose time is further off than this."""
_EXPIRED: Final = "authorization token has expired"
_LONGEST_WAIT: Final = timedelta(hours=12)


class Fault(StrEnum):
    """What kept a registry's answer away."""

    DNS = "dns"
    UNREACHABLE = "unreachable"
    TLS = "tls"
    TIMEOUT = "timeout"
    NONSENSE = "nonsense"
    """There was an answer, but not in HTTP, or not the token that was asked for."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What the agent saw when it asked `/v2/` itself.

    Either a `fault` (with its `detail`) or an answer. `detail` is the body's beginning, printable. `registry` is
    whether the answer looked like a registry's at all. `server_time` is the Date header, `seen_at` our clock then.
    """

    seen_at: datetime
    fault: Fault | None = None
    detail: str = ""
    status: int | None = None
    registry: bool = True
    retry_after: timedelta | None = None
    server_time: datetime | None = None
    refused: bool = False
    """Whether this is a 401 although the user name and the password were sent."""
    tls: bool = False
    """Whether the answer came over TLS."""

    @property
    def token_expired(self) -> bool:
        """Whether this is ECR's word for a token past its time (403, and this text)."""
        return _EXPIRED in self.detail.lower()


@dataclass(frozen=True, slots=True)
class CliOutput:
    """What the docker CLI said: a `fault`, or a `status` from the registry, or neither where it is not understood."""

    text: str
    fault: Fault | None = None
    status: int | None = None

    @property
    def about_network(self) -> bool:
        """Whether it tells of a request at all, so that what the agent saw may stand in for words not understood."""
        return self.fault is not None or "://" in self.text or "dial " in self.text


_STATUS: Final = re.compile(
    r"(?:failed with status|unexpected HTTP status|unexpected status(?: code)?)[^0-9]{0,80}(\d{3})"
)
# In this order: a lookup that timed out is a DNS fault, a handshake that timed out is a timeout, and nonsense may
# be quoted.
_SIGNS: Final[tuple[tuple[re.Pattern[str], Fault | int], ...]] = (
    (re.compile(r"proxyconnect|proxy authentication required", re.IGNORECASE), Fault.UNREACHABLE),
    (re.compile(r"malformed (?:HTTP|MIME)|unable to decode token|did not include a token"), Fault.NONSENSE),
    (re.compile(r"toomanyrequests|too many requests", re.IGNORECASE), 429),
    (re.compile(r"unauthorized|incorrect username or password|authentication required", re.IGNORECASE), 401),
    (re.compile(r"\bdenied\b|\bforbidden\b", re.IGNORECASE), 403),
    (re.compile(r"no such host|server misbehaving|\blookup \S+|name resolution", re.IGNORECASE), Fault.DNS),
    (re.compile(r"deadline exceeded|timeout|timed out|request canceled", re.IGNORECASE), Fault.TIMEOUT),
    (re.compile(r"x509|tls:|certificate|HTTP response to HTTPS client", re.IGNORECASE), Fault.TLS),
    (
        re.compile(r"connection re(?:fused|set)|no route to host|network is unreachable|\bEOF$|broken pipe"),
        Fault.UNREACHABLE,
    ),
    # A request that failed in any other way: the CLI is well, the answer was not.
    (re.compile(r"^(?:Get|Head|Post) \"?https?://"), Fault.NONSENSE),
)
# Go tells a proxy's refusal by its reason phrase alone ("Forbidden"); with a registry's own word there stands more.
_PROXYS_OWN: Final = re.compile(r"^(?:(?:Get|Head|Post) \"?https?://[^\"\s]+\"?: )+[A-Z][^:\"]*$")
_LOOKED_UP: Final = re.compile(r"\blookup ([\w.-]+)")
_FALLBACK: Final = re.compile(r"http://([^/\"\s]+)/v2/")
_LOGGED: Final = re.compile(r'msg="Error logging in to endpoint, trying next endpoint".* error="((?:[^"\\]|\\.)*)"$')
_ESCAPED: Final = re.compile(r"\\(.)")


def read_stderr(stderr: bytes) -> CliOutput:
    """What the last line of `docker login`'s stderr says (the lines before it are the CLI's own noise).

    The texts are those of docker CLI 20.10 to 29, with or without an engine in front (docs/docker-versions.md).
    """
    # Not `splitlines`: to Python more characters end a line, and half a quoted password would be left.
    lines = [line.strip() for line in stderr.decode(errors="replace").split("\n") if line.strip()]
    if not lines:
        return CliOutput("")
    return _answer_over_tls(lines) or _read(lines[-1])


def _answer_over_tls(lines: list[str]) -> CliOutput | None:
    """The registry's answer over TLS, if the CLI then fell back to plain HTTP and failed there too.

    By itself the CLI falls back on loopback up to version 28.3, even after "401 Unauthorized". The answer is only in
    its log lines.
    """
    fallback = _FALLBACK.search(lines[-1])
    if fallback is None:
        return None
    for line in lines[:-1]:
        logged = _LOGGED.search(line)
        if logged is not None and f"https://{fallback[1]}/v2/" in logged[1]:
            said = _read(_ESCAPED.sub(lambda escape: " " if escape[1] in "nrt" else escape[1], logged[1]))
            return said if said.status is not None or said.fault is Fault.NONSENSE else None
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
            if _PROXYS_OWN.search(text):
                return CliOutput(printable(f"the proxy did not let it through: {text}"), fault=Fault.UNREACHABLE)
            return CliOutput(printable(text), status=sign)
    return CliOutput(printable(text))


def explain(
    output: CliOutput, probe: ProbeResult | None, hostname: str, secret: str, *, fetched: bool = False
) -> Problem:
    """The problem behind a failed login: the agent's own look decides where the CLI was vague.

    `fetched` is whether the password is a token that AWS has just given for the secret.
    """
    skew = clock_skew(probe, hostname)
    status = _status(output, probe)
    if status is not None and not (output.status is None and probe is not None and not probe.registry):
        problem = _of_status(status, hostname, secret, probe, fetched=fetched)
    elif probe is not None and probe.fault is not None and output.about_network:
        problem = _of_fault(probe.fault, hostname, probe.detail)
    elif probe is not None and not probe.registry:
        # Before the CLI's own fault, which is about wherever it was sent to.
        problem = not_a_registry(hostname, probe)
    elif output.fault is not None:
        problem = _of_fault(output.fault, hostname, output.text)
    else:
        problem = cli_failed(hostname, output.text)
    return skew if skew is not None and isinstance(problem, RegistryTls | LoginForbidden) else problem


def clock_skew(probe: ProbeResult | None, hostname: str) -> ClockSkew | None:
    """The problem, if the registry's clock is further from ours than AWS bears."""
    if probe is None or probe.server_time is None:
        return None
    off = probe.seen_at - probe.server_time
    if abs(off) <= CLOCK_TOLERANCE:
        return None
    direction = "ahead of" if off > timedelta() else "behind"
    minutes = round(abs(off).total_seconds() / 60)
    return ClockSkew(hostname, f"this machine's clock is {minutes} min {direction} the clock of {hostname}")


def cli_failed(hostname: str, text: str) -> Problem:
    """The problem, if it is the CLI's own and not the registry's."""
    if "no space left" in text or "read-only file system" in text or "quota exceeded" in text:
        return ConfigUnwritable(
            hostname,
            f"docker login to {hostname} could not save its result in the agent's runtime directory: {text}",
            hint="make room on the file system of the agent's runtime directory",
        )
    return DockerCliFailed(hostname, f"docker login to {hostname} failed: {text or 'it printed nothing'}")


def not_a_registry(hostname: str, probe: ProbeResult) -> Problem:
    return NotARegistry(
        hostname,
        f"{hostname} does not answer as a registry: status {probe.status} and a page or a redirect to elsewhere",
        hint=hints.SOMEBODY_ELSE,
    )


def parse_retry_after(value: str | None, now: datetime, parsed_date: datetime | None) -> timedelta | None:
    """`Retry-After` as seconds or as a date (`parsed_date`, by the caller); at most 12 hours, never negative."""
    if value is not None and value.strip().isascii() and value.strip().isdigit():
        wait = timedelta(seconds=min(int(value.strip()[:9]), int(_LONGEST_WAIT.total_seconds())))
    elif parsed_date is not None:
        wait = parsed_date - now
    else:
        return None
    return min(max(wait, timedelta()), _LONGEST_WAIT)


def _status(output: CliOutput, probe: ProbeResult | None) -> int | None:
    """The agent's own look is taken where it saw a refusal too; the CLI's where only it got that far."""
    if output.status == 401 or (probe is not None and probe.refused):  # noqa: PLR2004 - with the password, the answer was no
        return 401
    if probe is not None and probe.status is not None and probe.status >= 400 and probe.status != 401:  # noqa: PLR2004
        return probe.status
    if output.status is not None:
        return output.status
    return None if output.fault is not None or probe is None or probe.status in (None, 200, 401) else probe.status


def _of_status(status: int, hostname: str, secret: str, probe: ProbeResult | None, *, fetched: bool) -> Problem:
    # The look without the password may have got another answer.
    body = (
        f": {probe.detail}" if probe is not None and probe.detail and probe.registry and probe.status == status else ""
    )
    if status == 401 and fetched:  # noqa: PLR2004
        return LoginRejected(
            hostname, f"{hostname} refused the token that AWS gave for secret {secret}", hint=hints.OF_FETCHED
        )
    if status == 401:  # noqa: PLR2004
        return LoginRejected(hostname, f"{hostname} refused the user name or password of secret {secret}")
    if status == 403:  # noqa: PLR2004
        return _forbidden(hostname, secret, probe, body, fetched=fetched)
    if status == 429:  # noqa: PLR2004
        wait = probe.retry_after if probe else None
        more = " or longer" if wait == _LONGEST_WAIT else ""
        after = f"; it asks to wait {wait.total_seconds():.0f} s{more}" if wait else ""
        return RegistryRateLimited(hostname, f"{hostname} was asked too often (status 429){after}", wait=wait)
    if 400 <= status < 500:  # noqa: PLR2004
        return RegistryRefusedRequest(
            hostname, f"{hostname} refused the login as a wrong request (status {status}){body}"
        )
    wait = probe.retry_after if probe else None
    return RegistryError(hostname, f"{hostname} answered with status {status}{body}", wait=wait)


def _forbidden(hostname: str, secret: str, probe: ProbeResult | None, body: str, *, fetched: bool) -> Problem:
    if probe is not None and probe.token_expired:
        if fetched:
            said = f"{hostname} says that the token that AWS gave for secret {secret} has expired"
            return EcrTokenExpired(hostname, said, hint=hints.OF_FETCHED)
        return EcrTokenExpired(
            hostname,
            f"{hostname} says that the token of secret {secret} has expired",
            hint="put a new token into the secret, or use runner-native, a role or AWS keys, which the agent renews",
        )
    return LoginForbidden(hostname, f"{hostname} does not let the account of secret {secret} in (status 403){body}")


def _of_fault(fault: Fault, hostname: str, detail: str) -> Problem:
    cause = f": {detail}" if detail else ""
    match fault:
        case Fault.DNS:
            found = _LOOKED_UP.search(detail)
            elsewhere = found is not None and found[1] not in (hostname, hostname.partition(":")[0])
            name = f"the name {found[1]}, to which {hostname} sends," if found and elsewhere else f"the name {hostname}"
            looked_up = found[1] if found and elsewhere else hostname.partition(":")[0]
            lookup = command("getent hosts", looked_up)
            hint = hints.dns_hint(lookup) if lookup else None
            return RegistryDns(hostname, f"{name} does not resolve to an address{cause}", hint=hint)
        case Fault.UNREACHABLE:
            proxy = hints.PROXY if "proxy" in detail.lower() else None
            return RegistryUnreachable(hostname, f"no connection to {hostname}{cause}", hint=proxy)
        case Fault.TLS:
            mend = hints.certificate_hint(detail)
            return RegistryTls(hostname, f"no secure connection to {hostname}{cause}", hint=mend)
        case Fault.TIMEOUT:
            return RegistryTimeout(hostname, f"{hostname} did not answer in time{cause}")
        case Fault.NONSENSE:
            return NotARegistry(
                hostname,
                f"{hostname} does not answer as a registry{cause}",
                hint=hints.SOMEBODY_ELSE,
            )
