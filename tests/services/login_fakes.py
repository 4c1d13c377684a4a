"""What a login works with, as fakes that do what they are told and remember it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

from agent.edge.state_file import StateFile
from agent.model.credential import Credential, TokenSource
from agent.model.desired_login import DesiredLogin
from agent.model.docker_config import Entry
from agent.model.docker_results import ProbeResult
from agent.model.login_source import AwsDefaults
from agent.model.plan import Login, Plan, make_plan
from agent.model.problem import Problem, ProblemError
from agent.model.registry import Registry
from agent.model.secret import parse_secret
from agent.model.sensitive import Sensitive
from agent.model.status import Phase, RegistryStatus, State
from agent.model.stored_state import AppliedLogin, StoredLogin, StoreNews
from agent.services.board import Board
from agent.services.confirmed_time import ConfirmedTime
from agent.services.docker_login import DockerLoginResult
from agent.services.endless_logins import EndlessLogins
from agent.services.expiry_proof import ExpiryProof
from agent.services.login import RegistryLogin
from agent.services.login_dependencies import LoginDependencies
from agent.services.served_logins import ServedLogins
from agent.settings import Settings
from tests.fakes import FakeClock, FakeLog, process

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
HOURS = 3600.0


def plan(*secrets: Mapping[str, object]) -> Plan:
    return make_plan([parse_secret(fields, "test", "[0]") for fields in secrets], (), AwsDefaults())


def basic() -> Login:
    secret: dict[str, object] = {"name": "team", "hostname": "ghcr.io", "username": "bob", "password": "right"}
    return plan(secret).logins[0]


def native() -> Login:
    return plan({"name": "team-ecr", "hostname": ECR, "username": "runner-native"}).logins[0]


class FakeCredentials:
    """Gives tokens of 12 h, due at half of it, or fails while `problem` is set."""

    def __init__(self, clock: FakeClock, time: ConfirmedTime) -> None:
        self._clock = clock
        self._time = time
        self.problem: Problem | None = None
        self.given: list[Credential] = []
        self.life = timedelta(hours=12)
        self.works_again = False

    def may_work(self, source: TokenSource) -> bool:
        assert source.log_fields
        return self.works_again

    def source_changed(self, source: TokenSource) -> bool:
        """The next caller gets a new token."""
        assert source.log_fields
        self.given.clear()
        return True

    def retain(self, sources: Collection[TokenSource]) -> None:
        assert all(source.log_fields for source in sources)

    async def credential(
        self, source: TokenSource, subject: str, *, stale: Credential | None = None, force: bool = False
    ) -> Credential:
        assert source.log_fields
        assert isinstance(force, bool)
        if self.problem is not None:
            raise ProblemError(self.problem.about(subject))
        if self.given and self.given[-1] != stale:
            return self.given[-1]
        now = self._clock.now()
        token = Credential(
            "AWS", Sensitive(f"token-{len(self.given)}"), now, now + self.life, now + self.life / 2, "arn:aws:test"
        )
        self.given.append(token)
        self._time.observe(now)
        return token


class FakeDockerLogin:
    """Does what `answer` says of a password. `clock_off` is how far the registry's clock differs; None: it has none."""

    def __init__(self, clock: FakeClock, time: ConfirmedTime) -> None:
        self._clock = clock
        self._time = time
        self.clock_off: timedelta | None = timedelta()
        self.tried: list[str] = []
        self.answer: Callable[[str], Problem | Exception | None] = lambda _: None
        self.hanging = ""
        self.amiss: tuple[Problem, ...] = ()

    async def log_in(self, login: Login, credential: Credential) -> DockerLoginResult:
        if login.registry.hostname == self.hanging:
            await asyncio.Event().wait()
        password = credential.password.reveal()
        self.tried.append(password)
        self._time.observe(self._clock.now() - self.clock_off if self.clock_off is not None else None)
        fault = self.answer(password)
        if isinstance(fault, Problem):
            raise ProblemError(fault)
        if fault is not None:
            raise fault
        return DockerLoginResult(Entry(credential.username, credential.password), self.amiss)


