"""What a person reads after a failed `docker login`: the whole message and the whole hint."""

from datetime import timedelta
from email.utils import format_datetime
from typing import Final

import pytest

from agent.model import hints
from agent.model.clock_skew import clock_distance, registry_clock_skew
from agent.model.docker_errors import explain, not_a_registry
from agent.model.docker_results import CliOutput, Fault, ProbeResult
from agent.model.http_headers import parse_retry_after
from agent.model.problem import Problem
from agent.model.problems.aws import ClockSkew
from agent.model.problems.environment import DockerCliFailed
from agent.model.problems.registry import (
    EcrTokenExpired,
    LoginForbidden,
    LoginRejected,
    NotARegistry,
    ProxySettingUnusable,
    RegistryDns,
    RegistryError,
    RegistryRateLimited,
    RegistryRefusedRequest,
    RegistryTimeout,
    RegistryTls,
    RegistryUnreachable,
)
from agent.model.problems.stored_login import ConfigUnwritable
from tests.fakes import EPOCH

HOST: Final = "registry.example.test:5000"
NAME: Final = "registry.example.test"
TWO_MINUTES: Final = timedelta(minutes=2)
EXPIRED: Final = "Your authorization token has expired."
LIMITED: Final = f"{HOST} limits the request rate (status 429)"
PAGE: Final = f"{HOST} does not answer like a registry: status 302 with a page or a redirect to another host"
FULL: Final = "Error saving credentials: open /run/a/logins-x/config.json1: no space left on device"
SKEWED: Final = ClockSkew(HOST, f"this machine's clock is 6 min ahead of the clock of {HOST}")


def said(status: int | None = None, text: str = "", fault: Fault | None = None) -> CliOutput:
    return CliOutput(text, fault, status)


def probe(status: int | None = None, detail: str = "", wait: timedelta | None = None) -> ProbeResult:
    return ProbeResult(EPOCH, detail=detail, status=status, retry_after=wait)


STATUSES: Final = (
    (said(401), None, LoginRejected(HOST, f"{HOST} refused the user name or password of secret team")),
    (said(401), probe(403, "no"), LoginRejected(HOST, f"{HOST} refused the user name or password of secret team")),
    (said(), probe(399), RegistryError(HOST, f"{HOST} answered with status 399")),
    (said(500), probe(399), RegistryError(HOST, f"{HOST} answered with status 500")),
    (said(500), probe(401), RegistryError(HOST, f"{HOST} answered with status 500")),
    (said(), probe(200), DockerCliFailed(HOST, f"docker login to {HOST} failed: it printed nothing")),
    (said(), probe(401), DockerCliFailed(HOST, f"docker login to {HOST} failed: it printed nothing")),
    (
        said(401, "unauthorized: locked"),
        None,
        LoginRejected(HOST, f"{HOST} refused the user name or password of secret team: locked"),
    ),
    (
        said(403, "denied: locked"),
        probe(401, "no"),
        LoginForbidden(HOST, f"{HOST} denies access to the account of secret team (status 403): locked"),
    ),
    (
        said(403, "denied: locked"),
        probe(429),
        RegistryRateLimited(HOST, LIMITED),
    ),
    (
        said(403),
        probe(403, "no"),
        LoginForbidden(HOST, f"{HOST} denies access to the account of secret team (status 403): no"),
    ),
    (
        said(403),
        probe(403, EXPIRED.upper()),
        EcrTokenExpired(
            HOST,
            f"{HOST} reports that the token of secret team has expired",
            hint="put a new token into the secret, or use runner-native, a role or AWS keys, which the agent renews",
        ),
    ),
    (said(429), None, RegistryRateLimited(HOST, LIMITED)),
    (said(429), probe(200, wait=timedelta()), RegistryRateLimited(HOST, LIMITED, wait=timedelta())),
    (
        said(429),
        probe(429, wait=TWO_MINUTES),
        RegistryRateLimited(HOST, f"{LIMITED}; it asks to wait 120 s", wait=TWO_MINUTES),
    ),
    (
        said(429, "toomanyrequests: slow down"),
        probe(429, wait=timedelta(hours=12)),
        RegistryRateLimited(HOST, f"{LIMITED}: slow down; it asks to wait 43200 s or longer", wait=timedelta(hours=12)),
    ),
    (
        said(),
        probe(400),
        RegistryRefusedRequest(HOST, f"{HOST} rejected the login as a bad request (status 400)"),
    ),
    (
        said(498),
        None,
        RegistryRefusedRequest(HOST, f"{HOST} rejected the login as a bad request (status 498)"),
    ),
    (said(500), None, RegistryError(HOST, f"{HOST} answered with status 500")),
    (
        said(503),
        probe(503, "down", TWO_MINUTES),
        RegistryError(HOST, f"{HOST} answered with status 503: down", wait=TWO_MINUTES),
    ),
    (
        said(511),
        None,
        NotARegistry(HOST, f"a captive portal answers instead of {HOST} (status 511)", hint=hints.CAPTIVE_PORTAL),
    ),
)


