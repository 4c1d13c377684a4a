"""All logins together: begun, replaced and ended as the plan says, and none delays another."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from agent.model.problems.aws import AwsUnreachable
from agent.model.problems.registry import LoginRejected
from agent.model.problems.stored_login import CredentialStoreFailed
from agent.model.status import Phase, State
from agent.model.stored_state import StoredLogin
from agent.services.logins import Logins
from tests.fakes import EPOCH
from tests.services.login_fakes import ECR, HOURS, Bench, plan

GHCR = {"name": "team", "hostname": "ghcr.io", "username": "bob", "password": "right"}
HUB = {"name": "hub", "hostname": "docker.io", "username": "bob", "password": "hub-password"}
NATIVE = {"name": "team-ecr", "hostname": ECR, "username": "runner-native"}


class Stage(Bench):
    def __init__(self) -> None:
        super().__init__()
        self.aws_wanted: list[bool] = []
        self.logins = Logins(
            self.dependencies,
            state_file=self.state_file,
            want_aws=self.aws_wanted.append,
        )

    async def follow(self, *secrets: Mapping[str, object]) -> None:
        self.logins.follow(plan(*secrets))
        await self.clock.settle()

    def states(self) -> dict[str, State]:
        return {row.hostname: row.state for row in self.board.snapshot.registries}


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    task = asyncio.create_task(stage.logins.run())
    await stage.clock.settle()
    yield stage
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_running_begins_when_each_was_attempted_whatever_came_of_it(stage: Stage) -> None:
    """A refusal counts as an attempt; the phase does not wait for success."""
    assert stage.phase() is Phase.STARTING
    stage.docker_login.answer = lambda password: LoginRejected("ghcr.io", "wrong") if password == "right" else None
    await stage.follow(GHCR, HUB)
    assert stage.phase() is Phase.RUNNING
    assert stage.states() == {"ghcr.io": State.REJECTED, "docker.io": State.LOGGED_IN}


async def test_what_is_wanted_first_is_met_once(stage: Stage) -> None:
    """Before any login is kept: only what was there at the start may be the image's. Also where there is one pass."""
    await stage.follow(GHCR, HUB)
    await stage.follow(GHCR)
    assert list(map(sorted, stage.reconciler.noted)) == [["docker.io", "ghcr.io"]]
    once = Stage()
    await once.logins.once(plan(GHCR))
    assert once.reconciler.noted == [["ghcr.io"]]


async def test_without_secrets_running_begins_after_the_first_reading(stage: Stage) -> None:
    """Nothing to do is done at once, and not before the secrets were read."""
    assert stage.phase() is Phase.STARTING
    await stage.follow()
    assert stage.phase() is Phase.RUNNING


async def test_running_waits_for_an_address_that_is_slow(stage: Stage) -> None:
    """While a source has not answered for the first time, nobody can say that every registry was attempted."""
    stage.logins.follow(replace(plan(GHCR), complete=False))
    await stage.clock.settle()
    assert stage.states() == {"ghcr.io": State.LOGGED_IN}
    assert stage.phase() is Phase.STARTING
    await stage.follow(GHCR)
    assert stage.phase() is Phase.RUNNING


async def test_a_secret_that_went_while_the_agent_was_down_is_logged_out(stage: Stage) -> None:
    """Where the settings say logout, and only once every source was read without a fault."""
    stage.settings.removed("logout")
    stage.reconciler.stored["docker.io"] = "hub-password"
    stage.state_file.set_entry("docker.io", StoredLogin(docker_key="docker.io", digests=()))
    stage.logins.follow(replace(plan(GHCR), all_sources_ok=False, complete=False))
    await stage.clock.settle()
    assert "docker.io" in stage.reconciler.stored
    await stage.follow(GHCR)
    assert "docker.io" not in stage.reconciler.stored


async def test_a_source_that_works_again_shows_what_was_removed_meanwhile(stage: Stage) -> None:
    """One that was broken at the first reading may have held the secret; once it is whole it is known."""
    stage.settings.removed("logout")
    stage.reconciler.stored["docker.io"] = "hub-password"
    stage.state_file.set_entry("docker.io", StoredLogin(docker_key="docker.io", digests=()))
    stage.logins.follow(replace(plan(GHCR), all_sources_ok=False))
    await stage.clock.settle()
    assert (stage.phase(), "docker.io" in stage.reconciler.stored) == (Phase.RUNNING, True)
    await stage.follow(GHCR)
    assert "docker.io" not in stage.reconciler.stored