class FakeReconciler:
    def __init__(self, served: ServedLogins, state_file: StateFile) -> None:
        self.served = served
        self._state_file = state_file
        self.stored: dict[str, str] = {}
        self.taken_over: list[bool] = []
        self.noted_replaceable: list[str] = []
        self.noted: list[list[str]] = []
        self.forgotten: list[str] = []
        self.problem: Problem | None = None
        self.used: tuple[Entry, bool] | None = None
        """What Docker uses for a stored login, and whether it is the agent's."""
        self.refused: Entry | None = None
        self.excluded: list[str] = []
        self.kept_lines: list[str] | None = None
        self.applied = AppliedLogin("config.json", (), ours=True)
        self.foreign = False
        """Whether Docker uses another login."""
        self.lost_logins: dict[str, Problem] = {}
        self.unread: set[str] = set()
        self.writing: dict[str, asyncio.Event] = {}
        """Registries whose write goes on, whatever is cancelled, until the event."""

    async def announce(self, registry: Registry) -> None:
        assert registry.hostname

    async def apply(
        self, registry: Registry, entry: Entry, *, expires_at: datetime | None, take_over: bool = False
    ) -> AppliedLogin:
        if self.problem is not None:
            raise ProblemError(self.problem)
        if registry.hostname in self.writing:
            await _whatever_is_cancelled(self.writing[registry.hostname])
        self.store(registry, entry.secret.reveal(), expires_at)
        self.served.publish(DesiredLogin(registry, entry, expires_at))
        self.used = (entry, True)
        self.taken_over.append(take_over)
        return self.applied

    def store(self, registry: Registry, password: str, expires_at: datetime | None) -> None:
        """Let Docker hold a login of the agent."""
        self.stored[registry.hostname] = password
        stored = self._state_file.entries().get(registry.hostname) or StoredLogin(registry.docker_key, ())
        self._state_file.set_entry(registry.hostname, replace(stored, expires_at=expires_at))

    def note_replaceable(self, registry: Registry) -> None:
        self.noted_replaceable.append(registry.hostname)

    async def note_preexisting(self, registries: Iterable[Registry]) -> None:
        self.noted.append([registry.hostname for registry in registries])

    async def resume(self, registry: Registry) -> bool | None:
        return None if registry.hostname in self.unread else registry.hostname in self.stored

    async def in_use(self, registry: Registry) -> tuple[Entry, bool] | None:
        return self.used if registry.hostname in self.stored else None

    def held(self, registry: Registry) -> StoredLogin | None:
        return self._state_file.entries().get(registry.hostname)

    def unusable(self, registry: Registry) -> Problem | None:
        return self.lost_logins.get(registry.hostname)

    def news(self, registry: Registry) -> StoreNews:
        return StoreNews(self.unusable(registry), self.problem, self.foreign)

    def note_refused(self, registry: Registry, entry: Entry | None) -> None:
        assert registry.hostname in self.stored
        self.refused = entry

    async def remove(
        self, registry: Registry, is_due: Callable[[], bool] = lambda: True, *, still_wanted: bool = False
    ) -> bool:
        assert isinstance(still_wanted, bool)
        if registry.hostname in self.writing:
            await self.writing[registry.hostname].wait()
        if not is_due():
            return False
        if self.problem is not None:
            raise ProblemError(self.problem)
        return self.stored.pop(registry.hostname, None) is not None

    async def forget(self, registry: Registry, *, excluded: bool = False) -> None:
        (self.excluded if excluded else self.forgotten).append(registry.hostname)

    async def forget_except(self, registries: Collection[Registry]) -> None:
        self.kept_lines = sorted(registry.hostname for registry in registries)


async def _whatever_is_cancelled(over: asyncio.Event) -> None:
    cancelled = False
    while not over.is_set():
        try:
            await over.wait()
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError


