"""One `docker login` and the agent's own look beside it: what is told, and how often the password goes out."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import pytest

from agent.model.credential import Credential
from agent.model.docker_results import CliResult, Fault, ProbeResult
from agent.model.plan import Login
from agent.model.problem import Problem
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.services import docker_login as docker_login_module
from agent.services.docker_login import DockerLogin
from tests.fakes import EPOCH
from tests.problems import raises_problem
from tests.services.login_fakes import ECR, plan

HERE: Final = "127.0.0.1:5000"
WRONG: Final = Sensitive("wrong")
EOF: Final = f'Get "http://{HERE}/v2/": EOF'
WRONG_SCHEME: Final = f"login attempt to http://{HERE}/v2/ failed with status: 400 Bad Request"


@dataclass
class Cli:
    """Fails with `text` on its own, and with `through` through an engine."""

    text: str
    through: str = ""

    async def login(
        self, program: Path, registry: Registry, credential: Credential, *, timeout: float, through_engine: bool
    ) -> CliResult:
        assert program.name == "docker"
        assert str(registry)
        assert credential.password
        assert timeout
        return CliResult(1, (self.through if through_engine else self.text).encode())


@dataclass
class Probe:
    """Sees `without` without the password, and `with_it` with it."""

    without: ProbeResult
    with_it: ProbeResult = field(default_factory=lambda: ProbeResult(EPOCH, status=401, refused=True, tls=True))
    sent: int = 0

    async def probe(self, registry: Registry, credential: Credential | None, timeout: float) -> ProbeResult:
        assert str(registry)
        assert timeout
        if credential is None:
            return self.without
        self.sent += 1
        return self.with_it


@dataclass
class Tools:
    docker: Path | None = Path("/usr/bin/docker")
    engine_answers: bool = False

    async def engine_reachable(self) -> bool:
        return self.engine_answers

    def gone(self, program: Path, problem: Problem) -> None:
        raise AssertionError(program, problem)


def login(hostname: str = HERE) -> Login:
    return plan({"name": "team", "hostname": hostname, "username": "bob", "password": "wrong"}).logins[0]


async def problem_of(
    cli: Cli,
    probe: Probe,
    tools: Tools | None = None,
    wanted: Login | None = None,
    given: Sensitive = WRONG,
    *,
    user: str = "bob",
) -> Problem:
    docker_login = DockerLogin(cli, probe.probe, tools or Tools(), lambda: 5.0)
    with raises_problem(Problem) as caught:
        await docker_login.log_in(wanted or login(), Credential(user, given))
    return caught.value


@pytest.mark.parametrize(("password", "told"), [("wrong", False), (" wrong", True), ("wrong\u00a0", True)])
async def test_reports_that_docker_cuts_a_password(password: str, told: bool) -> None:
    """Once it was refused: without its blanks it may be right."""
    cli = Cli("unauthorized: incorrect username or password")
    problem = await problem_of(cli, Probe(ProbeResult(EPOCH)), given=Sensitive(password))
    assert problem.code == "login_rejected"
    assert ("begins or ends with whitespace" in problem.hint) is told


@pytest.mark.parametrize(
    ("password", "says"),
    [
        *((text, "nothing has replaced") for text in ("${TOKEN}", "$TOKEN", "$(cat token)", "{{ token }}", "<token>")),
        *((text, "in quotes") for text in ('"p"', "'p'", "“p”")),
        ("\u200epassword\u200f", "invisible character"),
        *((text, "HTTP header") for text in ("Bearer eyJ0", "Basic Ym9i", "token ghp_1")),
        *((text, "update the secret") for text in ("$1$salt", "a${b}c", "two words", "Bearer")),
    ],
)
async def test_a_refused_password_that_looks_like_a_mistake_is_named(password: str, says: str) -> None:
    """It is sent first, because docker accepts it as a password. The hint does not quote it."""
    cli = Cli("unauthorized: incorrect username or password")
    problem = await problem_of(cli, Probe(ProbeResult(EPOCH)), given=Sensitive(password))
    assert problem.code == "login_rejected"
    assert says in problem.hint
    assert password not in problem.hint


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ('"bot"', "user name in the secret: it is in quotes"),
        ("$USER", "nothing has replaced"),
        ("<token>", "update the"),
    ],
)
async def test_a_refused_user_name_that_looks_like_a_mistake_is_named(user: str, says: str) -> None:
    """As `docker run --env-file` leaves it. `<token>` is Docker's own name for an identity token."""
    cli = Cli("unauthorized: incorrect username or password")
    problem = await problem_of(cli, Probe(ProbeResult(EPOCH)), user=user)
    assert says in problem.hint


