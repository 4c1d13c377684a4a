"""What the demo prints for the agent's status documents."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from agent.demo.narrator import Milestone, Narrator
from agent.demo.printer import Remark, render
from agent.model.problems.registry import LoginRejected, RegistryUnreachable
from agent.model.status import Phase, RegistryStatus, State
from agent.services.board import Board
from tests.fakes import FakeClock, FakeWarningLog, process

ECR, REJECTING, OUTAGE = "localhost:3", "localhost:4", "localhost:5"
NAMES = {ECR: "ecr", REJECTING: "wrong-password", OUTAGE: "outage"}


class Demo:
    """A real board, and a narrator that reads its status."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.board = Board(process(), self.clock.now, FakeWarningLog())
        self.narrator = Narrator(NAMES)

    def log_in(self, hostname: str, *, life_s: int | None = None) -> None:
        now = self.clock.now()
        ends = None if life_s is None else now + timedelta(seconds=life_s)
        row = RegistryStatus(hostname, "name-" + hostname[-1], "project", "basic", now, State.LOGGED_IN)
        self.board.put_registry(replace(row, logged_in_at=now, expires_at=ends))

    def read(self) -> Sequence[Remark]:
        return self.narrator.read(self.board.snapshot.as_json(self.clock.now(), 0.0))


async def test_reports_a_login_once_and_a_new_expiry_as_a_renewal() -> None:
    """The renewal shows how long the old token would still be valid."""
    demo = Demo()
    demo.log_in(ECR, life_s=60)
    text = "localhost:3 (name-3); its token expires in 60 s"
    assert demo.read() == [Remark("logged in", text)]
    assert demo.read() == []
    await demo.clock.advance(31)
    demo.log_in(ECR, life_s=60)
    assert demo.read() == [Remark("renewed", "localhost:3 (name-3), 29 s before its old token expires")]
    assert demo.narrator.reached == {Milestone.ECR, Milestone.RENEWAL}


def test_reports_a_warning_with_its_hint_and_when_it_is_cleared() -> None:
    """A repeated warning is not reported again."""
    demo = Demo()
    refused = LoginRejected(REJECTING, "localhost:4 refused it")
    demo.board.report("login", [refused])
    remarks = demo.read()
    assert remarks == [Remark("error", "login_rejected: localhost:4 refused it (on purpose)", refused.hint)]
    demo.board.report("login", [refused])
    assert demo.read() == []
    demo.board.report("login")
    assert demo.read() == [Remark("fixed", "localhost:4: login_rejected is cleared")]
    assert demo.narrator.reached == {Milestone.WRONG_PASSWORD}


def test_a_recovery_needs_a_login_and_no_warning() -> None:
    """And an outage before. A login while the warning is still open is not a recovery."""
    demo = Demo()
    demo.log_in(OUTAGE)
    demo.read()
    assert demo.narrator.reached == set()
    demo.board.report("login", [RegistryUnreachable(OUTAGE, "refused")])
    demo.read()
    assert demo.narrator.reached == {Milestone.OUTAGE}
    demo.board.report("login")
    demo.read()
    assert demo.narrator.reached == {Milestone.OUTAGE, Milestone.RECOVERY}
    assert demo.narrator.missing == [
        Milestone.BASIC,
        Milestone.TOKEN,
        Milestone.ECR,
        Milestone.WRONG_PASSWORD,
        Milestone.RENEWAL,
    ]


def test_reports_the_end_of_the_first_pass_with_the_summary() -> None:
    """Once, even if the demo reads the status only after it."""
    demo = Demo()
    demo.board.set_phase(Phase.RUNNING)
    assert demo.read() == [Remark("agent", "every registry was tried once: no registry secrets")]
    assert demo.read() == []


def test_lines_fit_80_columns_but_long_words_stay_whole() -> None:
    """A command that is split over two lines cannot be copied."""
    words = "a" * 90
    lines = render(123.4, Remark("warning", f"{'some words ' * 20}{words}", "do this and that " * 9)).splitlines()
    assert lines[0].startswith(" 123.4 s  warning    some words")
    assert [line for line in lines if len(line) > 80] == [" " * 21 + words]
    assert sum("-> " in line for line in lines) == 1
