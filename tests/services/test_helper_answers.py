"""What a program gets that asks the credential helper, with a real board and real logins in memory."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import pytest

from agent.edge.docker_config import DockerConfigFile
from agent.model.desired_login import DesiredLogin
from agent.model.docker_config import Entry
from agent.model.docker_results import ProbeResult
from agent.model.helper_reply import HelperReply
from agent.model.problem import Problem
from agent.model.problems.environment import DockerCliMissing, NativeUnsupported, SecretInvalid, SecretsUnavailable
from agent.model.problems.registry import LoginRejected
from agent.model.problems.stored_login import TokenExpired
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.model.status import Phase, RegistryStatus, State
from agent.services.board import Board
from agent.services.confirmed_time import ConfirmedTime
from agent.services.helper_answers import HelperAnswers
from agent.services.served_logins import ServedLogins
from tests.fakes import EPOCH, FakeClock, FakeLog, process
from tests.services.conftest import Begin
from tests.services.login_fakes import HOURS, Bench, basic, plan

OLD = Entry("AWS", Sensitive("old token"))
NEW = Entry("AWS", Sensitive("new token"))
GHCR = Registry("ghcr.io")
HUB = parse_hostname("docker.io")
HUB_KEY = "https://index.docker.io/v1/"
HOUR = timedelta(hours=1)
NOWHERE = Path("/nonexistent/docker")
NOT_FOUND = b"credentials not found in native keychain\n"


class Agent:
    """The answers, with what they see. `refreshed` has the registries that were to renew."""

    def __init__(self, wait_s: float = 300, directory: Path = NOWHERE) -> None:
        self.clock, self.log, self.served = FakeClock(), FakeLog(), ServedLogins()
        self.time = ConfirmedTime(self.clock)
        self.board = Board(process(), self.clock.now, FakeLog())
        self.refreshed: list[str] = []
        self.asked = asyncio.Event()
        self.answers = HelperAnswers(
            board=self.board,
            served=self.served,
            config=DockerConfigFile(directory),
            time=self.time,
            log=self.log,
            refresh=self._refresh,
            wait_s=wait_s,
        )
        self.board.set_phase(Phase.RUNNING)

    def _refresh(self, hostname: str) -> None:
        self.refreshed.append(hostname)
        self.asked.set()

    def row(self, registry: Registry = GHCR, **fields: object) -> None:
        """Show a registry. By default, it has logged in with a token of 12 hours."""
        shown = RegistryStatus(
            registry.hostname,
            "team",
            "project",
            "ecr",
            EPOCH,
            state=State.LOGGED_IN,
            logged_in_at=EPOCH,
            expires_at=EPOCH + 12 * HOUR,
            renew_at=EPOCH + 6 * HOUR,
            attempts=1,
        )
        self.board.put_registry(replace(shown, **fields))  # type: ignore[arg-type] # a test names real fields

    def login(self, entry: Entry = OLD, registry: Registry = GHCR, *, lives: timedelta | None = 12 * HOUR) -> None:
        end = self.clock.now() + lives if lives is not None else None
        self.served.publish(DesiredLogin(registry, entry, end))

    async def get(self, server: str = "ghcr.io") -> HelperReply:
        return await self.answers.answer("get", server, pid=7)

    def renews(self, entry: Entry = NEW) -> None:
        """An attempt succeeds."""
        self.row(attempts=2, attempting=True)
        self.login(entry)
        self.row(attempts=2, expires_at=self.clock.now() + 12 * HOUR)


def secret(reply: HelperReply) -> str:
    assert reply.status is HTTPStatus.OK
    return str(json.loads(reply.body)["Secret"])


async def test_gives_the_login_in_the_form_of_the_protocol() -> None:
    agent = Agent()
    agent.row()
    agent.login()
    reply = await agent.get("ghcr.io\n")
    assert json.loads(reply.body) == {"ServerURL": "ghcr.io", "Username": "AWS", "Secret": "old token"}
    assert reply.body.endswith(b"\n")
    assert agent.refreshed == []


async def test_a_login_that_ends_soon_is_renewed_although_docker_uses_another_one() -> None:
    """A program that asks the agent gets the agent's login. The row shows no end then."""
    agent = Agent()
    agent.row(expires_at=None)
    agent.login()
    agent.clock.jump(12 * HOURS - 60)
    asking = asyncio.create_task(agent.get())
    await asyncio.wait_for(agent.asked.wait(), 5)
    agent.renews()
    assert secret(await asking) == "new token"


async def test_an_identity_token_has_dockers_marker_as_user_name() -> None:
    agent = Agent()
    agent.row()
    agent.login(Entry("", Sensitive("refresh"), identity_token=True), lives=None)
    assert json.loads((await agent.get()).body)["Username"] == "<token>"


