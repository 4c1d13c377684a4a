"""A suspend or a changed clock is detected, counted and acted on."""

from agent.services.board import Board
from agent.services.clock_watch import ClockWatch
from tests.fakes import FakeClock, FakeLog, process


async def test_jumps_are_counted_and_drift_is_not() -> None:
    """Ten hours of sleep and a clock that is set back are jumps. A correction of one second is not."""
    clock, log, woken = FakeClock(), FakeLog(), []
    board = Board(process(), clock.now, FakeLog())
    watch = ClockWatch(clock, board, log, lambda: woken.append(clock.now()))
    await clock.advance(60)
    clock.jump(1)
    watch.check()
    assert board.snapshot.clock.jumps == 0
    clock.jump(36000)
    watch.check()
    await clock.advance(10)
    watch.check()
    clock.jump(-600)
    watch.check()
    assert board.snapshot.clock.jumps == len(woken) == 2
    assert log.names() == ["clock.jumped", "clock.jumped"]
