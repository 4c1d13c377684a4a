"""The CLI's output and the agent's own probe of `/v2/` become the right problem."""

from dataclasses import replace
from datetime import timedelta

import pytest

from agent.model import hints
from agent.model.clock_skew import registry_clock_skew
from agent.model.docker_errors import explain
from agent.model.docker_output import read_stderr
from agent.model.docker_results import CliOutput, Fault, ProbeResult
from agent.model.http_headers import parse_retry_after
from agent.model.problem import Needs, Problem, RetryClass
from tests.fakes import EPOCH
from tests.rig.growth import assert_linear

HOST = "registry.example.test"

# The last lines of `docker login`'s stderr, CLI 20.10 to 29, with and without an engine.
TEXTS = {
    # podman's
    'Error: logging into "denied.example": invalid username/password': "login_rejected",
    'Error: authenticating creds for "h": pinging container registry h: received unexpected HTTP status: 503 Down': (
        "registry_error"
    ),
    f'Get "https://{HOST}/v2/": unauthorized: incorrect username or password': "login_rejected",
    f'Error response from daemon: Get "https://{HOST}/v2/": unauthorized: incorrect username or password': (
        "login_rejected"
    ),
    f"login attempt to https://{HOST}/v2/ failed with status: 401 Unauthorized": "login_rejected",
    f"login attempt to https://{HOST}/v2/ failed with status: 403 Forbidden": "login_forbidden",
    f'Get "https://{HOST}/v2/": denied: denied': "login_forbidden",
    f"login attempt to https://{HOST}/v2/ failed with status: 400 Bad Request": "registry_refused_request",
    f"login attempt to https://{HOST}/v2/ failed with status: 404 Not Found": "registry_refused_request",
    f"login attempt to https://{HOST}/v2/ failed with status: 429 Too Many Requests": "registry_rate_limited",
    f'Get "https://{HOST}/v2/": toomanyrequests: too many failed login attempts': "registry_rate_limited",
    f'Get "https://{HOST}/v2/": unauthorized: locked, see https://{HOST}/help: Contact support': "login_rejected",
    f"login attempt to https://{HOST}/v2/ failed with status: 503 Service Unavailable": "registry_error",
    f'Get "https://{HOST}/v2/": received unexpected HTTP status: 502 Bad Gateway': "registry_error",
    f'Get "https://{HOST}/v2/": dial tcp 10.0.0.1:443: connect: connection refused': "registry_unreachable",
    f'Get "https://{HOST}/v2/": read tcp 10.0.0.2:1->10.0.0.1:443: read: connection reset by peer': (
        "registry_unreachable"
    ),
    f'Get "https://{HOST}/v2/": proxyconnect tcp: dial tcp: lookup proxy on 10.0.0.1:53: no such host': (
        "registry_unreachable"
    ),
    f'Get "https://{HOST}/v2/": Proxy Authentication Required': "registry_unreachable",
    f'Get "https://{HOST}/v2/": Unauthorized': "registry_unreachable",
    f'Get "https://{HOST}/v2/": Forbidden': "registry_unreachable",
    f'Get "https://{HOST}/v2/": Too Many Requests': "registry_unreachable",
    f"Get https://{HOST}/v2/: Access Denied by policy": "registry_unreachable",
    f'Error response from daemon: Get "https://{HOST}/v2/": Get "https://auth.example/token?service=x": Forbidden': (
        "registry_unreachable"
    ),
    f'Get "https://{HOST}/v2/": EOF': "registry_unreachable",
    f'Get "https://{HOST}/v2/": dial tcp: lookup {HOST} on 10.0.0.1:53: no such host': "registry_dns",
    f'Get "https://{HOST}/v2/": dial tcp: lookup {HOST}: i/o timeout': "registry_dns",
    f'Get "https://{HOST}/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority': (
        "registry_tls"
    ),
    f'Get "https://{HOST}/v2/": http: server gave HTTP response to HTTPS client': "registry_tls",
    f'Get "https://{HOST}/v2/": net/http: TLS handshake timeout': "registry_timeout",
    f'Get "https://{HOST}/v2/": context deadline exceeded': "registry_timeout",
    "panic: runtime error": "docker_cli_failed",
    "": "docker_cli_failed",
}


def problem_for(text: str, probe: ProbeResult | None = None) -> Problem:
    log = 'time="2026-01-01T00:00:00Z" level=info msg="Error logging in to endpoint, trying next endpoint"'
    return explain(read_stderr(f"{log}\n{text}\n".encode() if text else b""), probe, HOST, "team")


