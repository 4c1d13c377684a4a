"""A refusal is remembered across restarts, for exactly the secret that was refused."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.edge.state_file import StateFile
from agent.model.commands import shown
from agent.model.plan import Login
from agent.model.problem import Problem, RetryClass
from agent.model.problems.aws import AwsAccessDenied
from agent.model.problems.registry import LoginRejected, RegistryRateLimited
from agent.model.registry import Registry
from agent.services.confirmed_time import ConfirmedTime
from agent.services.rejections import Rejections, chain_inputs
from agent.settings import AwsSettings
from tests.fakes import EPOCH, FakeClock
from tests.services.login_fakes import ECR, basic, native, plan

WAIT = timedelta(minutes=30)


def record(state_file: StateFile, login: Login, problem: Problem, *, wait: timedelta = WAIT, off_s: float = 0) -> None:
    """Record a refusal, under a clock that is ahead by so many seconds."""
    clock = FakeClock(EPOCH + timedelta(seconds=off_s))
    time = ConfirmedTime(clock)
    time.observe(EPOCH)
    Rejections(state_file, time).record(login, problem, wait)


async def test_a_refusal_survives_a_restart(tmp_path: Path) -> None:
    """Code, message, hint and time are restored. Nothing of the secret is stored on disk."""
    config = tmp_path / "docker"
    state_file = StateFile.loaded(tmp_path / "state", config)
    secret = {"name": "team", "hostname": "ghcr.io", "username": "bob", "password": "hunter2-secret"}
    login, other = plan(secret).logins[0], plan({**secret, "password": "another"}).logins[0]
    record(state_file, login, LoginRejected("ghcr.io", "it said no", hint=f"ask HOST in {shown('/HOST/x')}"))
    await state_file.flush()

    clock = FakeClock()
    again = Rejections(StateFile.loaded(tmp_path / "state", config), ConfirmedTime(clock))
    active = await again.active(login)
    assert active is not None
    problem, wait = active
    assert (problem.code, problem.message, problem.hint, problem.retry_class) == (
        "login_rejected",
        "it said no",
        "ask ghcr.io in /HOST/x",
        RetryClass.REJECTED,
    )
    assert wait == WAIT
    assert await again.active(other) is None
    assert await again.active(native()) is None
    assert "hunter2" not in (tmp_path / "state" / "state.json").read_text()
    await clock.advance(WAIT.total_seconds())
    assert await again.active(login) is None


async def test_a_success_ends_a_refusal(tmp_path: Path) -> None:
    rejections = Rejections(StateFile.loaded(tmp_path, tmp_path), ConfirmedTime(FakeClock()))
    rejections.record(native(), LoginRejected(ECR, "no"), WAIT)
    rejections.clear(native())
    assert await rejections.active(native()) is None


async def test_a_rate_limit_is_not_a_refusal_after_a_restart(tmp_path: Path) -> None:
    """It is retried soon after its wait has ended. State files of older versions hold only refusals, without a pace."""
    state_file = StateFile.loaded(tmp_path, tmp_path)
    record(state_file, native(), RegistryRateLimited(ECR, "slow down"))
    await state_file.flush()
    file = tmp_path / "state.json"
    state = json.loads(file.read_text())
    assert await retry_class_after_a_restart(tmp_path) is RetryClass.SOON
    del state["rejections"][ECR]["pace"]
    file.write_text(json.dumps(state))
    assert await retry_class_after_a_restart(tmp_path) is RetryClass.REJECTED


async def retry_class_after_a_restart(state: Path) -> RetryClass:
    active = await Rejections(StateFile.loaded(state, state), ConfirmedTime(FakeClock())).active(native())
    assert active is not None
    return active[0].retry_class


@pytest.mark.parametrize(
    ("setting", "variable"),
    [
        ({"profile": "other"}, None),
        ({"identity_token_file": Path("/other")}, None),
        ({"identity_token_command": ("other",)}, None),
        ({"identity_token_command": ("gp", "other")}, None),
        ({}, "AWS_ACCESS_KEY_ID"),
        ({}, "AWS_SECRET_ACCESS_KEY"),
        ({}, "AWS_PROFILE"),
        ({}, "AWS_ROLE_ARN"),
        ({}, "AWS_WEB_IDENTITY_TOKEN_FILE"),
    ],
)
async def test_a_changed_identity_of_the_aws_chain_is_tried_at_once(
    tmp_path: Path, setting: dict[str, Any], variable: str | None
) -> None:
    """Reloaded settings, or a changed environment at the next start, may select an identity that AWS never refused."""
    settings, environ = AwsSettings(identity_token_command=("gp",)), {"AWS_PROFILE": "first"}
    state_file, login = StateFile.loaded(tmp_path / "state", tmp_path / "docker"), native()
    time = ConfirmedTime(FakeClock())
    rejections = Rejections(state_file, time, chain=lambda _: chain_inputs(settings, environ))
    rejections.record(login, AwsAccessDenied(login.registry.hostname, "AWS said no"), WAIT)
    before = settings, environ
    settings, environ = replace(settings, **setting), environ | ({variable: "other"} if variable else {})
    assert await rejections.active(login) is None
    settings, environ = before
    assert await rejections.active(login) is not None


class Restarted:
    """An agent that starts `after_s` seconds after a refusal, with a clock that is ahead by `off_s`.

    Its registry answers with the true time, unless it is `silent`.
    """

    def __init__(self, state_file: StateFile, after_s: float, off_s: float = 0, *, silent: bool = False) -> None:
        self.clock = FakeClock(EPOCH + timedelta(seconds=after_s + off_s))
        self._time = ConfirmedTime(self.clock)
        self._off = timedelta(seconds=off_s)
        self.silent = silent
        self.asked = 0
        self.rejections = Rejections(state_file, self._time, confirm=self._confirm)

    async def _confirm(self, registry: Registry) -> None:
        assert registry.hostname
        self.asked += 1
        self._time.observe(None if self.silent else self.clock.now() - self._off)

    async def left_s(self) -> float:
        """How long the refusal still holds; 0 if it does not."""
        active = await self.rejections.active(basic())
        return active[1].total_seconds() if active else 0

    async def over_after_s(self) -> float:
        """How many seconds after the start a login that waits as it is told sends the password."""
        started = self.clock.monotonic()
        while left := await self.left_s():
            await self.clock.advance(left)
        return self.clock.monotonic() - started


REFUSED = LoginRejected("ghcr.io", "wrong")
HOUR_S = 3600.0


@pytest.fixture
def state_file() -> StateFile:
    return StateFile(None, Path("/nowhere"))


@pytest.mark.parametrize("silent", [True, False])
async def test_a_clock_that_is_ahead_at_the_start_does_not_end_a_refusal(state_file: StateFile, silent: bool) -> None:
    """Whether or not the registry tells the time. The wait that begins at the start is surely long enough."""
    record(state_file, basic(), REFUSED)
    restarted = Restarted(state_file, 60, 10 * HOUR_S, silent=silent)
    assert await restarted.over_after_s() == WAIT.total_seconds()
    assert restarted.asked


async def test_a_clock_that_is_ahead_by_less_than_the_wait_does_not_shorten_it(state_file: StateFile) -> None:
    record(state_file, basic(), REFUSED)
    restarted = Restarted(state_file, 60, 1200)
    assert await restarted.over_after_s() >= WAIT.total_seconds() - 60


@pytest.mark.parametrize("off_s", [-10 * HOUR_S, 10 * HOUR_S])
async def test_a_clock_that_was_wrong_at_the_refusal_makes_it_neither_endless_nor_void(
    state_file: StateFile, off_s: float
) -> None:
    """It was corrected before the restart. The registry's answer had shown that it was wrong."""
    record(state_file, basic(), REFUSED, off_s=off_s)
    assert await Restarted(state_file, 60).over_after_s() == WAIT.total_seconds()


