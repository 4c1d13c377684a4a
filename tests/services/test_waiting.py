"""Loops that wait for the same beat wake together."""

from agent.services.waiting import until_next_beat
from tests.fakes import FakeClock


async def test_beats_are_shared() -> None:
    """Loops with the same interval wake at the same time: at multiples of the interval."""
    clock = FakeClock()
    await clock.advance(13)
    assert until_next_beat(clock, 10) == 7
    assert until_next_beat(clock, 30) == 17