@pytest.mark.parametrize(("text", "code"), TEXTS.items())
def test_each_text_has_its_code(text: str, code: str) -> None:
    """The last line decides. The CLI's log lines before it do not count."""
    assert problem_for(text).code == code


LOCAL = {
    "Error saving credentials: open /run/user/1000/registry-agent/logins-x1/config.json12: permission denied": (
        "config_unwritable",
        "RUNTIME_DIRECTORY",
    ),
    "error saving credentials: mkdir /home/ada/.local/logins-x1/.docker: permission denied": (
        "config_unwritable",
        "RUNTIME_DIRECTORY",
    ),
    "rename /run/agent/logins-x1/config.json1 /run/agent/logins-x1/config.json: operation not permitted": (
        "config_unwritable",
        "RUNTIME_DIRECTORY",
    ),
    "Error saving credentials: write /run/agent/logins-x1/config.json1: disk quota exceeded": (
        "config_unwritable",
        "free up space on the file system of /run/agent: `df -h /run/agent`",
    ),
    "Error saving credentials: open /run/agent/logins-x1/config.json1: read-only file system": (
        "config_unwritable",
        "read-only",
    ),
    "Error saving credentials: error storing credentials - err: exit status 1, out: `unauthorized`": (
        "docker_cli_failed",
        "docker",
    ),
    "open /etc/docker/certs.d/denied/ca.crt: permission denied": (
        "docker_cli_failed",
        "read /etc/docker/certs.d/denied/ca.crt",
    ),
    'Error: logging into "h": open /run/containers/0/auth.json: permission denied': (
        "docker_cli_failed",
        "read /run/containers/0/auth.json",
    ),
    "fork/exec /usr/libexec/docker/cli-plugins/x: permission denied": ("docker_cli_failed", "docker"),
    "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock": (
        "docker_cli_failed",
        "docker",
    ),
    'Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.45/info": dial unix /var/run/docker.sock: connect: permission denied': (
        "docker_cli_failed",
        "docker",
    ),
}


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (
            'Error: get credentials: 1 error occurred: * reading JSON file "/home/ada/.config/containers/auth.json": x',
            "fix /home/ada/.config/containers/auth.json or move it away",
        ),
        (
            'Error: get credentials: loading registries configuration "/etc/containers/registries.conf": toml: line 1',
            "fix /etc/containers/registries.conf or move it away",
        ),
        (
            "Error: get credentials: 1 error occurred: * error getting credentials - err: exec: not found, out: ``",
            f"run `podman login --get-login {HOST}`",
        ),
    ],
    ids=["auth.json", "registries.conf", "helper"],
)
def test_a_fault_of_podmans_own_files_is_podmans(text: str, hint: str) -> None:
    """Where podman logs in, there may be no docker to run or to reinstall."""
    problem = explain(read_stderr(text.encode()), ProbeResult(EPOCH, status=401), HOST, "team", cli="podman")
    assert problem.code == "docker_cli_failed"
    assert problem.message.startswith(f"podman login to {HOST} failed: get credentials: ")
    assert hint in problem.hint
    assert "docker" not in problem.hint


