"""Logins whose password comes from a command or a file, which may give another one at any time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from agent.model.credential import Token, TokenSource
from agent.model.docker_results import ProbeResult
from agent.model.plan import Login
from agent.model.problem import Problem, ProblemError
from agent.model.problems.password_source import CredentialCommandFailed
from agent.model.problems.registry import LoginRejected, RegistryUnreachable
from agent.model.sensitive import Sensitive
from agent.model.status import State
from agent.services.credentials import Credentials
from agent.services.login import RegistryLogin
from agent.services.login_dependencies import LoginDependencies
from agent.settings import Settings
from tests.fakes import EPOCH
from tests.services.login_fakes import HOURS, Bench, plan

HOST = "registry.example.com"
FAILED = CredentialCommandFailed(HOST, "password_command vault exited with status 1")


class FakeSource:
    """Gives `password`, which lives for `life`, or until `ends_in` from the epoch."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.password = "first"
        self.life: timedelta | None = None
        self.ends_in: timedelta | None = None
        self.problem: Problem | None = None
        self.asked = 0

    async def fetch_token(self, source: TokenSource, settings: Settings) -> Token:
        assert source.fingerprint is None
        assert settings.aws.call_timeout_s > 0
        self.asked += 1
        if self.problem is not None:
            raise ProblemError(self.problem)
        now = self._bench.clock.now()
        end = EPOCH + self.ends_in if self.ends_in is not None else now + self.life if self.life is not None else None
        return Token("ada", Sensitive(self.password), end)


class PasswordBench(Bench):
    """The fakes of a login, but with the real `Credentials`."""

    def __init__(self) -> None:
        super().__init__()
        self.source = FakeSource(self)
        self.real = Credentials(
            fetch=self.source.fetch_token,
            clock=self.clock,
            settings=self.settings,
            board=self.board,
            log=self.log,
            jitter=lambda: 0.0,
        )
        given = self.dependencies
        fields = {name: getattr(given, name) for name in LoginDependencies.__dataclass_fields__}
        self.dependencies = LoginDependencies(**{**fields, "credentials": self.real})


def commanded() -> Login:
    secret = {"name": "team", "hostname": HOST, "username": "ada", "password_command": ["vault"]}
    return plan(secret).logins[0]


Begin = Callable[[], Awaitable[RegistryLogin]]


@pytest.fixture
def bench() -> PasswordBench:
    return PasswordBench()


@pytest.fixture
async def begin(bench: PasswordBench) -> AsyncIterator[Begin]:
    tasks: list[asyncio.Task[None]] = []

    async def start() -> RegistryLogin:
        login = bench.login(commanded())
        tasks.append(asyncio.create_task(login.run()))
        await bench.clock.settle()
        return login

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_password_that_ends_is_replaced_at_half_of_its_life(bench: PasswordBench, begin: Begin) -> None:
    """Like a token."""
    bench.source.life = timedelta(hours=2)
    await begin()
    assert bench.row.expires_at == EPOCH + timedelta(hours=2)
    bench.source.password = "second"
    await bench.clock.advance(HOURS + 1)
    assert bench.docker_login.tried == ["first", "second"]


async def test_without_a_known_end_the_source_is_asked_every_twelve_hours(bench: PasswordBench, begin: Begin) -> None:
    """The registry is asked in between whether it still accepts the login."""
    await begin()
    assert (bench.row.expires_at, bench.row.renew_at) == (None, EPOCH + timedelta(hours=12))
    await bench.clock.advance(11 * HOURS)
    assert bench.source.asked == 1
    await bench.clock.advance(2 * HOURS)
    assert bench.source.asked == 2


async def test_the_login_stays_while_its_source_fails(bench: PasswordBench, begin: Begin) -> None:
    """A warning until the password ends, an error afterwards. It recovers by itself."""
    bench.source.life = timedelta(hours=8)
    await begin()
    bench.source.problem = FAILED
    await bench.clock.advance(5 * HOURS)
    assert bench.state() is State.LOGGED_IN
    assert bench.warnings == {"credential_command_failed": "warning", "renewal_failing": "warning"}
    assert bench.reconciler.stored == {HOST: "first"}
    await bench.clock.advance(4 * HOURS)
    assert bench.warnings["credential_command_failed"] == "error"
    bench.source.problem = None
    await bench.clock.advance(HOURS)
    assert bench.warnings == {}
    assert bench.state() is State.LOGGED_IN


async def test_a_login_without_an_end_stays_too(bench: PasswordBench, begin: Begin) -> None:
    """It still works as far as anybody knows, so it is only a warning."""
    await begin()
    bench.source.problem = FAILED
    await bench.clock.advance(13 * HOURS)
    assert bench.state() is State.LOGGED_IN
    assert bench.warnings == {"credential_command_failed": "warning"}


