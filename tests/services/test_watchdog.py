"""The notifications that systemd receives, on a fake clock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from agent.model.problems.registry import LoginRejected
from agent.services.board import Board
from agent.services.watchdog import Watchdog
from tests.fakes import FakeClock, FakeLog, process


class FakeSystemd:
    def __init__(self) -> None:
        self.received: list[dict[str, str]] = []

    def notify(self, **state: str) -> None:
        self.received.append(state)


class Watched:
    def __init__(self) -> None:
        self.systemd = FakeSystemd()
        self.clock = FakeClock()
        self.board = Board(process(), self.clock.now, FakeLog())
        self.alive = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(
            Watchdog(self.systemd.notify, 30.0, self.clock, self.board, lambda: self.alive).run()
        )
        await self.clock.settle()
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def pings(self) -> int:
        return sum("WATCHDOG" in state for state in self.systemd.received)


async def test_it_pings_at_half_of_the_watchdog_interval() -> None:
    """At once, then every 15 of 30 seconds. Each ping repeats READY, in case the first one was lost."""
    watched = Watched()
    async with watched.running():
        await watched.clock.advance(59)
    assert watched.pings() == 4
    assert all(state["READY"] == "1" for state in watched.systemd.received)


async def test_stuck_renewals_stop_the_pings() -> None:
    """If the event loop runs but the logins do not, systemd receives the status and no ping."""
    watched = Watched()
    watched.alive = False
    async with watched.running():
        await watched.clock.advance(59)
    assert watched.pings() == 0
    assert watched.systemd.received[-1]["STATUS"] == watched.board.snapshot.summary


async def test_a_new_summary_is_sent_at_once() -> None:
    """Several changes within a second are sent as one."""
    watched = Watched()
    async with watched.running():
        watched.systemd.received.clear()
        watched.board.report("login", [LoginRejected("ghcr.io", "ghcr.io refused the password")])
        await watched.clock.settle()
        assert watched.systemd.received == [{"STATUS": watched.board.snapshot.summary}]
        for number in range(5):
            problems = [LoginRejected(f"r{n}.example", "refused") for n in range(number)]
            watched.board.report("more", problems)
            await watched.clock.settle()
        assert len(watched.systemd.received) == 1
        await watched.clock.advance(1)
        assert watched.systemd.received[1:] == [{"STATUS": watched.board.snapshot.summary}]
