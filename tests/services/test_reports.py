"""When the status is pushed, and what happens when a push fails."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.model.problem import ProblemError
from agent.model.problems.registry import LoginRejected
from agent.model.problems.stored_login import ReportFailed
from agent.model.snapshot import Snapshot
from agent.model.status import Phase
from agent.services.board import Board
from agent.services.reports import Reports
from agent.settings import ReportSettings, RetrySettings, Settings
from tests.fakes import FakeClock, FakeLog, process

ON = Settings(
    report=ReportSettings(url="https://dash.example/in", interval_s=60),
    retry=RetrySettings(first_wait_s=8, max_wait_s=300),
)


class Encoder:
    def encode(self, snapshot: Snapshot) -> bytes:
        warnings = [warning.code for warning in snapshot.warnings]
        return json.dumps({"phase": snapshot.phase, "warnings": warnings}).encode()


@dataclass
class Receiver:
    """Accepts documents, after it has refused as many as `refusals`."""

    clock: FakeClock
    refusals: float = 0
    tried_at: list[float] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)

    async def send(self, url: str, token_file: Path | None, document: bytes) -> None:
        assert token_file is None
        self.tried_at.append(self.clock.monotonic())
        if self.refusals > 0:
            self.refusals -= 1
            raise ProblemError(ReportFailed(url, "no"))
        self.accepted.append(json.loads(document))


@dataclass
class Pushing:
    settings: Settings = ON

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.board = Board(process(), self.clock.now, FakeLog())
        self.receiver = Receiver(self.clock)
        self.reports = Reports(
            self.board, self.receiver.send, Encoder(), lambda: self.settings, clock=self.clock, log=FakeLog()
        )

    @property
    def codes(self) -> list[str]:
        return [warning.code for warning in self.board.snapshot.warnings]


@asynccontextmanager
async def pushing(settings: Settings = ON, refusals: float = 0) -> AsyncIterator[Pushing]:
    rig = Pushing(settings)
    rig.receiver.refusals = refusals
    running = asyncio.create_task(rig.reports.run())
    await rig.clock.settle()
    try:
        yield rig
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_pushes_at_the_start_at_each_change_and_at_each_interval() -> None:
    """One at the start, one at a change, then one per interval."""
    async with pushing() as rig:
        await rig.clock.advance(10)
        rig.board.set_phase(Phase.RUNNING)
        await rig.clock.advance(100)
        assert rig.receiver.tried_at == [0, 10, 70]
        assert [document["phase"] for document in rig.receiver.accepted] == ["starting", "running", "running"]


async def test_pushes_at_most_once_a_second() -> None:
    """Of a burst of changes, only the last document is sent."""
    async with pushing() as rig:
        for number in range(20):
            rig.board.report("a", [LoginRejected(str(number), "no")])
            await rig.clock.advance(0.1)
        rig.board.set_phase(Phase.RUNNING)
        await rig.clock.advance(5)
        times = rig.receiver.tried_at
        assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 1
        assert len(times) <= 4
        assert rig.receiver.accepted[-1] == {"phase": "running", "warnings": ["login_rejected"]}


async def test_a_failure_is_a_notice_until_the_next_success() -> None:
    """It is shown while it is retried. After it works again, the receiver gets the status without the notice."""
    async with pushing(refusals=3) as rig:
        assert rig.codes == ["report_failed"]
        await rig.clock.advance(8 + 16 + 32)
        assert rig.codes == []
        assert [document["warnings"] for document in rig.receiver.accepted] == [["report_failed"], []]


async def test_a_failed_push_does_not_trigger_another_push() -> None:
    """Each failure changes the board, but pushes follow only the waits between retries."""
    async with pushing(refusals=float("inf")) as rig:
        await rig.clock.advance(3600)
        tries = len(rig.receiver.tried_at)
        # 8, 16, … 300 s at most, with full jitter, of which the interval cuts all that is above 60 s.
        assert 3600 / 60 <= tries <= 100
        rig.board.set_phase(Phase.RUNNING)
        await rig.clock.settle()
        assert len(rig.receiver.tried_at) == tries


async def test_a_receiver_that_recovers_gets_the_status_within_the_interval() -> None:
    """The waits after failures never grow beyond `report.interval_s`."""
    async with pushing(refusals=float("inf")) as rig:
        await rig.clock.advance(3600)
        waits = [later - earlier for earlier, later in itertools.pairwise(rig.receiver.tried_at)]
        assert max(waits) <= 60 + 1e-6  # floating-point error
        rig.receiver.refusals = 0
        rig.board.set_phase(Phase.RUNNING)
        await rig.clock.advance(61)
        assert rig.receiver.accepted
        assert rig.receiver.accepted[0]["phase"] == "running"


async def test_a_flapping_receiver_is_not_hammered() -> None:
    """A receiver that refuses every second push gets one push per interval and its follow-up, not more."""
    async with pushing() as rig:
        await rig.clock.advance(1)
        for _ in range(60):
            rig.receiver.refusals = 1
            await rig.clock.advance(10)
        assert len(rig.receiver.tried_at) < 60


async def test_new_settings_apply_at_once() -> None:
    """Without a URL, nothing is sent and nothing reported. A URL can be added or removed without a restart."""
    async with pushing(Settings()) as rig:
        await rig.clock.advance(100)
        assert rig.receiver.tried_at == []
        rig.settings, rig.receiver.refusals = ON, float("inf")
        rig.reports.reconfigured()
        await rig.clock.settle()
        assert (rig.receiver.tried_at, rig.codes) == ([100], ["report_failed"])
        rig.settings = Settings()
        rig.reports.reconfigured()
        await rig.clock.settle()
        assert rig.codes == []