@pytest.mark.parametrize("text", [EOF, WRONG_SCHEME, f'Get "http://{HERE}/v2/": read: connection reset by peer'])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "login_rejected"),
        (403, "login_forbidden"),
        (404, "registry_refused_request"),
        (429, "registry_rate_limited"),
        (503, "registry_error"),
    ],
)
async def test_plain_http_does_not_hide_the_answer_over_tls(text: str, status: int, code: str) -> None:
    """On loopback docker goes on to HTTP whatever the TLS answer was: the agent asks for it once."""
    answer = ProbeResult(EPOCH, status=status, refused=status == 401, tls=True)
    probe = Probe(ProbeResult(EPOCH, status=401, tls=True), answer)
    assert (await problem_of(Cli(text), probe)).code == code
    assert probe.sent == 1


@pytest.mark.parametrize("text", [EOF, WRONG_SCHEME])
async def test_a_passing_fault_over_tls_is_tried_again_soon(text: str) -> None:
    """The registry takes the password by now; what it said to plain HTTP is no word on the login."""
    probe = Probe(ProbeResult(EPOCH, status=401, tls=True), ProbeResult(EPOCH, status=200, tls=True))
    assert (await problem_of(Cli(text), probe)).code == "registry_unreachable"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        (EOF, ProbeResult(EPOCH, status=401)),
        (EOF, ProbeResult(EPOCH, fault=Fault.TLS)),
        (f'Get "https://{HERE}/v2/": EOF', ProbeResult(EPOCH, status=401, tls=True)),
        (
            f"login attempt to https://{HERE}/v2/ failed with status: 401 Unauthorized",
            ProbeResult(EPOCH, status=401, tls=True),
        ),
        (
            f"login attempt to http://{HERE}/v2/ failed with status: 401 Unauthorized",
            ProbeResult(EPOCH, status=401, tls=True),
        ),
        (f"login attempt to http://{HERE}/v2/ failed with status: 403 Forbidden", ProbeResult(EPOCH, status=401)),
        ('Get "http://elsewhere.example/v2/": EOF', ProbeResult(EPOCH, status=401, tls=True)),
    ],
)
async def test_otherwise_a_password_goes_out_once(text: str, seen: ProbeResult) -> None:
    """Accounts get locked."""
    probe = Probe(seen)
    await problem_of(Cli(text), probe)
    assert probe.sent == 0


async def test_an_engine_may_speak_http_to_others(tmp_path: Path) -> None:
    """To what its settings call insecure; that is no loopback, and no reason to send a password over TLS."""
    probe = Probe(ProbeResult(EPOCH, status=401, tls=True))
    cli = Cli(f'Get "https://{HERE}/v2/": connection refused', f"Error response from daemon: {EOF}")
    await problem_of(cli, probe, Tools(tmp_path / "docker", engine_answers=True))
    assert probe.sent == 0


@pytest.mark.parametrize(
    "secret",
    [
        {"username": "runner-native", "password": "x"},
        {"username": "AKIAOFTHESECRET00", "password": "key"},
    ],
)
@pytest.mark.parametrize(
    "seen",
    [
        ProbeResult(EPOCH, status=401, refused=True, tls=True),
        ProbeResult(
            EPOCH, status=403, detail="Your authorization token has expired. Reauthenticate and try again.", tls=True
        ),
    ],
)
async def test_a_token_that_the_agent_fetches_is_no_persons_to_replace(
    secret: dict[str, str], seen: ProbeResult
) -> None:
    """A new password in the secret would change nothing; a ready token is replaced there."""
    status = {401: "401 Unauthorized", 403: "403 Forbidden"}[seen.status or 0]
    cli = Cli(f"login attempt to https://{ECR}/v2/ failed with status: {status}")
    (fetching,) = plan({"name": "team", "hostname": ECR, **secret}).logins
    (ready,) = plan({"name": "team", "hostname": ECR, "username": "AWS", "password": "token"}).logins
    probe = Probe(replace(seen, status=401, refused=False, detail=""), seen)
    hint = (await problem_of(cli, probe, wanted=fetching)).hint
    assert "region" in hint
    assert "put" not in hint.split()
    assert "update" not in hint.split()
    assert {"put", "update"} & set((await problem_of(cli, probe, wanted=ready)).hint.split())