@pytest.mark.parametrize("probe", [None, ProbeResult(EPOCH, status=403), ProbeResult(EPOCH, status=401)])
@pytest.mark.parametrize(("text", "expected"), LOCAL.items())
def test_an_error_of_this_machine_is_never_the_registrys(
    text: str, expected: tuple[str, str], probe: ProbeResult | None
) -> None:
    """It is tried again soon, whatever words it has and whatever the agent's own probe got. The hint fits the cause."""
    problem = problem_for(text, probe)
    assert (problem.code, problem.retry_class) == (expected[0], RetryClass.SOON)
    assert expected[1] in problem.hint


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('Get "https://denied.example/v2/": dial tcp: lookup denied.example: no such host', "registry_dns"),
        ('Get "https://unauthorized.example/v2/": dial tcp 10.0.0.1:443: connect: connection refused', "registry_un"),
        ('Get "https://certificate.example/v2/": read tcp 10.0.0.1:443: connection reset by peer', "registry_un"),
        (f'Get "https://{HOST}/v2/": x509: certificate is valid for timeout.example, not {HOST}', "registry_tls"),
        (f'Get "https://{HOST}/v2/": dial tcp 10.0.0.1:443: connect: permission denied', "registry_unreachable"),
        (f'Get "https://{HOST}/v2/": error parsing HTTP 403 response body: unexpected EOF', "login_forbidden"),
        (f'Get "https://{HOST}/v2/": unknown: Bad credentials', "login_rejected"),
    ],
)
def test_a_word_counts_only_together_with_where_it_comes_from(text: str, code: str) -> None:
    """A host name can be any word, and a firewall on this machine also denies."""
    assert problem_for(text).code.startswith(code)


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("unauthorized: use a personal access token", "use a personal access token"),
        ("denied: account locked, see https://H/unlock: or ask", "account locked, see https://H/unlock: or ask"),
        ("toomanyrequests: wait ten minutes", "wait ten minutes"),
        ("errors:\ndenied: the read_registry scope is missing\nunauthorized: log in again", "scope is missing"),
        ("unauthorized: locked,\ncall support", "locked, call support"),
        ("denied: " + "word " * 500, "word word"),
    ],
)
def test_the_registrys_own_words_are_passed_on(words: str, shown: str) -> None:
    """They say what to do. They are on one line, and cut."""
    problem = problem_for(f'Get "https://{HOST}/v2/": {words}')
    assert shown in problem.message
    assert "\n" not in problem.message
    assert len(problem.message) < 400


@pytest.mark.parametrize("words", ["incorrect username or password", "authentication required", "Access denied."])
def test_words_that_only_repeat_the_status_are_left_out(words: str) -> None:
    """The message itself already says that the password is refused."""
    message = problem_for(f'Get "https://{HOST}/v2/": unauthorized: {words}').message
    assert message == f"{HOST} refused the user name or password of secret team"


# How the CLI versions 20.10, 26.1 and 28.2 log that they fall back to plain HTTP. 20.10 does not do this after a 401.
FALLBACKS = {
    "20.10 and 26.1": "",
    "28.2": ' endpoint="{false https://HOST false false false 0xc000320b40}"',
}
OVER_TLS = {
    "login attempt to https://HOST/v2/ failed with status: 401 Unauthorized": "login_rejected",
    r"Get \"https://HOST/v2/\": unauthorized: incorrect username or password": "login_rejected",
    r"Get \"https://HOST/v2/\": unauthorized: locked,\nsay \"please\"": "login_rejected",
    "login attempt to https://HOST/v2/ failed with status: 403 Forbidden": "login_forbidden",
    "login attempt to https://HOST/v2/ failed with status: 429 Too Many Requests": "registry_rate_limited",
    "login attempt to https://HOST/v2/ failed with status: 503 Service Unavailable": "registry_error",
    r"Get \"https://HOST/v2/\": unable to decode token response: unexpected EOF": "registry_error",
}


def after_fallback(error: str, endpoint: str, last: str) -> bytes:
    logged = (
        f'time="2026-01-01T00:00:00Z" level=info msg="Error logging in to endpoint, trying next endpoint"{endpoint}'
    )
    quoted = last.replace('"', '\\"')
    return "\n".join((f'{logged} error="{error}"', f'{logged} error="{quoted}"', last)).replace("HOST", HOST).encode()


@pytest.mark.parametrize("endpoint", FALLBACKS.values(), ids=FALLBACKS)
@pytest.mark.parametrize(("error", "code"), OVER_TLS.items())
@pytest.mark.parametrize(
    "last", ['Get "http://HOST/v2/": EOF', "login attempt to http://HOST/v2/ failed with status: 400 Bad Request"]
)
def test_an_answer_over_tls_overrides_the_plain_http_fallback(error: str, code: str, endpoint: str, last: str) -> None:
    """On loopback, older CLIs try plain HTTP after any answer, and report only the result of that."""
    assert explain(read_stderr(after_fallback(error, endpoint, last)), None, HOST, "team").code == code


@pytest.mark.parametrize(
    "error",
    [
        r"Get \"https://HOST/v2/\": http: server gave HTTP response to HTTPS client",
        r"Get \"https://HOST/v2/\": dial tcp 127.0.0.1:443: connect: connection refused",
        "login attempt to https://elsewhere.example/v2/ failed with status: 401 Unauthorized",
    ],
)
def test_without_an_answer_over_tls_the_fallback_decides(error: str) -> None:
    """Only an HTTP answer of this registry counts, so a registry with plain HTTP is still understood."""
    last = "login attempt to http://HOST/v2/ failed with status: 403 Forbidden"
    assert explain(read_stderr(after_fallback(error, "", last)), None, HOST, "team").code == "login_forbidden"


