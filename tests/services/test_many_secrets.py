"""Many secrets: a change of one costs what it changes. Counted in revisions, rows and calls, never in seconds."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from types import FrameType

import pytest

from agent.model.status import Phase, State
from tests.services.login_fakes import plan
from tests.services.test_logins import GHCR, Stage

MANY = 300


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    task = asyncio.create_task(stage.logins.run())
    await stage.clock.settle()
    yield stage
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def secrets(number: int, **fields: object) -> list[dict[str, object]]:
    """Every second one is disabled."""
    return [
        {**GHCR, "name": f"team-{n}", "hostname": f"r{n:04}.example", "enabled": n % 2 == 0, **fields}
        for n in range(number)
    ]


async def revisions(stage: Stage, *wanted: Mapping[str, object]) -> int:
    before = stage.board.snapshot.revision
    await stage.follow(*wanted)
    return stage.board.snapshot.revision - before


async def test_a_plan_is_one_revision(stage: Stage) -> None:
    """However many registries it adds, and however many it removes."""
    disabled = secrets(MANY, enabled=False)
    assert await revisions(stage, *disabled) == 1
    assert len(stage.board.snapshot.registries) == MANY
    assert stage.phase() is Phase.RUNNING
    assert await revisions(stage, *disabled[:1]) == 1
    assert len(stage.board.snapshot.registries) == 1


async def test_a_plan_that_changes_nothing_makes_no_revision(stage: Stage) -> None:
    """The skipped registries keep their rows and their IDs."""
    await stage.follow(*secrets(MANY))
    before = stage.board.snapshot
    stage.clock.jump(60)
    assert await revisions(stage, *secrets(MANY)) == 0
    assert stage.board.snapshot is before
    assert sum(row.state is State.SKIPPED for row in before.registries) == MANY // 2


async def test_a_changed_secret_touches_only_its_own_row(stage: Stage) -> None:
    """One of the plan, one as its attempt starts, one as it ends."""
    wanted = secrets(MANY)
    await stage.follow(*wanted)
    before = {row.hostname: row for row in stage.board.snapshot.registries}
    wanted[0] = {**wanted[0], "password": "new"}
    assert await revisions(stage, *wanted) <= 3
    changed = [row.hostname for row in stage.board.snapshot.registries if row is not before[row.hostname]]
    assert changed == ["r0000.example"]


async def test_a_skipped_registry_gets_a_new_id_when_its_reason_changes(stage: Stage) -> None:
    """Then something has happened to it."""
    (off,) = secrets(1, enabled=False)
    await stage.follow(off)
    (first,) = stage.board.snapshot.registries
    stage.settings.excluded("quay.io")
    await stage.follow(off)
    assert stage.board.snapshot.registries == (first,)
    await stage.follow({**off, "name": "other"})
    (second,) = stage.board.snapshot.registries
    assert second.attempt_id != first.attempt_id
    assert stage.logins.renew(second.hostname) == [second.attempt_id]


async def test_the_work_for_a_change_grows_with_the_number_of_secrets_and_no_faster() -> None:
    """Counted in function calls of the agent: four times the secrets cost less than five times as many."""
    few, many = [await calls_for_a_change(number) for number in (100, 400)]
    assert few < many < 5 * few


async def calls_for_a_change(number: int) -> int:
    stage = Stage()
    task = asyncio.create_task(stage.logins.run())
    await stage.clock.settle()
    await stage.follow(*secrets(number))
    calls = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call") and "/agent/" in frame.f_code.co_filename

    changed = secrets(number)
    changed[0]["password"] = "new"
    stage.logins.follow(plan(*changed))
    sys.setprofile(note)
    try:
        await stage.clock.settle()
    finally:
        sys.setprofile(None)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    return calls