async def test_a_source_that_never_worked_is_an_error(bench: PasswordBench, begin: Begin) -> None:
    """Nothing is logged in."""
    bench.source.problem = FAILED
    await begin()
    assert bench.warnings == {"credential_command_failed": "error"}
    assert bench.state() is State.RETRYING


async def test_the_same_password_again_is_a_failure_only_shortly_before_its_end(
    bench: PasswordBench, begin: Begin
) -> None:
    """Many programs keep a token until then. The agent asks at half of the rest, and does not keep asking."""
    bench.source.ends_in = timedelta(hours=10)
    await begin()
    await bench.clock.advance(9 * HOURS)
    assert bench.warnings == {}
    assert bench.source.asked < 6
    await bench.clock.advance(0.9 * HOURS)
    assert set(bench.warnings) == {"credential_command_failed", "renewal_failing"}
    bench.source.password, bench.source.ends_in = "second", timedelta(hours=20)
    await bench.clock.advance(0.1 * HOURS)
    assert bench.reconciler.stored == {HOST: "second"}
    assert bench.warnings == {}


async def test_a_replaced_password_is_used_at_once(bench: PasswordBench, begin: Begin) -> None:
    """While it is logged in, and while it waits after a rejection."""
    login = await begin()
    for password in ("second", "third"):
        bench.source.password = password
        bench.docker_login.answer = lambda given: LoginRejected(HOST, "no") if given == "second" else None
        bench.real.source_changed(commanded().source)  # type: ignore[arg-type] # it is one, as the plan shows
        login.source_changed()
        await bench.clock.settle()
    assert bench.docker_login.tried == ["first", "second", "third"]
    assert bench.warnings == {}


async def test_a_rejected_password_is_sent_once(bench: PasswordBench, begin: Begin) -> None:
    """However often the source gives it, until the wait is over. A person may send it again."""
    bench.docker_login.answer = lambda _: LoginRejected(HOST, "no")
    login = await begin()
    for _ in range(3):
        bench.real.source_changed(commanded().source)  # type: ignore[arg-type] # it is one, as the plan shows
        login.source_changed()
        await bench.clock.advance(10)
    assert bench.docker_login.tried == ["first"]
    assert bench.warnings == {"login_rejected": "error"}
    login.request_now()
    await bench.clock.advance(10)
    assert bench.docker_login.tried == ["first", "first"]


async def test_a_requested_password_that_is_rejected_is_not_sent_again_by_what_follows(
    bench: PasswordBench, begin: Begin
) -> None:
    """A platform that writes the same file each minute would lock the account. The request was for one attempt."""
    bench.docker_login.answer = lambda _: LoginRejected(HOST, "no")
    login = await begin()
    login.request_now()
    await bench.clock.settle()
    tried = [*bench.docker_login.tried]
    for _ in range(3):
        bench.real.source_changed(commanded().source)  # type: ignore[arg-type] # it is one, as the plan shows
        login.source_changed()
        await bench.clock.advance(60)
    assert bench.docker_login.tried == tried == ["first", "first"]
    await bench.clock.advance(1800)
    assert bench.docker_login.tried == ["first"] * 3


async def test_a_stored_password_that_the_registry_refuses_is_replaced(bench: PasswordBench, begin: Begin) -> None:
    """The agent asks the registry every six hours. The source has had another password for a while."""
    await begin()
    bench.source.password = "second"
    bench.login_check.answers = [ProbeResult(bench.clock.now(), status=401, refused=True)]
    await bench.clock.advance(6 * HOURS + 60)
    assert bench.docker_login.tried == ["first", "second"]
    assert bench.reconciler.stored == {HOST: "second"}
    assert bench.warnings == {}


async def test_a_refused_password_that_its_source_still_gives_is_not_sent(bench: PasswordBench, begin: Begin) -> None:
    """The check has sent it once already."""
    await begin()
    bench.login_check.answers = [ProbeResult(bench.clock.now(), status=401, refused=True)]
    await bench.clock.advance(6 * HOURS + 60)
    assert bench.docker_login.tried == ["first"]
    assert bench.warnings == {"login_rejected": "error"}


async def test_an_older_password_that_is_rejected_is_replaced_in_the_same_attempt(
    bench: PasswordBench, begin: Begin
) -> None:
    """The network was down for hours. The registry refuses only what the agent remembers, not what its source has."""
    bench.docker_login.answer = lambda _: RegistryUnreachable(HOST, "no route")
    await begin()
    bench.source.password = "second"
    await bench.clock.advance(HOURS)
    assert bench.source.asked == 1
    bench.docker_login.answer = lambda given: LoginRejected(HOST, "no") if given == "first" else None
    await bench.clock.advance(600)
    assert bench.docker_login.tried[-2:] == ["first", "second"]
    assert bench.warnings == {}