@dataclass
class SlowCli:
    """Each login waits for its event. `begun` lists the logins that have started, `running` those that still run."""

    begun: list[str] = field(default_factory=list)
    running: set[str] = field(default_factory=set)
    ends: defaultdict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))

    async def login(
        self, program: Path, registry: Registry, credential: Credential, *, timeout: float, through_engine: bool
    ) -> CliResult:
        assert (program.name, timeout, through_engine) == ("docker", 5.0, False)
        assert credential.password
        self.begun.append(registry.hostname)
        self.running.add(registry.hostname)
        await self.ends[registry.hostname].wait()
        self.running.discard(registry.hostname)
        return CliResult(1, b"unauthorized: incorrect username or password")

    async def probe(self, registry: Registry, credential: Credential | None, timeout: float) -> ProbeResult:
        assert credential is None
        assert timeout >= 0
        return ProbeResult(EPOCH, fault=Fault.TIMEOUT if registry.hostname.startswith("silent") else None)


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def limited(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[SlowCli, Callable[..., None]]]:
    """Two may start at the same time, and four may run. Yields the CLI, and a function that starts logins."""
    monkeypatch.setattr(docker_login_module, "_STARTS", 2)
    monkeypatch.setattr(docker_login_module, "_RUNNING", 4)
    monkeypatch.setattr(docker_login_module, "_SILENT", 2)
    cli, tasks = SlowCli(), list[asyncio.Task[object]]()
    docker_login = DockerLogin(cli, cli.probe, Tools(), lambda: 5.0)

    def begin(*names: str) -> None:
        logins = [docker_login.log_in(login(f"{name}.example"), Credential("bob", WRONG)) for name in names]
        tasks.extend(asyncio.create_task(each) for each in logins)

    yield cli, begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("slow_s", [0.0, 3600.0], ids=["after their start", "during their start"])
async def test_logins_that_end_leave_as_many_places_as_they_took(
    limited: tuple[SlowCli, Callable[..., None]], monkeypatch: pytest.MonkeyPatch, slow_s: float
) -> None:
    """Each gives up its place once, whether it ends before that or after. No more than two start together."""
    cli, begin = limited
    monkeypatch.setattr(docker_login_module, "_START_S", slow_s)
    for name in ("a", "b", "c"):
        begin(name)
        await settle()
        cli.ends[f"{name}.example"].set()
        await settle()
    assert cli.running == set()
    monkeypatch.setattr(docker_login_module, "_START_S", 3600.0)
    begin("d", "e", "f", "g")
    await settle()
    assert cli.begun[3:] == ["d.example", "e.example"]
    cli.ends["d.example"].set()
    await settle()
    assert cli.begun[3:] == ["d.example", "e.example", "f.example"]


async def test_no_more_logins_run_than_memory_allows(
    limited: tuple[SlowCli, Callable[..., None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silent registries give up their places to start, but not those to run. The next one starts when one ends."""
    cli, begin = limited
    monkeypatch.setattr(docker_login_module, "_START_S", 0.0)
    begin("a", "b", "c", "d", "e", "f")
    await settle()
    assert cli.begun == ["a.example", "b.example", "c.example", "d.example"]
    cli.ends["b.example"].set()
    await settle()
    assert cli.running == {"a.example", "c.example", "d.example", "e.example"}


async def test_silent_registries_leave_places_to_those_that_answer(
    limited: tuple[SlowCli, Callable[..., None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are. They run one after the other, and each one runs in the end."""
    cli, begin = limited
    monkeypatch.setattr(docker_login_module, "_START_S", 0.0)
    silent = [f"silent-{number}" for number in range(6)]
    cli.ends["ok.example"].set()
    begin(*silent, "ok")
    await settle()
    assert "ok.example" in cli.begun
    assert cli.running == {"silent-0.example", "silent-1.example"}
    for name in silent:
        cli.ends[f"{name}.example"].set()
        await settle()
    assert (cli.running, sorted(cli.begun)) == (set(), ["ok.example", *(f"{name}.example" for name in silent)])
