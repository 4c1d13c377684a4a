"""What systemd hears of the agent, on a fake clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from agent.model.problems.registry import LoginRejected
from agent.services.board import Board
from agent.services.watchdog import Watchdog
from tests.fakes import FakeClock, FakeWarningLog, process


class FakeSystemd:
    def __init__(self) -> None:
        self.watchdog_s = 30.0
        self.heard: list[dict[str, str]] = []

    def notify(self, **state: str) -> None:
        self.heard.append(state)


class Watched:
    def __init__(self) -> None:
        self.systemd = FakeSystemd()
        self.clock = FakeClock()
        self.board = Board(process(), self.clock.now, FakeWarningLog())
        self.turning = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(Watchdog(self.systemd, self.clock, self.board, lambda: self.turning).run())
        await self.clock.settle()
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def pings(self) -> int:
        return sum("WATCHDOG" in state for state in self.systemd.heard)


async def test_it_pings_at_half_of_the_watchdogs_time() -> None:
    """At once, then every 15 of 30 seconds; each says again that the agent is ready, in case the first got lost."""
    watched = Watched()
    async with watched.running():
        await watched.clock.advance(59)
    assert watched.pings() == 4
    assert all(state["READY"] == "1" for state in watched.systemd.heard)


async def test_stuck_renewals_are_not_covered_up() -> None:
    """While the loop turns but the logins do not, systemd hears of the status and gets no ping."""
    watched = Watched()
    watched.turning = False
    async with watched.running():
        await watched.clock.advance(59)
    assert watched.pings() == 0
    assert watched.systemd.heard[-1]["STATUS"] == watched.board.snapshot.summary


async def test_a_new_summary_is_told_at_once() -> None:
    """And many changes within a second as one."""
    watched = Watched()
    async with watched.running():
        watched.systemd.heard.clear()
        watched.board.report("login", [LoginRejected("ghcr.io", "ghcr.io refused the password")])
        await watched.clock.settle()
        assert watched.systemd.heard == [{"STATUS": watched.board.snapshot.summary}]
        for number in range(5):
            problems = [LoginRejected(f"r{n}.example", "refused") for n in range(number)]
            watched.board.report("more", problems)
            await watched.clock.settle()
        assert len(watched.systemd.heard) == 1
        await watched.clock.advance(1)
        assert watched.systemd.heard[1:] == [{"STATUS": watched.board.snapshot.summary}]