@pytest.mark.parametrize("reason", ["Unauthorized", "Forbidden", "Too Many Requests"])
@pytest.mark.parametrize(
    "probe",
    [
        ProbeResult(EPOCH, fault=Fault.UNREACHABLE, detail="the proxy answered with status 403"),
        ProbeResult(EPOCH, status=401),
    ],
)
def test_a_refusal_by_a_proxy_is_not_one_by_the_registry(reason: str, probe: ProbeResult) -> None:
    """Go prints only the reason phrase. It does not matter whether the agent's own probe was refused too."""
    problem = problem_for(f'Get "https://{HOST}/v2/": {reason}', probe)
    assert (problem.code, problem.retry_class) == ("registry_unreachable", RetryClass.SOON)
    assert "the proxy" in problem.message
    assert problem.hint == hints.proxy_rules(HOST)
    assert problem.needs is Needs.ADMIN


@pytest.mark.parametrize(
    ("fault", "code", "needs"),
    [
        ("the proxy answered with status 407; the proxy is set in HTTPS_PROXY", "registry_unreachable", Needs.USER),
        ("the proxy p:3128 cannot be reached: connection refused", "registry_unreachable", Needs.USER),
        ("https_proxy is not a URL", "registry_unreachable", Needs.USER),
        ("the proxy answered with status 403; the proxy is set in HTTPS_PROXY", "registry_unreachable", Needs.ADMIN),
        ("the proxy p:1080 did not allow the connection: its rules do not", "registry_unreachable", Needs.ADMIN),
        ("the proxy answered with status 511", "registry_error", Needs.USER),
    ],
)
def test_whose_fault_a_proxy_is(fault: str, code: str, needs: Needs) -> None:
    """The user fixes a variable. An administrator changes the rules of a proxy. A captive portal wants a login."""
    problem = explain(CliOutput(fault, fault=Fault.UNREACHABLE), None, HOST, "team")
    assert (problem.code, problem.needs) == (code, needs)


@pytest.mark.parametrize("status", [400, 429, 503])
def test_a_refusal_of_the_token_server_names_the_token_server(status: int) -> None:
    """Its administrator must act, not the registry's."""
    probe = ProbeResult(EPOCH, status=status, token_server="auth.example")
    message = explain(CliOutput("", status=status), probe, HOST, "team").message
    assert message.startswith(f"auth.example, the token server of {HOST}, ")


@pytest.mark.parametrize("words", ["dial tcp 192.0.2.1:443: connect: connection refused", "context deadline exceeded"])
def test_a_token_server_that_does_not_answer_is_named(words: str) -> None:
    """In the CLI's text, the last URL is the one that failed."""
    text = f'Error: Get "https://{HOST}/v2/": Get "https://auth.example:8443/token?service=x": {words}'
    problem = explain(read_stderr(text.encode()), ProbeResult(EPOCH, status=401), HOST, "team")
    assert "(at its token server auth.example:8443)" in problem.message
    own = explain(read_stderr(f'Error: Get "https://{HOST}/v2/": {words}'.encode()), None, HOST, "team")
    assert "token server" not in own.message


def test_status_511_is_a_captive_portal() -> None:
    """Waiting does not help, whatever page comes with it."""
    for probe in (ProbeResult(EPOCH, status=511, registry=False), None):
        problem = explain(CliOutput("", status=511), probe, HOST, "team")
        assert (problem.code, problem.needs, problem.hint) == ("registry_error", Needs.USER, hints.CAPTIVE_PORTAL)
    elsewhere = ProbeResult(EPOCH, status=511, registry=False, token_server="auth.example")
    message = explain(CliOutput("", status=511), elsewhere, HOST, "team").message
    assert message == f"a captive portal answers instead of auth.example, the token server of {HOST} (status 511)"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "registry_refused_request"),
        (403, "login_forbidden"),
        (429, "registry_rate_limited"),
        (500, "registry_error"),
    ],
)
def test_the_agents_own_probe_decides_if_the_cli_is_vague(status: int, code: str) -> None:
    """The text of a future CLI does not matter if the agent got the registry's status itself."""
    probe = ProbeResult(EPOCH, status=status, detail="its own words")
    assert problem_for(f"https://{HOST} said something new", probe).code == code