@pytest.mark.parametrize(
    "server",
    [
        "https://ghcr.io",
        "ghcr.io:443",
        "GHCR.IO",
        "ghcr.io/",
        "ghcr.io/org",
        f"{HUB_KEY}refresh-token",
        "x" * 9000,
        "\0",
    ],
)
async def test_only_the_exact_key_gets_a_login(server: str) -> None:
    """Docker Hub's key with a suffix names another kind of login, which must not be the password."""
    agent = Agent()
    for registry in (GHCR, HUB):
        agent.row(registry)
        agent.login(registry=registry)
    reply = await agent.get(server)
    assert (reply.status, reply.body) == (HTTPStatus.NOT_FOUND, NOT_FOUND)


@pytest.mark.parametrize("server", [HUB_KEY, "docker.io"])
async def test_docker_hub_has_two_keys(server: str) -> None:
    agent = Agent()
    agent.row(HUB)
    agent.login(registry=HUB)
    reply = await agent.get(server)
    assert json.loads(reply.body)["ServerURL"] == server


async def test_without_a_server_there_is_an_error() -> None:
    reply = await Agent().get("  ")
    assert (reply.status, reply.body) == (HTTPStatus.CONFLICT, b"no credentials server URL\n")


async def test_a_registry_that_is_not_used_has_no_login() -> None:
    """A disabled secret must not keep a public pull from working."""
    agent = Agent()
    agent.row(state=State.SKIPPED, attempts=0)
    assert (await agent.get()).body == NOT_FOUND


@pytest.mark.parametrize(
    "problem",
    [
        NativeUnsupported("ghcr.io", "no cloud"),
        SecretInvalid("f#team", "no cloud"),
        DockerCliMissing("docker", "no cloud"),
    ],
)
async def test_a_registry_that_cannot_be_used_has_its_reason(problem: Problem) -> None:
    """Its secret is wrong, or docker is missing. The subject of the warning need not be the registry."""
    agent = Agent()
    agent.row(state=State.SKIPPED, attempts=0, last_error="no cloud")
    agent.board.report("plan", [problem])
    reply = await agent.get()
    assert reply.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert f"no login for ghcr.io: no cloud; {problem.hint}" in reply.body.decode()


UNREAD = [
    SecretsUnavailable("secrets.url", "secrets.example is down"),
    SecretsUnavailable("/run/secrets", "/run/secrets permission denied"),
    SecretInvalid("/run/secrets/a.json", "/run/secrets/a.json is not JSON"),
]


@pytest.mark.parametrize("problem", UNREAD)
@pytest.mark.parametrize("server", ["ghcr.io", "docker.io"])
async def test_after_a_restart_a_line_whose_secret_cannot_be_read_has_the_reason(
    tmp_path: Path, problem: Problem, server: str
) -> None:
    """Docker would pull without a login, and show no reason. The line is there because the secret was known before."""
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {server: "registry-agent"}}))
    agent = Agent(directory=tmp_path)
    agent.board.report("secrets", [problem])
    reply = await agent.get(server)
    assert reply.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert reply.body == f"registry-agent has no login for {server}: {problem.message}; {problem.hint}\n".encode()
    assert (await agent.get("quay.io")).body == NOT_FOUND
    agent.board.report("secrets")
    assert (await agent.get(server)).body == NOT_FOUND


async def test_a_wrong_secret_is_the_reason_for_its_own_registry_only(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"quay.io": "registry-agent"}}))
    agent = Agent(directory=tmp_path)
    agent.row(state=State.SKIPPED, attempts=0, last_error="no password")
    agent.board.report("plan", [SecretInvalid("f#team", "no password")])
    assert (await agent.get("quay.io")).body == NOT_FOUND


async def test_a_token_with_less_than_five_minutes_is_renewed_first() -> None:
    """Many programs ask at once: there is one renewal, and all get the new token."""
    agent = Agent()
    agent.row()
    agent.login(lives=timedelta(minutes=4, seconds=59))
    asking = [asyncio.create_task(agent.get()) for _ in range(20)]
    await agent.asked.wait()
    agent.renews()
    assert {secret(await each) for each in asking} == {"new token"}
    assert set(agent.refreshed) == {"ghcr.io"}


async def test_a_login_that_works_is_given_although_the_clock_is_ahead() -> None:
    """A server has shown that the clock is wrong. The status then shows the login as valid, and docker gets it."""
    agent = Agent()
    agent.row()
    agent.login()
    agent.time.observe(agent.clock.now())
    agent.clock.jump(24 * 3600)
    agent.time.doubt()
    assert secret(await agent.get()) == "old token"
    assert json.loads((await agent.answers.answer("list", "", pid=7)).body) == {"ghcr.io": "AWS"}
    assert agent.refreshed == []