async def test_a_refusal_is_over_once_a_server_confirms_the_time(state_file: StateFile) -> None:
    """At the start if the registry answers, else soon after it does. No password is needed for that."""
    record(state_file, basic(), REFUSED)
    assert await Restarted(state_file, 2 * HOUR_S).left_s() == 0
    restarted = Restarted(state_file, 2 * HOUR_S, silent=True)
    assert 0 < await restarted.left_s() <= 300
    restarted.silent = False
    assert await restarted.left_s() == 0


@pytest.mark.parametrize("jump_s", [-10 * HOUR_S, 10 * HOUR_S])
async def test_a_clock_that_is_set_while_the_agent_runs_does_not_change_a_wait(
    state_file: StateFile, jump_s: float
) -> None:
    """Ahead, it would send the password too soon. Back, it would wait although the password may be right by now."""
    clock = FakeClock()
    rejections = Rejections(state_file, ConfirmedTime(clock))
    rejections.record(basic(), REFUSED, WAIT)
    clock.jump(jump_s)
    await clock.advance(WAIT.total_seconds() - 1)
    assert await rejections.active(basic()) is not None
    await clock.advance(1)
    assert await rejections.active(basic()) is None


async def test_a_suspend_counts_as_part_of_the_wait(state_file: StateFile) -> None:
    clock = FakeClock()
    rejections = Rejections(state_file, ConfirmedTime(clock))
    rejections.record(basic(), REFUSED, WAIT)
    clock.suspend(WAIT.total_seconds())
    assert await rejections.active(basic()) is None


@pytest.mark.parametrize("wait", [timedelta(minutes=1), timedelta(hours=2), timedelta(hours=11)])
async def test_a_wait_is_as_long_after_a_restart_as_before(tmp_path: Path, wait: timedelta) -> None:
    """Whatever kind of refusal it is, and whatever the settings say now: the registry may have asked for it."""
    state_file = StateFile.loaded(tmp_path, tmp_path)
    record(state_file, basic(), REFUSED, wait=wait)
    await state_file.flush()
    again = StateFile.loaded(tmp_path, tmp_path)
    assert await Restarted(again, 30).left_s() == wait.total_seconds() - 30
    ahead = StateFile(None, Path("/nowhere"))
    record(ahead, basic(), RegistryRateLimited("ghcr.io", "slow down"), wait=wait, off_s=HOUR_S)
    assert await Restarted(ahead, 30).left_s() == wait.total_seconds()


@pytest.mark.parametrize("waits", [None, [], {"ghcr.io": "30"}, {"ghcr.io": -1}, {"ghcr.io": 1e300}, {}])
async def test_a_refusal_whose_wait_is_not_known_lasts_rejected_wait_s_at_most(tmp_path: Path, waits: object) -> None:
    """Version 1.0.0 did not store the wait. A wrong clock made the time far away."""
    state_file = StateFile.loaded(tmp_path, tmp_path)
    record(state_file, basic(), REFUSED, off_s=10 * HOUR_S)
    await state_file.flush()
    state = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "state.json").write_text(json.dumps({**state, "waits": waits}))
    again = StateFile.loaded(tmp_path, tmp_path)
    assert again.fault is None
    assert await Restarted(again, 30).left_s() == WAIT.total_seconds()
