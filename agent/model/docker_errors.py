"""Finds out why a `docker login` failed, from the CLI's output and from the agent's own request to `/v2/`."""

import re
from http import HTTPStatus
from typing import Final

from agent.model import hints
from agent.model.clock_skew import registry_clock_skew
from agent.model.commands import command, shown
from agent.model.docker_results import NO_ANSWER, CliOutput, Fault, ProbeResult
from agent.model.http_headers import LONGEST_ASKED
from agent.model.problem import Problem
from agent.model.problems import registry as problems
from agent.model.problems.environment import DockerCliFailed
from agent.model.problems.stored_login import ConfigUnwritable
from agent.model.registry import Registry
from agent.model.text import HOST_WORD

_LOOKED_UP: Final = re.compile(r"\blookup ([\w.-]+)")
_URL_HOST: Final = re.compile(r"https?://([\w.:-]+)|\bat its token server ([\w.:-]+)")
_FILE_CALL: Final = r"(?:open\w*|mkdir\w*|rename\w*|write|close|f?sync|chmod|\w*link\w*) /\S*(?:/logins-|config\.json)"
_UNSAVED: Final = re.compile(
    rf"^(?:error saving credentials: .*?|{_FILE_CALL}.*?)(no space left|quota exceeded|read-only file system"
    r"|permission denied|operation not permitted|input/output error|resource busy|cross-device link)",
    re.IGNORECASE,
)
_UNREADABLE: Final = re.compile(r"\bopen (/\S+): permission denied")
_PODMAN: Final = "podman"
_PODMANS_FILE: Final = re.compile(r'"(/[^"]+\.(?:json|conf))"')
_RUNTIME: Final = re.compile(r"(/\S+?)/logins-")
_UNAUTHORIZED: Final = HTTPStatus.UNAUTHORIZED
_BAD_REQUEST: Final = range(400, 500)
_TEMPORARY: Final = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.MISDIRECTED_REQUEST,
    HTTPStatus.TOO_EARLY,
    499,  # nginx: the connection was closed before the answer
)
"""Answers in the range of bad requests that a gateway or a proxy gives, and that another try may not get."""


def explain(
    output: CliOutput, probe: ProbeResult | None, hostname: str, secret: str, *, issuer: str = "", cli: str = "docker"
) -> Problem:
    """Return the problem behind a failed login. The agent's own probe decides if the CLI's output is vague.

    `issuer` is the cloud that has just issued the password for the secret, such as AWS. Empty for any other password.
    `cli` is the program that printed the output: docker or podman.
    """
    if output.local:
        return cli_failed(hostname, output.text, cli)
    skew = registry_clock_skew(probe, hostname)
    probe = probe or NO_ANSWER
    status = _status(output, probe)
    if status == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        problem = _portal(hostname, probe)
    elif status is not None and (output.status is not None or probe.registry):
        words = output.registry_words if output.status == status else ""
        problem = _of_status(status, hostname, secret, probe, words, issuer=issuer)
    elif probe.fault is not None and output.about_network:
        problem = _of_fault(probe.fault, hostname, probe.detail)
    elif not probe.registry:
        # This comes before the CLI's own fault, which may be about another host: the one of the redirect.
        problem = not_a_registry(hostname, probe)
    elif output.fault is not None:
        problem = _of_fault(output.fault, hostname, output.text)
    else:
        problem = cli_failed(hostname, output.text, cli)
    return skew if skew is not None and isinstance(problem, problems.RegistryTls | problems.LoginForbidden) else problem


def cli_failed(hostname: str, text: str, cli: str = "docker") -> Problem:
    """Return the problem for a failure of the CLI itself, not of the registry."""
    unsaved = _UNSAVED.match(text)
    if unsaved is not None:
        found = _RUNTIME.search(text)
        runtime = found[1] if found else None
        # Without docker's own text: the private path in it is another one in each attempt.
        where = f"the agent's runtime directory {runtime}" if runtime else "the agent's runtime directory"
        return ConfigUnwritable(
            hostname,
            f"{cli} login to {hostname} could not save its result in {where}: {unsaved[1].lower()}",
            hint=hints.runtime_hint(unsaved[1], runtime, writer=cli),
        )
    unreadable = _UNREADABLE.search(text)
    hint: str | None = None
    if unreadable:
        hint = f"let the agent's user read {shown(unreadable[1])}"
    elif cli == _PODMAN:
        hint = _podman_hint(hostname, text)
    return DockerCliFailed(hostname, f"{cli} login to {hostname} failed: {text or 'it printed nothing'}", hint=hint)