@pytest.mark.parametrize(("output", "seen", "problem"), STATUSES)
def test_each_status_has_its_words(output: CliOutput, seen: ProbeResult | None, problem: Problem) -> None:
    """Those of the registry come last. Another answer to the agent's own request is not quoted."""
    assert explain(output, seen, HOST, "team") == problem


def test_a_token_that_aws_has_just_issued_is_not_the_secrets_fault() -> None:
    """A new token in the secret would not help."""
    refused = f"{HOST} refused the token that AWS issued for secret team"
    hint = hints.token_rejected("AWS")
    assert explain(said(401), None, HOST, "team", issuer="AWS") == LoginRejected(HOST, refused, hint=hint)
    locked = LoginRejected(HOST, f"{refused}: locked", hint=hint)
    assert explain(said(401, "unauthorized: locked"), None, HOST, "team", issuer="AWS") == locked
    expired = f"{HOST} reports that the token that AWS issued for secret team has expired"
    ended = explain(said(403), probe(403, EXPIRED), HOST, "team", issuer="AWS")
    assert ended == EcrTokenExpired(HOST, expired, hint=hint)


FAULTS: Final = (
    (
        *(Fault.DNS, "no answer"),
        RegistryDns(
            HOST,
            f"the name {HOST} does not resolve to an address: no answer",
            hint=hints.dns_hint(f"`getent hosts {NAME}`"),
        ),
    ),
    (
        *(Fault.DNS, f"lookup {NAME}: no such host"),
        RegistryDns(
            HOST,
            f"the name {HOST} does not resolve to an address: lookup {NAME}: no such host",
            hint=hints.dns_hint(f"`getent hosts {NAME}`"),
        ),
    ),
    (
        *(Fault.DNS, "lookup auth.example: no such host"),
        RegistryDns(
            HOST,
            f"the name auth.example, to which {HOST} redirects, does not resolve to an address: "
            "lookup auth.example: no such host",
            hint=hints.dns_hint("`getent hosts auth.example`"),
        ),
    ),
    (Fault.UNREACHABLE, "refused", RegistryUnreachable(HOST, f"no connection to {HOST}: refused")),
    (Fault.UNREACHABLE, "", RegistryUnreachable(HOST, f"no connection to {HOST}")),
    (
        *(Fault.UNREACHABLE, "HTTPS_PROXY is not a URL"),
        ProxySettingUnusable(HOST, f"no connection to {HOST}: HTTPS_PROXY is not a URL"),
    ),
    (
        *(Fault.UNREACHABLE, "the proxy answered with status 403"),
        RegistryUnreachable(
            HOST, f"no connection to {HOST}: the proxy answered with status 403", hint=hints.proxy_rules("HOST")
        ),
    ),
    (
        *(Fault.UNREACHABLE, "the proxy answered with status 511"),
        NotARegistry(HOST, f"no connection to {HOST}: the proxy answered with status 511", hint=hints.CAPTIVE_PORTAL),
    ),
    (Fault.TLS, "odd", RegistryTls(HOST, f"no secure connection to {HOST}: odd")),
    (
        *(Fault.TLS, "certificate has expired"),
        RegistryTls(
            HOST,
            f"no secure connection to {HOST}: certificate has expired",
            hint=hints.certificate_hint("certificate has expired", HOST),
        ),
    ),
    (
        *(Fault.TIMEOUT, "Get https://Auth.example/token: slow"),
        RegistryTimeout(
            HOST,
            f"{HOST} did not answer in time (at its token server Auth.example): Get https://Auth.example/token: slow",
            hint=RegistryTimeout.hint.replace("HOST", "Auth.example"),
        ),
    ),
    (Fault.TIMEOUT, f"https://{HOST}/", RegistryTimeout(HOST, f"{HOST} did not answer in time: https://{HOST}/")),
    (
        *(Fault.NONSENSE, "no JSON"),
        NotARegistry(HOST, f"{HOST} does not answer like a registry: no JSON", hint=hints.NOT_A_REGISTRY),
    ),
)