async def test_a_secret_that_was_disabled_and_then_removed_is_logged_out(stage: Stage) -> None:
    """While it is disabled its login is left alone."""
    stage.settings.removed("logout")
    await stage.follow(GHCR, HUB)
    await stage.follow(GHCR, {**HUB, "enabled": False})
    assert "docker.io" in stage.reconciler.stored
    await stage.follow(GHCR)
    assert (stage.reconciler.stored, stage.states()) == ({"ghcr.io": "right"}, {"ghcr.io": State.LOGGED_IN})


async def test_docker_asks_the_agent_only_for_registries_with_a_usable_secret(stage: Stage) -> None:
    """Lines of others are left from before the start. They go once all sources were read."""
    stage.logins.follow(replace(plan(GHCR), all_sources_ok=False))
    await stage.clock.settle()
    assert stage.reconciler.kept_lines is None
    await stage.follow(GHCR, {**HUB, "enabled": False})
    assert stage.reconciler.kept_lines == ["ghcr.io"]


@pytest.mark.parametrize("expires_at", [None, EPOCH])
async def test_an_excluded_registry_is_left_alone(stage: Stage, expires_at: datetime | None) -> None:
    """Also where its secret went while the agent was down, or its token has ended: the person keeps it."""
    stage.settings.removed("logout")
    stage.settings.excluded("https://index.docker.io/v1/")
    stage.reconciler.stored["docker.io"] = "hub-password"
    stage.state_file.set_entry("docker.io", StoredLogin(docker_key="docker.io", digests=(), expires_at=expires_at))
    await stage.follow(GHCR)
    await stage.clock.advance(31)
    assert "docker.io" in stage.reconciler.stored


@pytest.mark.parametrize(("there", "state"), [(True, State.LOGGED_IN), (False, State.RETRYING)])
async def test_a_login_of_before_counts_only_while_docker_has_it(stage: Stage, *, there: bool, state: State) -> None:
    """Somebody logged out while the agent was down, and AWS gives no token: nothing is logged in."""
    stage.state_file.set_entry(ECR, StoredLogin(docker_key=ECR, digests=(), expires_at=EPOCH + timedelta(hours=6)))
    if there:
        stage.reconciler.stored[ECR] = "token-of-before"
    stage.credentials.problem = AwsUnreachable("aws", "x")
    await stage.follow(NATIVE)
    assert stage.states() == {ECR: state}
    assert ("renewal_failing" in stage.warnings) is there


async def test_a_dead_token_goes_although_its_registry_has_another_secret_now(stage: Stage) -> None:
    """A password that is refused leaves the token of before in its place, until that ends."""
    stage.reconciler.stored["ghcr.io"] = "token-of-before"
    ends = EPOCH + timedelta(hours=1)
    stage.state_file.set_entry("ghcr.io", StoredLogin(docker_key="ghcr.io", digests=(), expires_at=ends))
    stage.docker_login.answer = lambda _: LoginRejected("ghcr.io", "wrong")
    await stage.follow(GHCR)
    assert "ghcr.io" in stage.reconciler.stored
    await stage.clock.advance(HOURS + 1)
    assert "ghcr.io" not in stage.reconciler.stored
    assert stage.warnings.keys() == {"login_rejected", "token_expired"}


async def test_a_secret_that_changes_during_its_first_attempt_was_not_attempted(stage: Stage) -> None:
    """The phase waits for the login that takes its place."""
    stage.docker_login.hanging = "ghcr.io"
    await stage.follow(GHCR)
    await stage.follow({**GHCR, "password": "new"})
    assert stage.phase() is Phase.STARTING
    stage.docker_login.hanging = ""
    await stage.follow({**GHCR, "password": "newer"})
    assert (stage.phase(), stage.states()) == (Phase.RUNNING, {"ghcr.io": State.LOGGED_IN})


@pytest.mark.parametrize("hanging", ["ghcr.io", ""])
async def test_who_asked_hears_of_the_login_that_takes_the_others_place(stage: Stage, hanging: str) -> None:
    """Whether the attempt had begun or not: the secret's new login has the id that was promised, and takes over."""
    stage.docker_login.hanging = "ghcr.io"
    await stage.follow(GHCR)
    if hanging:  # an attempt that was asked for, and has begun
        stage.docker_login.hanging = ""
        await stage.follow({**GHCR, "password": "other"})
        stage.docker_login.hanging = hanging
    (promised,) = stage.logins.renew("ghcr.io")
    await stage.clock.settle()
    (before,) = stage.board.snapshot.registries
    assert (before.attempting, before.attempt_id == promised) == (True, bool(hanging))
    stage.docker_login.hanging = ""
    await stage.follow({**GHCR, "password": "new"})
    (after,) = stage.board.snapshot.registries
    assert (after.attempt_id, after.attempting, after.state) == (promised, False, State.LOGGED_IN)
    assert stage.reconciler.taken_over[-1] is True


