"""The board shows what is true now, and logs each change once."""

import asyncio
import contextlib
from typing import Any

import pytest

from agent.model.problem import Problem, Severity
from agent.model.problems.registry import LoginRejected, RegistryDns
from agent.model.problems.stored_login import RenewalFailing
from agent.model.status import CLEARED_KEPT, Condition, Phase, RegistryStatus, State
from agent.services.board import Board
from tests.fakes import EPOCH, FakeClock, FakeLog, process


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def board(clock: FakeClock, log: FakeLog) -> Board:
    return Board(process(), clock.now, log, lambda text: text.replace("hunter2", "[redacted]"))


def dns(hostname: str = "ghcr.io") -> Problem:
    return RegistryDns(hostname, f"the name {hostname} does not resolve")


def test_a_problem_that_is_no_longer_reported_clears(board: Board, log: FakeLog) -> None:
    """A report replaces the owner's last one. Reports of other owners stay."""
    board.report("a", [dns(), LoginRejected("quay.io", "no")])
    board.report("b", [dns("gcr.io")])
    board.report("a", [dns()])
    assert [warning.key for warning in board.snapshot.warnings] == [
        ("registry_dns", "ghcr.io"),
        ("registry_dns", "gcr.io"),
    ]
    assert [cleared.warning.code for cleared in board.snapshot.cleared] == ["login_rejected"]
    assert log.events[-1] == ("info", "warning.cleared", {"code": "login_rejected", "subject": "quay.io"})


def test_a_repeated_problem_is_logged_once(board: Board, clock: FakeClock, log: FakeLog) -> None:
    """first_seen stays; last_seen and count change."""
    first = clock.now()
    board.report("a", [dns()])
    clock.jump(60)
    board.report("a", [dns()])
    (warning,) = board.snapshot.warnings
    assert (warning.first_seen, warning.last_seen, warning.count) == (first, clock.now(), 2)
    assert log.names() == ["warning.raised"]


def test_a_problem_of_two_owners_clears_with_the_last(board: Board) -> None:
    """It clears when no owner reports it any more."""
    board.report("a", [dns()])
    board.report("b", [dns()])
    board.report("a")
    assert len(board.snapshot.warnings) == 1
    board.report("b")
    assert not board.snapshot.warnings


def test_a_check_that_finds_the_same_changes_nothing_and_a_new_hint_is_shown(board: Board, clock: FakeClock) -> None:
    """Regular checks report without `repeat`: no count, no revision. Another hint or severity alone is news."""
    taken = RegistryDns("engine", "no engine answers", hint="start Docker")
    board.report("a", [taken], repeat=False)
    before = board.snapshot
    clock.jump(60)
    board.report("a", [RegistryDns("engine", "no engine answers", hint="start Docker")], repeat=False)
    board.report("nobody", repeat=False)
    assert board.snapshot is before
    board.report("a", [RegistryDns("engine", "no engine answers", hint="switch the context")], repeat=False)
    assert [warning.hint for warning in board.snapshot.warnings] == ["switch the context"]
    board.report("a", repeat=False)
    assert not board.snapshot.warnings


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_the_most_severe_report_of_two_owners_is_shown(board: Board, log: FakeLog, order: tuple[str, str]) -> None:
    """Whichever came last. When its owner stops reporting it, the other's text, hint and severity are shown."""
    reports = {
        "a": LoginRejected("ghcr.io", "the login ended", hint="log in", severity=Severity.ERROR),
        "b": LoginRejected("ghcr.io", "the removal waits", hint="wait", severity=Severity.WARNING),
    }
    for owner in order:
        board.report(owner, [reports[owner]])
    (before,) = board.snapshot.warnings
    assert (before.message, before.hint, before.severity) == ("the login ended", "log in", Severity.ERROR)
    board.report("a")
    (after,) = board.snapshot.warnings
    assert (after.message, after.hint, after.severity) == ("the removal waits", "wait", Severity.WARNING)
    assert (after.count, after.last_seen, after.first_seen) == (before.count, before.last_seen, before.first_seen)
    assert not board.snapshot.cleared
    assert log.events[-1][2]["message"] == "the removal waits"


def test_a_warning_that_becomes_an_error_is_logged_again(board: Board, log: FakeLog) -> None:
    """This happens when the urgent window begins."""
    board.report("a", [RenewalFailing("ghcr.io", "fails")])
    board.report("a", [RenewalFailing("ghcr.io", "fails", severity=Severity.ERROR)])
    assert [level for level, *_ in log.events] == ["warning", "error"]
    assert board.snapshot.condition is Condition.ERROR


def test_known_secrets_are_removed_from_messages(board: Board) -> None:
    """An outside program or server may have repeated one."""
    board.report("a", [dns("ghcr.io"), LoginRejected("quay.io", "it said hunter2")])
    assert "hunter2" not in str(board.snapshot.as_json(board.snapshot.process.started_at, 0))


def test_only_the_last_fifty_cleared_are_kept(board: Board) -> None:
    """The list of cleared warnings does not grow without limit."""
    for number in range(CLEARED_KEPT + 5):
        board.report("a", [dns(f"r{number}.example")])
    board.report("a")
    assert len(board.snapshot.cleared) == CLEARED_KEPT
    assert board.snapshot.cleared[-1].warning.subject == f"r{CLEARED_KEPT + 4}.example"


async def test_waiters_wake_only_at_a_change(board: Board, clock: FakeClock) -> None:
    """With the current revision, the call waits. With an older one, it returns at once."""
    since = board.snapshot.revision
    waiting = asyncio.create_task(board.changed(since))
    board.report("nobody")
    await clock.settle()
    assert not waiting.done()
    board.set_phase(Phase.RUNNING)
    board.set_phase(Phase.RUNNING)
    assert (await waiting).revision == since + 1
    assert (await board.changed(since)).phase is Phase.RUNNING


def row(hostname: str, **fields: Any) -> RegistryStatus:
    return RegistryStatus(hostname, "team", "project", "basic", EPOCH, **fields)


async def test_a_batch_is_one_revision(board: Board, clock: FakeClock) -> None:
    """With all of its changes, also if it ends with an error. A batch without a change is none."""
    since = board.snapshot.revision
    waiting = asyncio.create_task(board.changed(since))
    with contextlib.suppress(RuntimeError), board.batch():
        board.put_registry(row("b.example"))
        board.put_registry(row("a.example"))
        board.report("a", [dns()])
        board.set_phase(Phase.RUNNING)
        assert board.snapshot.registries == (), "nobody sees half a batch"
        raise RuntimeError
    after = await waiting
    assert after.revision == since + 1
    assert [each.hostname for each in after.registries] == ["a.example", "b.example"]
    assert ([warning.code for warning in after.warnings], after.phase) == (["registry_dns"], Phase.RUNNING)
    with board.batch():
        board.put_registry(row("a.example"))
    await clock.settle()
    assert board.snapshot is after


def test_a_snapshot_stays_as_it_was(board: Board) -> None:
    """Changes after it make another one."""
    board.put_registry(row("a.example"))
    board.report("a", [dns()])
    former = board.snapshot
    board.put_registry(row("a.example", state=State.LOGGED_IN))
    board.put_registry(row("b.example"))
    board.report("a")
    board.remove_registry("a.example")
    assert [(each.hostname, each.state) for each in former.registries] == [("a.example", State.PENDING)]
    assert (len(former.warnings), len(former.cleared)) == (1, 0)
    assert [each.hostname for each in board.snapshot.registries] == ["b.example"]
    assert board.snapshot.revision == former.revision + 4
