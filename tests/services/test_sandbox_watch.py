"""The agent stops when its sandbox is lost, so systemd restarts it."""

import asyncio
from contextlib import suppress
from pathlib import Path

from agent.services.sandbox_watch import SandboxWatch
from tests.fakes import FakeClock, FakeLog, NoFileWatcher


class FakeSandbox:
    directory = Path("/home/ada/.docker")

    def __init__(self) -> None:
        self.lost = False

    def is_lost(self) -> bool:
        return self.lost


async def test_a_lost_sandbox_is_reported_once() -> None:
    """It checks every two seconds. The callback stops the agent."""
    sandbox, clock, log, reported = FakeSandbox(), FakeClock(), FakeLog(), asyncio.Event()
    task = asyncio.create_task(SandboxWatch(sandbox, clock, NoFileWatcher(), log, reported.set).run())
    while not clock.waiting:  # noqa: ASYNC110 - the look is in a thread
        await asyncio.sleep(0)
    sandbox.lost = True
    await clock.advance(2)
    await reported.wait()
    assert log.events == [("info", "sandbox.lost", {"directory": "/home/ada/.docker"})]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