async def test_only_the_login_whose_store_changed_looks_at_it(stage: Stage) -> None:
    """Ten thousand logins in one invalid file would otherwise wake each other. Without a name, all of them look."""
    await stage.follow(GHCR, HUB)
    for host in ("ghcr.io", "docker.io"):
        stage.reconciler.lost_logins[host] = CredentialStoreFailed(host, "it cannot store")
    stage.logins.wake("ghcr.io")
    stage.logins.wake("removed.example")
    await stage.clock.settle()
    assert stage.states() == {"ghcr.io": State.RETRYING, "docker.io": State.LOGGED_IN}
    stage.logins.wake()
    await stage.clock.settle()
    assert stage.states() == {"ghcr.io": State.RETRYING, "docker.io": State.RETRYING}


async def test_a_logout_that_fails_is_tried_again_and_a_secret_that_returns_clears_it(stage: Stage) -> None:
    """The error stands as long as it is true, and no longer."""
    stage.settings.removed("logout")
    await stage.follow(GHCR)
    stage.reconciler.problem = CredentialStoreFailed("ghcr.io", "it hangs")
    await stage.follow()
    assert stage.warnings == {"credential_store_failed": "error"}
    stage.reconciler.problem = None
    await stage.clock.advance(31)
    assert (stage.warnings, stage.reconciler.stored) == ({}, {})
    await stage.follow(GHCR)
    stage.reconciler.problem = CredentialStoreFailed("ghcr.io", "it hangs")
    await stage.follow()
    stage.reconciler.problem = None
    await stage.follow(GHCR)
    await stage.clock.advance(31)
    assert (stage.warnings, stage.reconciler.stored) == ({}, {"ghcr.io": "right"})


async def test_a_changed_secret_is_used_at_once(stage: Stage) -> None:
    """Even after a refusal that would wait half an hour; the other registry is not touched."""
    stage.docker_login.answer = lambda password: LoginRejected("ghcr.io", "wrong") if password == "right" else None
    await stage.follow(GHCR, HUB)
    await stage.follow({**GHCR, "password": "new"}, HUB)
    assert stage.states()["ghcr.io"] is State.LOGGED_IN
    assert sorted(stage.docker_login.tried) == ["hub-password", "new", "right"]
    assert stage.warnings == {}


async def test_a_secret_that_goes_leaves_its_login(stage: Stage) -> None:
    """secrets.removed = keep: no more renewals, no row, no putting back; the login stays in Docker's configuration."""
    await stage.follow(GHCR, NATIVE)
    await stage.follow(GHCR)
    await stage.clock.advance(11 * HOURS)
    assert stage.states() == {"ghcr.io": State.LOGGED_IN}
    assert stage.reconciler.stored[ECR] == "token-0"
    assert stage.reconciler.forgotten == [ECR]
    assert "token-1" not in stage.docker_login.tried


async def test_a_kept_login_is_taken_out_when_its_token_ends(stage: Stage) -> None:
    """Also one that only the state directory knows of: a stale login is worse than none."""
    stage.reconciler.stored[ECR] = "token-from-yesterday"
    stage.state_file.set_entry(ECR, StoredLogin(docker_key=ECR, digests=(), expires_at=EPOCH))
    await stage.follow(GHCR)
    await stage.clock.advance(31)
    assert ECR not in stage.reconciler.stored


async def test_a_secret_that_goes_is_logged_out_where_the_settings_say_so(stage: Stage) -> None:
    """secrets.removed = logout takes the entry out at once."""
    stage.settings.removed("logout")
    await stage.follow(GHCR, HUB)
    await stage.follow(HUB)
    assert stage.reconciler.stored == {"docker.io": "hub-password"}


async def test_a_hanging_registry_delays_no_other(stage: Stage) -> None:
    """One sign-in that never ends, nineteen that are done at once."""
    stage.docker_login.hanging = "slow.example"
    secrets = [{**GHCR, "name": f"team-{n}", "hostname": f"r{n}.example"} for n in range(19)]
    await stage.follow({**GHCR, "hostname": "slow.example"}, *secrets)
    states = stage.states()
    assert states.pop("slow.example") is State.PENDING
    assert set(states.values()) == {State.LOGGED_IN}
    assert stage.phase() is Phase.STARTING