async def test_the_first_request_after_a_suspend_gets_a_new_token() -> None:
    """The monotonic clock stood still, so no timer has fired. Only the wall clock shows that the token has ended."""
    agent = Agent()
    agent.row()
    agent.login()
    agent.clock.suspend(13 * 3600)
    asking = asyncio.create_task(agent.get())
    await agent.asked.wait()
    agent.renews()
    assert secret(await asking) == "new token"


async def test_a_change_of_another_registry_does_not_end_the_wait() -> None:
    agent = Agent()
    agent.row()
    agent.login(lives=timedelta(minutes=1))
    asking = asyncio.create_task(agent.get())
    await agent.asked.wait()
    agent.row(Registry("quay.io"))
    await agent.clock.settle()
    assert not asking.done()
    agent.renews()
    assert secret(await asking) == "new token"


async def test_a_token_that_cannot_be_fresh_is_given_as_it_is() -> None:
    """One that never lives five minutes, and one that the agent cannot renew."""
    agent = Agent()
    agent.row(expires_at=EPOCH + timedelta(minutes=4), renew_at=EPOCH + timedelta(minutes=2))
    agent.login(lives=timedelta(minutes=4))
    assert secret(await agent.get()) == "old token"
    agent.row(renew_at=None)
    assert secret(await agent.get()) == "old token"
    assert agent.refreshed == []


async def test_a_valid_token_is_given_while_its_renewal_fails() -> None:
    agent = Agent()
    agent.row()
    agent.login(lives=timedelta(minutes=3))
    asking = asyncio.create_task(agent.get())
    await agent.asked.wait()
    agent.row(attempts=2, consecutive_failures=1, next_attempt_at=EPOCH + HOUR)
    assert secret(await asking) == "old token"
    agent.refreshed.clear()
    assert secret(await agent.get()) == "old token", "at once: no other attempt is due"
    assert agent.refreshed == []


async def test_a_renewal_that_takes_too_long_is_not_waited_for() -> None:
    agent = Agent(wait_s=0.01)
    agent.row(attempting=True)
    agent.login(lives=timedelta(minutes=3))
    assert secret(await agent.get()) == "old token"
    agent.login(lives=timedelta(0))
    reply = await agent.get()
    assert reply.status is HTTPStatus.SERVICE_UNAVAILABLE


async def test_the_reason_is_the_one_in_the_status() -> None:
    """At once: a refused password is not tried again for a pull. The cause comes before what follows from it."""
    agent = Agent()
    agent.row(state=State.EXPIRED, next_attempt_at=EPOCH + HOUR)
    expired = TokenExpired("ghcr.io", "the login for ghcr.io has expired")
    cause = LoginRejected("ghcr.io", "ghcr.io refused the password\nof secret team", hint="update it")
    agent.board.report("login:ghcr.io", [expired, cause])
    reply = await agent.get()
    assert reply.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert reply.body == (
        b"registry-agent has no login for ghcr.io: ghcr.io refused the password of secret team; update it\n"
    )
    assert agent.refreshed == []


def answers_of(bench: Bench) -> HelperAnswers:
    """What programs get while this login runs."""
    return HelperAnswers(
        board=bench.board,
        served=bench.served,
        config=DockerConfigFile(NOWHERE),
        time=bench.time,
        log=bench.log,
        refresh=lambda _: None,
    )


async def test_a_password_that_the_registry_refuses_is_not_given_until_it_is_accepted(
    bench: Bench, begin: Begin
) -> None:
    """Each pull would send it again, and Docker Hub locks an account after a few wrong passwords."""
    await begin(basic())
    answers = answers_of(bench)
    assert secret(await answers.answer("get", "ghcr.io", pid=7)) == "right"
    bench.login_check.answers = [ProbeResult(EPOCH, status=401, refused=True)]
    await bench.clock.advance(6 * HOURS + 1)
    reply = await answers.answer("get", "ghcr.io", pid=7)
    assert reply.status is HTTPStatus.SERVICE_UNAVAILABLE
    assert reply.body.startswith(b"registry-agent has no login for ghcr.io: ghcr.io refused the user name or password")
    assert json.loads((await answers.answer("list", "", pid=7)).body) == {}
    await bench.clock.advance(1810)
    assert bench.docker_login.tried == ["right", "right"]
    assert secret(await answers.answer("get", "ghcr.io", pid=7)) == "right"


async def test_a_password_that_a_requested_renewal_finds_refused_is_not_given(bench: Bench, begin: Begin) -> None:
    """Neither after the reconciler has looked at the same login again."""
    login = await begin(basic())
    bench.docker_login.answer = lambda _: LoginRejected("ghcr.io", "ghcr.io refused it")
    login.request_now()
    await bench.clock.advance(1)
    bench.served.publish(DesiredLogin(GHCR, Entry("bob", Sensitive("right")), None))
    reply = await answers_of(bench).answer("get", "ghcr.io", pid=7)
    assert (reply.status, b"ghcr.io refused it" in reply.body) == (HTTPStatus.SERVICE_UNAVAILABLE, True)