def _podman_hint(hostname: str, text: str) -> str:
    """Return what to do if podman cannot read a file of its own, or fails in another way."""
    named = _PODMANS_FILE.search(text)
    if named and not _RUNTIME.match(named[1]):
        return f"fix {shown(named[1])} or move it away; podman reads it at each login"
    run = command("podman login --get-login", hostname)
    return f"fix what podman reports; run {run} to see it again" if run else "fix what podman reports"


def not_a_registry(hostname: str, probe: ProbeResult) -> Problem:
    if probe.status == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        return _portal(hostname, probe)
    return problems.NotARegistry(
        hostname,
        f"{hostname} does not answer like a registry: status {probe.status} with a page or a redirect to another host",
        hint=_about(hints.NOT_A_REGISTRY, probe.token_server or Registry(hostname).api_host, hostname),
    )


def _portal(hostname: str, probe: ProbeResult) -> Problem:
    server = f"{probe.token_server}, the token server of {hostname}" if probe.token_server else hostname
    message = f"a captive portal answers instead of {server} (status 511)"
    return problems.NotARegistry(hostname, message, hint=hints.CAPTIVE_PORTAL)


def _status(output: CliOutput, probe: ProbeResult) -> int | None:
    """Return the HTTP status to explain: the probe's if the probe was refused too, otherwise the CLI's."""
    asked = probe.status
    if output.status == _UNAUTHORIZED or probe.refused:
        return _UNAUTHORIZED
    # A 401 to a request without the password is only the challenge.
    if asked is not None and asked >= _BAD_REQUEST.start and asked != _UNAUTHORIZED:
        return asked
    if output.status is not None or output.fault is not None or asked in (HTTPStatus.OK, _UNAUTHORIZED):
        return output.status
    return asked


def _of_status(status: int, hostname: str, secret: str, probe: ProbeResult, words: str, *, issuer: str) -> Problem:
    said = f": {words}" if words else ""
    # A probe without the password may get another answer than the CLI. Then its body does not explain this status.
    same = probe.status == status
    body = said or (f": {probe.detail}" if same and probe.registry and probe.detail else "")
    answering = f"{probe.token_server}, the token server of {hostname}," if same and probe.token_server else hostname
    wait = probe.retry_after
    match status:
        case 401:
            whose = f"token that {issuer} issued for" if issuer else "user name or password of"
            hint = hints.token_rejected(issuer) if issuer else None
            return problems.LoginRejected(hostname, f"{hostname} refused the {whose} secret {secret}{said}", hint=hint)
        case 403 | 451:
            return _forbidden(status, hostname, secret, probe, body, issuer=issuer)
        case 407:
            message = f"no answer from {hostname}: the proxy (HTTPS_PROXY) asks for a login (status 407)"
            return problems.ProxySettingUnusable(hostname, message)
        case 429:
            more = " or longer" if wait == LONGEST_ASKED else ""
            after = f"; it asks to wait {wait.total_seconds():.0f} s{more}" if wait else ""
            message = f"{answering} limits the request rate (status 429){said}{after}"
            return problems.RegistryRateLimited(hostname, message, wait=wait)
    if status in _BAD_REQUEST and status not in _TEMPORARY:
        message = f"{answering} rejected the login as a bad request (status {status}){body}"
        return problems.RegistryRefusedRequest(hostname, message)
    return problems.RegistryError(hostname, f"{answering} answered with status {status}{body}", wait=wait)