@pytest.mark.parametrize("status", [408, 421, 425, 499])
def test_a_temporary_answer_is_no_refusal_of_the_secret(status: int) -> None:
    """A gateway that gives up on one request says nothing about the password, so the agent tries again soon."""
    problem = problem_for(f"login attempt to https://{HOST}/v2/ failed with status: {status} Gateway")
    assert (problem.code, problem.retry_class) == ("registry_error", RetryClass.SOON)


def test_a_proxy_that_wants_a_login_is_the_users_to_fix() -> None:
    problem = problem_for(f"login attempt to https://{HOST}/v2/ failed with status: 407 Proxy Authentication Required")
    assert (problem.code, problem.needs, problem.hint) == ("registry_unreachable", Needs.USER, hints.PROXY)


def test_a_denial_for_legal_reasons_is_for_the_administrator() -> None:
    problem = problem_for(f"login attempt to https://{HOST}/v2/ failed with status: 451 Unavailable")
    assert (problem.code, problem.needs) == ("login_forbidden", Needs.ADMIN)


@pytest.mark.parametrize("status", [403, 404, 429, 503])
def test_a_refused_password_counts_whatever_the_probe_without_it_got(status: int) -> None:
    """A firewall that treats the agent's own client differently must not cause fast retries of a wrong password."""
    text = f"login attempt to https://{HOST}/v2/ failed with status: 401 Unauthorized"
    assert problem_for(text, ProbeResult(EPOCH, status=status)).code == "login_rejected"


def test_a_login_page_is_not_a_registry() -> None:
    """The hint mentions the captive portal."""
    problem = problem_for(f"https://{HOST}/v2/ said something new", ProbeResult(EPOCH, status=200, registry=False))
    assert problem.code == "registry_error"
    assert "captive portal" in problem.hint


def test_an_expired_ecr_token_has_its_own_problem() -> None:
    """A new token fixes ECR's 403 for an old one, so the agent must recognize this case."""
    probe = ProbeResult(EPOCH, status=403, detail="Your Authorization Token has expired. Reauthenticate and try again.")
    problem = problem_for(f"login attempt to https://{HOST}/v2/ failed with status: 403 Forbidden", probe)
    assert type(problem).__name__ == "EcrTokenExpired"
    assert problem.code == "login_forbidden"


@pytest.mark.parametrize(("status", "quoted"), [(403, True), (401, False)])
def test_the_probes_body_is_quoted_only_for_the_same_status(status: int, quoted: bool) -> None:
    """A probe without the password may get another answer, which is not about the password."""
    probe = ProbeResult(EPOCH, status=status, detail="its own words")
    problem = problem_for(f"login attempt to https://{HOST}/v2/ failed with status: 403 Forbidden", probe)
    assert problem.code == "login_forbidden"
    assert ("its own words" in problem.message) is quoted


def test_retry_after_is_obeyed_and_shown() -> None:
    """The CLI hides it. The probe's value is in the message and in the wait."""
    probe = ProbeResult(EPOCH, status=429, retry_after=timedelta(seconds=120))
    problem = problem_for(f"login attempt to https://{HOST}/v2/ failed with status: 429 Too Many Requests", probe)
    assert problem.wait == timedelta(seconds=120)
    assert problem.message.endswith("120 s")
    longest = problem_for("unexpected status code 429", replace(probe, retry_after=timedelta(hours=12)))
    assert longest.message.endswith("43200 s or longer")


def test_a_wrong_clock_explains_an_invalid_certificate() -> None:
    """If the clocks differ a lot, the clock is the cause, and the message shows the difference."""
    probe = ProbeResult(EPOCH, status=401, server_time=EPOCH - timedelta(minutes=20))
    problem = problem_for(f'Get "https://{HOST}/v2/": x509: certificate has expired or is not yet valid', probe)
    assert problem.code == "clock_skew"
    assert "20 min ahead" in problem.message


def test_a_clock_may_be_off_by_five_minutes() -> None:
    """AWS accepts five minutes, so the agent does not warn about less."""
    assert registry_clock_skew(ProbeResult(EPOCH, server_time=EPOCH - timedelta(minutes=5)), HOST) is None
    assert registry_clock_skew(ProbeResult(EPOCH, server_time=EPOCH + timedelta(minutes=6)), HOST) is not None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), (" 7 ", 7), ("99999999999", 12 * 3600), ("-5", None), ("soon", None), (None, None)],
)
def test_retry_after_in_seconds(header: str | None, seconds: int | None) -> None:
    """The wait is at most 12 hours. A value that is not a number is ignored."""
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert parse_retry_after(header, EPOCH) == expected


