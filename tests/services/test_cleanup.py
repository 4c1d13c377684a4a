"""A login whose secret is gone: why it is removed is asked again when it happens."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from agent.model.problems.stored_login import CredentialStoreFailed
from agent.model.stored_state import StoredLogin
from tests.fakes import EPOCH
from tests.services.login_fakes import HOURS
from tests.services.test_logins import GHCR, HUB, Stage

OLD = "old.example"
TICK_S = 31


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """An agent that serves ghcr.io. `old.example` has a login from before the start, and no secret."""
    stage = Stage()
    task = asyncio.create_task(stage.logins.run())
    await stage.clock.settle()
    yield stage
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def excluded(stage: Stage) -> None:
    stage.settings.excluded("ghcr.io")


def kept(stage: Stage) -> None:
    stage.settings.removed("keep")


@pytest.mark.parametrize("change", [excluded, kept])
async def test_a_logout_that_waits_for_its_next_attempt_asks_again(
    stage: Stage, change: Callable[[Stage], None]
) -> None:
    """The store failed at first. Meanwhile, the settings leave the login alone: it stays, and the warning clears."""
    stage.settings.removed("logout")
    await stage.follow(GHCR)
    stage.reconciler.problem = CredentialStoreFailed("ghcr.io", "it hangs")
    await stage.follow()
    assert stage.warnings == {"credential_store_failed": "error"}
    change(stage)
    stage.reconciler.problem = None
    await stage.clock.advance(TICK_S)
    assert (stage.warnings, stage.reconciler.stored) == ({}, {"ghcr.io": "right"})
    stage.settings.excluded()
    stage.settings.removed("logout")
    await stage.clock.advance(TICK_S)
    assert stage.reconciler.stored == {"ghcr.io": "right"}, "what was decided then is not decided again"


@pytest.mark.parametrize("change", [excluded, kept])
async def test_a_logout_that_waits_for_the_store_asks_again(stage: Stage, change: Callable[[Stage], None]) -> None:
    """A credential helper is slow. Meanwhile, the settings leave the login alone: it stays, and nobody restores it."""
    stage.settings.removed("logout")
    await stage.follow(GHCR)
    slow = stage.reconciler.writing["ghcr.io"] = asyncio.Event()
    await stage.follow()
    change(stage)
    slow.set()
    await stage.clock.settle()
    assert stage.reconciler.stored == {"ghcr.io": "right"}
    left_to_docker, still_served = stage.reconciler.excluded, stage.reconciler.forgotten
    assert (left_to_docker, still_served) == ((["ghcr.io"], []) if change is excluded else ([], ["ghcr.io"]))
    assert "login.removed" not in stage.log.names()


async def test_a_logout_is_dropped_if_a_secret_exists_again(stage: Stage) -> None:
    """Also one that is disabled: the registry is left alone, and keeps its login."""
    stage.settings.removed("logout")
    await stage.follow(GHCR, HUB)
    stage.reconciler.problem = CredentialStoreFailed("ghcr.io", "it hangs")
    await stage.follow()
    await stage.follow({**GHCR, "enabled": False})
    stage.reconciler.problem = None
    await stage.clock.advance(TICK_S)
    assert stage.reconciler.stored == {"ghcr.io": "right"}
    await stage.follow()
    assert stage.reconciler.stored == {}, "the secret is gone again"
    assert stage.log.names().count("login.removed") == 2


def login_from_before(stage: Stage, ends_in: timedelta) -> None:
    stage.reconciler.stored[OLD] = "token-of-before"
    stage.state_file.set_entry(OLD, StoredLogin(docker_key=OLD, digests=(), expires_at=EPOCH + ends_in))


async def test_before_a_server_has_answered_nothing_is_removed(stage: Stage) -> None:
    """The clock may be hours ahead. Once a server confirms the time, the expired login is removed."""
    login_from_before(stage, -timedelta(hours=1))
    await stage.follow()
    await stage.clock.advance(HOURS)
    assert OLD in stage.reconciler.stored
    stage.docker_login.clock_off = timedelta(hours=13)
    await stage.follow(GHCR)
    await stage.clock.advance(TICK_S)
    assert OLD in stage.reconciler.stored, "the server contradicts the clock"
    stage.docker_login.clock_off = timedelta()
    stage.logins.renew("ghcr.io")
    await stage.clock.advance(TICK_S)
    assert OLD not in stage.reconciler.stored
    assert "login.expired" in stage.log.names()


async def test_an_expired_login_without_a_secret_is_removed_after_its_registry_has_confirmed_the_time(
    stage: Stage,
) -> None:
    """Nothing else may ask a server. A registry that is left alone is not asked."""
    login_from_before(stage, -timedelta(hours=1))
    stage.settings.excluded(OLD)
    stage.registries_answer = True
    await stage.follow()
    await stage.clock.advance(TICK_S)
    assert (stage.asked_time, list(stage.reconciler.stored)) == ([], [OLD])
    stage.settings.excluded()
    await stage.clock.advance(TICK_S)
    assert (stage.asked_time, stage.reconciler.stored) == ([OLD], {})
    assert "login.expired" in stage.log.names()


async def test_a_logout_asks_no_registry_for_the_time(stage: Stage) -> None:
    """It needs no proof that the login has ended. An unreachable registry would delay it."""
    login_from_before(stage, -timedelta(hours=1))
    assert await stage.logins.logout()
    assert (stage.asked_time, stage.reconciler.stored) == ([], {})


async def test_a_leap_of_the_clock_removes_nothing_and_a_suspend_does(stage: Stage) -> None:
    """Both move the wall clock. Only during a suspend does time pass."""
    login_from_before(stage, timedelta(hours=12))
    await stage.follow(GHCR)
    stage.clock.jump(13 * HOURS)
    await stage.clock.advance(TICK_S)
    assert OLD in stage.reconciler.stored
    stage.clock.jump(-13 * HOURS)
    stage.clock.suspend(13 * HOURS)
    await stage.clock.advance(TICK_S)
    assert OLD not in stage.reconciler.stored
