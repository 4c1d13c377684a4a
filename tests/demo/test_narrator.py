"""What the demo makes of the agent's status documents."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from agent.demo.narrator import Milestone, Narrator, Roles
from agent.demo.printer import Remark, render
from agent.model.problems.registry import LoginRejected, RegistryUnreachable
from agent.model.status import Phase, RegistryStatus, State
from agent.services.board import Board
from tests.fakes import FakeClock, FakeWarningLog, process

CAST = Roles(basic="localhost:1", token="localhost:2", ecr="localhost:3", rejecting="localhost:4", outage="localhost:5")


class Performance:
    """A real board, and the narrator who reads it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.board = Board(process(), self.clock.now, FakeWarningLog())
        self.narrator = Narrator(CAST)

    def log_in(self, hostname: str, *, life_s: int | None = None) -> None:
        now = self.clock.now()
        ends = None if life_s is None else now + timedelta(seconds=life_s)
        row = RegistryStatus(hostname, "name-" + hostname[-1], "project", "basic", now, State.LOGGED_IN)
        self.board.put_registry(replace(row, logged_in_at=now, expires_at=ends))

    def read(self) -> Sequence[Remark]:
        return self.narrator.read(self.board.snapshot.as_json(self.clock.now(), 0.0))


async def test_logins_are_told_once_and_a_moved_end_is_a_renewal() -> None:
    """With what was left of the old token."""
    performance = Performance()
    performance.log_in(CAST.ecr, life_s=60)
    told = "localhost:3 (name-3); its token ends in 60 s"
    assert performance.read() == [Remark("logged in", told)]
    assert performance.read() == []
    await performance.clock.advance(31)
    performance.log_in(CAST.ecr, life_s=60)
    assert performance.read() == [Remark("renewed", "localhost:3 (name-3), 29 s before its token would have ended")]
    assert performance.narrator.seen == {Milestone.ECR, Milestone.RENEWAL}


def test_a_warning_is_told_with_its_hint_and_again_when_it_is_mended() -> None:
    """A count that grows is no news."""
    performance = Performance()
    refused = LoginRejected(CAST.rejecting, "localhost:4 refused it")
    performance.board.report("login", [refused])
    told = performance.read()
    assert told == [Remark("error", "login_rejected: localhost:4 refused it (on purpose)", refused.hint)]
    performance.board.report("login", [refused])
    assert performance.read() == []
    performance.board.report("login")
    assert performance.read() == [Remark("mended", "localhost:4: login_rejected is gone")]
    assert performance.narrator.seen == {Milestone.WRONG_PASSWORD}


def test_a_recovery_is_seen_only_when_the_warning_is_gone_too() -> None:
    """Logged in while the warning still stands is not yet well; and no recovery without an outage before."""
    performance = Performance()
    performance.log_in(CAST.outage)
    performance.read()
    assert performance.narrator.seen == set()
    performance.board.report("login", [RegistryUnreachable(CAST.outage, "refused")])
    performance.read()
    assert performance.narrator.seen == {Milestone.OUTAGE}
    performance.board.report("login")
    performance.read()
    assert performance.narrator.seen == {Milestone.OUTAGE, Milestone.RECOVERY}
    assert performance.narrator.missing == [
        Milestone.BASIC,
        Milestone.TOKEN,
        Milestone.ECR,
        Milestone.WRONG_PASSWORD,
        Milestone.RENEWAL,
    ]


def test_the_end_of_the_first_pass_is_told_with_the_summary() -> None:
    """Once, also where the demo comes late."""
    performance = Performance()
    performance.board.set_phase(Phase.RUNNING)
    assert performance.read() == [Remark("agent", "every registry was tried once: no registry secrets")]
    assert performance.read() == []


def test_lines_fit_80_columns_and_long_words_stay_whole() -> None:
    """A command that is cut in two cannot be copied."""
    words = "a" * 90
    lines = render(123.4, Remark("warning", f"{'some words ' * 20}{words}", "do this and that " * 9)).splitlines()
    assert lines[0].startswith(" 123.4 s  warning    some words")
    assert [line for line in lines if len(line) > 80] == [" " * 21 + words]
    assert sum("-> " in line for line in lines) == 1