def test_a_fault_of_the_probe_counts_only_for_output_about_the_network() -> None:
    """A CLI that prints garbage has failed itself, even if the registry cannot be reached either."""
    probe = ProbeResult(EPOCH, fault=Fault.DNS)
    assert problem_for("lorem ipsum", probe).code == "docker_cli_failed"
    assert problem_for(f'Get "https://{HOST}/v2/": something new', probe).code == "registry_dns"


FAILED = {
    'Get "https://registry.gitlab.com/v2/": Get "https://gitlab.com/jwt/auth?a=b": {}': (
        "registry.gitlab.com",
        "gitlab.com",
    ),
    'Get "https://registry.gitlab.com/v2/": {}': ("registry.gitlab.com", "registry.gitlab.com"),
    'Get "https://registry-1.docker.io/v2/": {}': ("docker.io", "registry-1.docker.io"),
    'Get "https://registry-1.docker.io/v2/": Get "https://auth.docker.io/token": {}': ("docker.io", "auth.docker.io"),
    'Get "https://h/v2/": Get "https://auth.example:8443/token": {}': (HOST, "auth.example:8443"),
    "dial tcp: {}": ("docker.io", "registry-1.docker.io"),
}
"""What docker prints, its registry, and the host that failed."""


@pytest.mark.parametrize(("text", "hosts"), FAILED.items())
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("Forbidden", "ask your network administrator to allow {} in the rules of the proxy"),
        ("dial tcp 192.0.2.1:443: connect: connection refused", "run `curl https://{}/v2/`; if it does not connect"),
        ("context deadline exceeded", "run `curl https://{}/v2/` and send the result"),
        ("unable to decode token response", "open https://{}/v2/ in a browser"),
    ],
)
def test_the_hint_is_about_the_host_that_failed(text: str, hosts: tuple[str, str], words: str, hint: str) -> None:
    """The registry itself may work. Docker Hub has another name in Docker than in a secret."""
    fault = {"Forbidden": Fault.UNREACHABLE, "unable to decode token response": Fault.NONSENSE}.get(words)
    output = read_stderr(text.format(words).encode())
    if "https" not in text and fault:
        output = CliOutput(f"the proxy refused the request: {words}", fault=fault)
    hostname, failed = hosts
    assert hint.format(failed) in explain(output, None, hostname, "team").hint


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        (Fault.UNREACHABLE, "`curl https://auth.example:8443/v2/`"),
        (Fault.TIMEOUT, "`curl https://auth.example:8443/v2/`"),
        (Fault.DNS, "`getent hosts auth.example`"),
    ],
)
def test_the_hint_is_about_the_token_server_that_the_agent_itself_did_not_reach(fault: Fault, hint: str) -> None:
    """The message names it once."""
    probe = ProbeResult(EPOCH, fault, "at its token server auth.example:8443")
    problem = explain(CliOutput("dial tcp"), probe, HOST, "team")
    assert (hint in problem.hint, problem.message.count("token server")) == (True, 1)
    hub = explain(CliOutput("dial tcp"), ProbeResult(EPOCH, Fault.DNS), "docker.io", "team")
    assert hub.message == "the name docker.io does not resolve to an address"
    assert "`getent hosts registry-1.docker.io`" in hub.hint


def test_a_page_of_a_token_server_is_looked_at_there() -> None:
    """And that of Docker Hub where docker asks."""
    page = ProbeResult(EPOCH, status=302, registry=False)
    assert "https://registry-1.docker.io/v2/" in explain(CliOutput(""), page, "docker.io", "team").hint
    page = replace(page, token_server="auth.example")
    assert "https://auth.example/v2/" in explain(CliOutput(""), page, HOST, "team").hint


@pytest.mark.parametrize("begin", ["", f'Error: Get "https://{HOST}/v2/": ', 'level=info msg="'])
@pytest.mark.parametrize("piece", ["a-", "a.", "link", "http://a", 'error="', "stat ", "denied: "])
def test_no_text_of_a_registry_takes_quadratic_time(begin: str, piece: str) -> None:
    """The CLI prints what a registry answers. 64 KiB of it would stop the agent for a minute."""
    assert_linear(lambda size: read_stderr(f"{begin}{piece * (size // len(piece))}!".encode()))