class FakeLoginCheck:
    """Gives the next of `answers` about a stored login, and accepts it if there is none left."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.answers: list[ProbeResult] = []
        self.asked: list[str] = []

    async def check(self, registry: Registry, entry: Entry, timeout: float) -> ProbeResult:
        assert registry.hostname
        assert timeout > 0
        self.asked.append(entry.secret.reveal())
        return self.answers.pop(0) if self.answers else ProbeResult(self._clock.now(), status=200)


class FakeRejections:
    """Remembers the last refusal, of the very login that was refused; `held` without a login is everyone's.

    If only its source knows the password, the refusal is about the credential.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.held: tuple[Problem, datetime] | None = None
        self._login: tuple[Login, object] | None = None

    async def active(self, login: Login, credential: Credential | None = None) -> tuple[Problem, timedelta] | None:
        if self.held is None or self._login not in (None, _refused(login, credential)):
            return None
        problem, not_before = self.held
        left = not_before - self._clock.now()
        return (problem, left) if left > timedelta() else None

    def record(self, login: Login, problem: Problem, wait: timedelta, credential: Credential | None = None) -> None:
        if not login.password_may_change or credential is not None:
            self._login, self.held = _refused(login, credential), (problem, self._clock.now() + wait)

    def clear(self, login: Login) -> None:
        self._login, self.held = (login, None), None


def _refused(login: Login, credential: Credential | None) -> tuple[Login, object]:
    return login, credential.fingerprint if credential is not None and login.password_may_change else None


class FakeDocker:
    docker_problem = "there is no docker on PATH"

    def __init__(self) -> None:
        self.looked = asyncio.Event()
        self.docker_ready = asyncio.Event()
        self.looked.set()
        self.docker_ready.set()


@dataclass
class LiveSettings:
    value: Settings = field(default_factory=Settings)

    def __call__(self) -> Settings:
        return self.value

    def removed(self, policy: str) -> None:
        self.value = replace(self.value, secrets=replace(self.value.secrets, removed=policy))

    def excluded(self, *hosts: str) -> None:
        self.value = replace(self.value, secrets=replace(self.value.secrets, exclude=hosts))


class Bench:
    """One of each, and the login on it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.log = FakeLog()
        self.board = Board(process(), self.clock.now, FakeLog())
        self.time = ConfirmedTime(self.clock)
        self.credentials = FakeCredentials(self.clock, self.time)
        self.docker_login = FakeDockerLogin(self.clock, self.time)
        self.served = ServedLogins()
        self.state_file = StateFile(None, Path("/home/ada/.docker"))
        self.reconciler = FakeReconciler(self.served, self.state_file)
        self.login_check = FakeLoginCheck(self.clock)
        self.jitter = 0.0
        self.rejections = FakeRejections(self.clock)
        self.docker = FakeDocker()
        self.settings = LiveSettings()
        self.asked_time: list[str] = []
        self.registries_answer = False
        """Whether a registry that is asked for the time answers."""
        self.outcomes = 0
        numbers = count(1)
        self.dependencies = LoginDependencies(
            credentials=self.credentials,
            docker_login=self.docker_login.log_in,
            check_login=self.login_check.check,
            reconciler=self.reconciler,
            served=self.served,
            rejections=self.rejections,
            docker=self.docker,
            board=self.board,
            clock=self.clock,
            time=self.time,
            expiry=ExpiryProof(self.time, self._tell_time, lambda: self.settings.value.retry.max_wait_s),
            log=self.log,
            settings=self.settings,
            new_id=lambda: f"id-{next(numbers)}",
            jitter=lambda: self.jitter,
        )

    def login(self, login: Login, ends_at: datetime | None = None) -> RegistryLogin:
        return RegistryLogin(
            login,
            self.dependencies,
            ends_at=ends_at,
            endless=EndlessLogins(self.state_file),
            on_first_attempt=self._count,
        )

    async def _tell_time(self, registry: Registry) -> None:
        self.asked_time.append(registry.hostname)
        self.time.observe(self.clock.now() if self.registries_answer else None)

    @property
    def row(self) -> RegistryStatus:
        (row,) = self.board.snapshot.registries
        return row

    def state(self) -> State:
        return self.row.state

    def phase(self) -> Phase:
        return self.board.snapshot.phase

    @property
    def warnings(self) -> dict[str, str]:
        """Code to severity."""
        return {warning.code: warning.severity.value for warning in self.board.snapshot.warnings}

    def _count(self) -> None:
        self.outcomes += 1