@pytest.mark.parametrize(("fault", "detail", "problem"), FAULTS)
def test_each_fault_has_its_words(fault: Fault, detail: str, problem: Problem) -> None:
    """Whether the CLI or the agent's own request met it. If both did, the agent's own words count."""
    assert explain(CliOutput(detail, fault), None, HOST, "team") == problem
    seen = ProbeResult(EPOCH, fault, detail)
    for output in (CliOutput("dial new"), CliOutput("https://new"), CliOutput("x", Fault.TIMEOUT)):
        assert explain(output, seen, HOST, "team") == problem


@pytest.mark.parametrize("hub", ["docker.io", "registry-1.docker.io"])
def test_docker_hubs_own_name_is_not_a_token_server(hub: str) -> None:
    """Docker Hub answers under another name than people use. For other registries, it is another server."""
    output = CliOutput(f"https://{hub}/v2/", Fault.TIMEOUT)
    assert "token server" not in explain(output, None, "docker.io", "team").message
    assert f"(at its token server {hub})" in explain(output, None, HOST, "team").message


def test_a_page_instead_of_a_registry_has_its_words() -> None:
    """It decides before a fault of the CLI, which may be about the host of a redirect."""
    page = ProbeResult(EPOCH, status=302, registry=False)
    problem = NotARegistry(HOST, PAGE, hint=hints.NOT_A_REGISTRY)
    assert not_a_registry(HOST, page) == problem
    for output in (said(), said(text="odd", fault=Fault.TLS)):
        assert explain(output, page, HOST, "team") == problem
    assert explain(said(403), page, HOST, "team").code == "login_forbidden"


def test_a_failure_on_this_machine_has_its_words() -> None:
    """Of the runtime directory, or of the CLI itself."""
    message = f"docker login to {HOST} could not save its result in the agent's runtime directory /run/a: no space left"
    hint = hints.runtime_hint("no space left", "/run/a", writer="docker")
    local = CliOutput(FULL, local=True)
    assert explain(local, probe(403), HOST, "team") == ConfigUnwritable(HOST, message, hint=hint)
    odd = explain(CliOutput("odd"), None, HOST, "team")
    assert odd == DockerCliFailed(HOST, f"docker login to {HOST} failed: odd")
    unreadable = "open /etc/docker/certs.d/h/ca.crt: permission denied"
    problem = explain(CliOutput(unreadable), None, HOST, "team")
    hint = "let the agent's user read /etc/docker/certs.d/h/ca.crt"
    assert problem == DockerCliFailed(HOST, f"docker login to {HOST} failed: {unreadable}", hint=hint)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s behind AWS's"),
        (1, "1 s ahead of AWS's"),
        (59, "59 s ahead of AWS's"),
        (60, "1 min ahead of AWS's"),
        (-59.6, "1 min behind AWS's"),
        (-600, "10 min behind AWS's"),
    ],
)
def test_a_distance_between_clocks_is_readable(seconds: float, words: str) -> None:
    """In seconds up to a minute."""
    assert clock_distance(timedelta(seconds=seconds), "AWS's") == f"this machine's clock is {words}"


def test_a_wrong_clock_explains_only_what_it_can_cause() -> None:
    """A certificate, or a token that the registry does not accept yet. A refused password stays one."""
    seen = ProbeResult(EPOCH, status=401, server_time=EPOCH - timedelta(minutes=6))
    assert registry_clock_skew(seen, HOST) == SKEWED
    assert explain(said(text="odd", fault=Fault.TLS), seen, HOST, "team") == SKEWED
    assert explain(said(403), seen, HOST, "team") == SKEWED
    assert explain(said(401), seen, HOST, "team").code == "login_rejected"
    assert explain(said(503), seen, HOST, "team").code == "registry_error"


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("999999999", 12 * 3600),
        ("12", 12),
        ("1234567890", 12 * 3600),
        (99, 99),
        (-5, 0),
        (99 * 3600, 12 * 3600),
        ("0", 0),
        ("٣", None),
        ("soon", None),
        (None, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | int | None, wait_s: int | None) -> None:
    """A date, here as the seconds until then, may be in the past: no wait."""
    date = format_datetime(EPOCH + timedelta(seconds=header), usegmt=True) if isinstance(header, int) else header
    assert parse_retry_after(date, EPOCH) == (None if wait_s is None else timedelta(seconds=wait_s))
