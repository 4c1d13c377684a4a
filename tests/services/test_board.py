"""The board: what is true now, told once, by whoever knows it."""

import asyncio

import pytest

from agent.model.problem import Problem, Severity
from agent.model.problems.registry import LoginRejected, RegistryDns
from agent.model.problems.stored_login import RenewalFailing
from agent.model.status import CLEARED_KEPT, Condition, Phase
from agent.services.board import Board
from tests.fakes import FakeClock, FakeWarningLog, process


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def journal() -> FakeWarningLog:
    return FakeWarningLog()


@pytest.fixture
def board(clock: FakeClock, journal: FakeWarningLog) -> Board:
    return Board(process(), clock.now, journal, lambda text: text.replace("hunter2", "[redacted]"))


def dns(hostname: str = "ghcr.io") -> Problem:
    return RegistryDns(hostname, f"the name {hostname} does not resolve")


def test_what_an_owner_no_longer_says_is_mended(board: Board, journal: FakeWarningLog) -> None:
    """A report replaces the owner's last one; another owner's stays."""
    board.report("a", [dns(), LoginRejected("quay.io", "no")])
    board.report("b", [dns("gcr.io")])
    board.report("a", [dns()])
    assert [warning.key for warning in board.snapshot.warnings] == [
        ("registry_dns", "ghcr.io"),
        ("registry_dns", "gcr.io"),
    ]
    assert [cleared.warning.code for cleared in board.snapshot.cleared] == ["login_rejected"]
    assert [warning.code for warning in journal.cleared] == ["login_rejected"]


def test_the_same_again_is_counted_and_logged_once(board: Board, clock: FakeClock, journal: FakeWarningLog) -> None:
    """first_seen stays, last_seen and count move."""
    first = clock.now()
    board.report("a", [dns()])
    clock.jump(60)
    board.report("a", [dns()])
    (warning,) = board.snapshot.warnings
    assert (warning.first_seen, warning.last_seen, warning.count) == (first, clock.now(), 2)
    assert len(journal.raised) == 1


def test_a_problem_that_two_owners_see_goes_with_the_last(board: Board) -> None:
    """It is mended when nobody says it any more."""
    board.report("a", [dns()])
    board.report("b", [dns()])
    board.report("a")
    assert len(board.snapshot.warnings) == 1
    board.report("b")
    assert not board.snapshot.warnings


def test_a_warning_that_becomes_an_error_is_logged_again(board: Board, journal: FakeWarningLog) -> None:
    """The urgent window is news."""
    board.report("a", [RenewalFailing("ghcr.io", "fails")])
    board.report("a", [RenewalFailing("ghcr.io", "fails", severity=Severity.ERROR)])
    assert [warning.severity.value for warning in journal.raised] == ["warning", "error"]
    assert board.snapshot.condition is Condition.ERROR


def test_known_secrets_are_taken_out_of_messages(board: Board) -> None:
    """Whatever an outside program repeated."""
    board.report("a", [dns("ghcr.io"), LoginRejected("quay.io", "it said hunter2")])
    assert "hunter2" not in str(board.snapshot.as_json(board.snapshot.process.started_at, 0))


def test_only_the_last_fifty_cleared_are_kept(board: Board) -> None:
    """The list does not grow for ever."""
    for number in range(CLEARED_KEPT + 5):
        board.report("a", [dns(f"r{number}.example")])
    board.report("a")
    assert len(board.snapshot.cleared) == CLEARED_KEPT
    assert board.snapshot.cleared[-1].warning.subject == f"r{CLEARED_KEPT + 4}.example"


async def test_waiters_wake_at_a_change_and_only_then(board: Board, clock: FakeClock) -> None:
    """A revision that is the current one is waited out; an older one is answered at once."""
    since = board.snapshot.revision
    waiting = asyncio.create_task(board.changed(since))
    board.report("nobody")
    await clock.settle()
    assert not waiting.done()
    board.set_phase(Phase.RUNNING)
    board.set_phase(Phase.RUNNING)
    assert (await waiting).revision == since + 1
    assert (await board.changed(since)).phase is Phase.RUNNING