async def test_a_wrong_new_password_leaves_the_login_that_works(bench: Bench, begin: Begin) -> None:
    await begin(basic())
    bench.docker_login.answer = lambda password: LoginRejected("ghcr.io", "no") if password == "wrong" else None
    new = plan({"name": "team", "hostname": "ghcr.io", "username": "bob", "password": "wrong"}).logins[0]
    await begin(new)
    assert bench.state() is State.REJECTED
    assert secret(await answers_of(bench).answer("get", "ghcr.io", pid=7)) == "right"


async def test_the_longest_reason_is_given_whole() -> None:
    """The end of a command that is cut off would be missing in the terminal."""
    registry = Registry(f"{'r' * 63}.{'e' * 63}.{'g' * 63}.example.com")
    agent = Agent()
    agent.row(registry, state=State.RETRYING, next_attempt_at=EPOCH + HOUR)
    agent.board.report("login", [LoginRejected(registry.hostname, "m" * 700, hint=f"{'h' * 900} `run this`")])
    assert b"`run this`" in (await agent.get(registry.docker_key)).body


async def test_a_request_at_the_start_waits_for_the_first_login() -> None:
    """For the secrets, then for the attempt."""
    agent = Agent()
    agent.board.set_phase(Phase.STARTING)
    asking = asyncio.create_task(agent.get())
    await agent.clock.settle()
    agent.row(state=State.PENDING, attempts=0, expires_at=None, renew_at=None, logged_in_at=None)
    await agent.clock.settle()
    assert not asking.done()
    agent.login()
    agent.row()
    assert secret(await asking) == "old token"


async def test_a_request_waits_for_a_retry_that_comes_soon() -> None:
    """After a suspend, the network often returns a few seconds later."""
    agent = Agent()
    agent.row(state=State.RETRYING, next_attempt_at=EPOCH + timedelta(seconds=4))
    asking = asyncio.create_task(agent.get())
    await agent.clock.settle()
    assert not asking.done()
    agent.renews()
    assert secret(await asking) == "new token"


async def test_lists_each_login_once() -> None:
    agent = Agent()
    for registry in (GHCR, HUB):
        agent.login(registry=registry)
    agent.login(registry=Registry("ended.example"), lives=timedelta(0))
    reply = await agent.answers.answer("list", "", pid=7)
    assert json.loads(reply.body) == {"ghcr.io": "AWS", HUB_KEY: "AWS"}
    assert json.loads((await Agent().answers.answer("list", "unused", pid=7)).body) == {}


async def test_storing_what_was_given_succeeds() -> None:
    """`docker login` without a user name logs in with what `get` gave, and stores it again."""
    agent = Agent()
    agent.row()
    agent.login()
    same = json.dumps({"ServerURL": "ghcr.io", "Username": "AWS", "Secret": "old token"})
    reply = await agent.answers.answer("store", same, pid=7)
    assert (reply.status, reply.body) == (HTTPStatus.OK, b"")


@pytest.mark.parametrize("server", ["docker.io", HUB_KEY, f"{HUB_KEY}access-token"])
async def test_storing_another_login_is_refused_with_the_way_out(server: str) -> None:
    agent = Agent()
    agent.row(HUB)
    agent.login(registry=HUB)
    other = json.dumps({"ServerURL": server, "Username": "me", "Secret": "hunter2-hunter2"})
    reply = await agent.answers.answer("store", other, pid=7)
    assert reply.status is HTTPStatus.CONFLICT
    expected = "docker.io is kept by registry-agent; change secret team, or list docker.io in secrets.exclude\n"
    assert reply.body == expected.encode()
    assert "hunter2" not in repr(agent.log.events)


@pytest.mark.parametrize("body", ["", "{}", "[1]", '{"ServerURL": 1, "Username": 2, "Secret": 3}', "[" * 5000])
async def test_storing_something_else_is_refused(body: str) -> None:
    assert (await Agent().answers.answer("store", body, pid=7)).status is HTTPStatus.CONFLICT


async def test_the_first_use_of_each_login_is_logged_without_it() -> None:
    agent = Agent()
    agent.row()
    agent.login()
    for _ in range(3):
        await agent.get()
    await agent.get("unknown.example")
    assert agent.log.names().count("credential.served") == 1
    assert ("info", "credential.served", {"registry": "ghcr.io", "pid": 7}) in agent.log.events
    answered = [fields["outcome"] for _, event, fields in agent.log.events if event == "credential.answered"]
    assert answered == ["served"] * 3 + ["not_found"]
    assert "old token" not in repr(agent.log.events)