async def test_a_write_that_goes_on_delays_no_other(stage: Stage) -> None:
    """A credential helper finishes its write although the secret changed; a registry that is new logs in meanwhile."""
    over = stage.reconciler.writing["ghcr.io"] = asyncio.Event()
    await stage.follow(GHCR)
    await stage.follow({**GHCR, "password": "new"}, HUB)
    assert stage.states() == {"ghcr.io": State.PENDING, "docker.io": State.LOGGED_IN}
    over.set()
    await stage.clock.settle()
    assert stage.states() == {"ghcr.io": State.LOGGED_IN, "docker.io": State.LOGGED_IN}
    assert stage.reconciler.stored == {"ghcr.io": "new", "docker.io": "hub-password"}


async def test_one_pass_that_is_cancelled_waits_for_a_write_that_goes_on() -> None:
    """`run --once` ends only when no credential helper is in the middle of its write."""
    once = Stage()
    over = once.reconciler.writing["ghcr.io"] = asyncio.Event()
    once.docker_login.hanging = "docker.io"
    running = asyncio.create_task(once.logins.once(plan(GHCR, HUB)))
    await once.clock.settle()
    running.cancel()
    await once.clock.settle()
    assert not running.done()
    over.set()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_disabled_and_unsupported_registries_are_shown_as_skipped(stage: Stage) -> None:
    """Known and left alone, each with its reason; they do not keep the phase from running."""
    await stage.follow({**GHCR, "enabled": False}, {"name": "odd", "hostname": "quay.io", "username": "runner-native"})
    assert stage.states() == {"ghcr.io": State.SKIPPED, "quay.io": State.SKIPPED}
    assert stage.warnings == {"native_unsupported": "warning"}
    assert stage.phase() is Phase.RUNNING
    assert all(row.last_error for row in stage.board.snapshot.registries)


async def test_renew_gives_an_id_for_each_and_knows_no_strangers(stage: Stage) -> None:
    """Without a name all registries are renewed; an unknown one is an error."""
    await stage.follow(GHCR, HUB)
    ids = stage.logins.renew(None)
    await stage.clock.settle()
    assert sorted(ids) == sorted(row.attempt_id or "" for row in stage.board.snapshot.registries)
    assert len(stage.docker_login.tried) == 4
    with pytest.raises(LookupError):
        stage.logins.renew("quay.io")


@pytest.mark.parametrize("starts_first", [True, False])
async def test_a_request_outlives_a_change_of_the_secret(stage: Stage, starts_first: bool) -> None:
    """Also if the password, which is the same, was refused before: the request is carried out, under its ID."""
    stage.rejections.held = (LoginRejected("ghcr.io", "wrong"), EPOCH + timedelta(seconds=1800))
    await stage.follow(GHCR)
    assert (stage.states(), stage.docker_login.tried) == ({"ghcr.io": State.REJECTED}, [])
    stage.docker_login.hanging = "ghcr.io"
    (attempt_id,) = stage.logins.renew("ghcr.io")
    if starts_first:
        await stage.clock.settle()
    stage.docker_login.hanging = ""
    await stage.follow({**GHCR, "scope": "user"})
    (row,) = stage.board.snapshot.registries
    assert (row.state, row.attempt_id, row.attempts, row.scope) == (State.LOGGED_IN, attempt_id, 1, "user")
    assert row.next_attempt_at is None


async def test_one_pass_returns_whether_all_are_logged_in() -> None:
    """`run --once`: each registry once, and the outcome."""
    once = Stage()
    assert await once.logins.once(plan(GHCR, HUB)) is True
    once = Stage()
    once.docker_login.answer = lambda password: LoginRejected("ghcr.io", "wrong") if password == "right" else None
    assert await once.logins.once(plan(GHCR, HUB)) is False
    assert sorted(once.docker_login.tried) == ["hub-password", "right"]


async def test_one_pass_respects_a_refusal_from_before() -> None:
    """A shell that calls `run --once` at each start does not lock an account."""
    once = Stage()
    once.rejections.held = (LoginRejected("ghcr.io", "wrong"), EPOCH + timedelta(seconds=600))
    assert await once.logins.once(plan(GHCR)) is False
    assert once.docker_login.tried == []
    assert once.states() == {"ghcr.io": State.REJECTED}