def _forbidden(status: int, hostname: str, secret: str, probe: ProbeResult, body: str, *, issuer: str) -> Problem:
    if not probe.token_expired:
        account = f" to the account of secret {secret}" if secret else ""
        message = f"{hostname} denies access{account} (status {status}){body}"
        return problems.LoginForbidden(hostname, message)
    if issuer:
        whose, hint = f"that {issuer} issued for secret {secret}", hints.token_rejected(issuer)
    else:
        whose = f"of secret {secret}"
        hint = "put a new token into the secret, or use runner-native, a role or AWS keys, which the agent renews"
    return problems.EcrTokenExpired(hostname, f"{hostname} reports that the token {whose} has expired", hint=hint)


def _of_fault(fault: Fault, hostname: str, detail: str) -> Problem:
    cause = f": {detail}" if detail else ""
    failed, at = _failed_host(hostname, detail), _token_server(hostname, detail)
    match fault:
        case Fault.DNS:
            found = _LOOKED_UP.search(detail)
            looked_up = found[1] if found else failed.partition(":")[0]
            own = hostname if found else Registry(hostname).api_host
            # A registry may refer to another host for the token, and that name may be the wrong one.
            name = hostname if looked_up == own.partition(":")[0] else f"{looked_up}, to which {hostname} redirects,"
            lookup = command("getent hosts", looked_up)
            hint = hints.dns_hint(lookup) if lookup else None
            return problems.RegistryDns(hostname, f"the name {name} does not resolve to an address{cause}", hint=hint)
        case Fault.UNREACHABLE:
            return _unreachable(hostname, f"no connection to {hostname}{at}{cause}", detail, failed)
        case Fault.TLS:
            kind = problems.OwnCertificatesUnusable if hints.NAMES_CA_VARIABLE.search(detail) else problems.RegistryTls
            hint = None if kind is problems.OwnCertificatesUnusable else hints.certificate_hint(detail, hostname)
            return kind(hostname, f"no secure connection to {hostname}{at}{cause}", hint=hint)
        case Fault.TIMEOUT:
            hint = _about(problems.RegistryTimeout.hint, failed, hostname)
            return problems.RegistryTimeout(hostname, f"{hostname} did not answer in time{at}{cause}", hint=hint)
        case Fault.NONSENSE:
            message = f"{hostname} does not answer like a registry{at}{cause}"
            return problems.NotARegistry(hostname, message, hint=_about(hints.NOT_A_REGISTRY, failed, hostname))


def _unreachable(hostname: str, message: str, detail: str, failed: str) -> Problem:
    if not hints.ABOUT_PROXY.search(detail):
        hint = _about(problems.RegistryUnreachable.hint, failed, hostname)
        return problems.RegistryUnreachable(hostname, message, hint=hint)
    if hints.FROM_CAPTIVE_PORTAL.search(message):
        return problems.NotARegistry(hostname, message, hint=hints.CAPTIVE_PORTAL)
    if hints.PROXY_RULES_REFUSE.search(message):
        return problems.RegistryUnreachable(hostname, message, hint=_about(hints.proxy_rules("HOST"), failed, hostname))
    return problems.ProxySettingUnusable(hostname, message)


def _token_server(hostname: str, detail: str) -> str:
    """Name the server that failed, if it is not the registry, and the detail does not name it anyway."""
    failed = _failed_host(hostname, detail)
    own = {hostname, Registry(hostname).api_host}
    return "" if failed.lower() in own or "at its token server" in detail else f" (at its token server {failed})"


def _failed_host(hostname: str, detail: str) -> str:
    """Return the host that failed, as a URL has it: the last one that the text names, or else the registry's own.

    In the CLI's text, the URL of a token server follows that of the registry.
    """
    found = [match[1] or match[2] for match in _URL_HOST.finditer(detail)]
    return found[-1].rstrip(".:") if found else Registry(hostname).api_host


def _about(hint: str, failed: str, hostname: str) -> str:
    """Return a hint about the host that failed. It may be another one than that of the secret, which replaces HOST."""
    return hint if failed.lower() == hostname else HOST_WORD.sub(lambda _: shown(failed), hint)
