"""The push: the status document goes to `report.url` at each change and at each interval."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from agent.model.problem import Problem, ProblemError
from agent.model.problems.stored_login import ReportFailed
from agent.model.snapshot import Snapshot
from agent.services.retries import retrying
from agent.services.waiting import Clock, until_next_beat
from agent.settings import Settings

_SPACING_S: Final = 1.0
"""At most one push a second: of several changes within it only the newest goes out."""
_IDLE_S: Final = 30.0


class Board(Protocol):
    @property
    def snapshot(self) -> Snapshot: ...
    def report(self, owner: str, problems: Iterable[Problem] = ()) -> None: ...
    async def changed(self, since: int) -> Snapshot: ...


class Target(Protocol):
    async def send(self, url: str, token_file: Path | None, document: bytes) -> None:
        """Raises ReportFailed."""
        ...


class Document(Protocol):
    def encode(self, snapshot: Snapshot) -> bytes: ...


class Logger(Protocol):
    def debug(self, event: str, **fields: Any) -> None: ...


class Reports:
    name: Final = "reports"

    def __init__(
        self,
        board: Board,
        target: Target,
        document: Document,
        settings: Callable[[], Settings],
        *,
        clock: Clock,
        log: Logger,
    ) -> None:
        self._board: Final = board
        self._target: Final = target
        self._document: Final = document
        self._settings: Final = settings
        self._clock: Final = clock
        self._log: Final = log
        self._due: Final = asyncio.Event()
        self._reconfigured: Final = asyncio.Event()

    def reconfigured(self) -> None:
        """The settings have changed: push by the new ones now."""
        self._due.set()
        self._reconfigured.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._push())

    async def send_final(self, seconds: float) -> None:
        """One more push as the agent ends, if it can be had within so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._send()

    async def _watch(self) -> None:
        """Our own notice is no reason for a push, or each failure would be the cause of the next."""
        snapshot = self._board.snapshot
        while True:
            newer = await self._board.changed(snapshot.revision)
            if _without_report_warnings(newer) != _without_report_warnings(snapshot):
                self._due.set()
            snapshot = newer

    async def _push(self) -> None:
        while True:
            self._due.clear()
            if await self._deliver():
                await self._space()
                await self._deliver()  # once more, so that the other side sees the notice gone
            await self._space()
            report = self._settings().report
            pause = (
                until_next_beat(self._clock, _IDLE_S) if report.url is None else max(report.interval_s - _SPACING_S, 0)
            )
            await self._clock.wait(self._due, pause)

    async def _deliver(self) -> bool:
        """Push the newest document until it is taken or there is no URL any more; True if that mended a failure."""
        self._reconfigured.clear()
        failed = False

        def note(problem: Problem) -> None:
            nonlocal failed
            failed = True
            self._board.report(self.name, [problem])

        await retrying(lambda: self._settings().retry, self._pause, note)(self._send)
        self._board.report(self.name)
        return failed

    async def _send(self) -> Problem | None:
        """Send the status once, if there is a URL; why it was not taken."""
        report = self._settings().report
        if report.url is None:
            return None
        started, revision = self._clock.monotonic(), self._board.snapshot.revision
        try:
            await self._target.send(report.url, report.token_file, self._document.encode(self._board.snapshot))
        except ProblemError as error:
            problem = error.problem
            said = {"code": problem.code, "message": problem.message, "seconds": self._since(started)}
            self._log.debug("report.failed", revision=revision, **said)
            return problem
        self._log.debug("report.sent", revision=revision, seconds=self._since(started))
        return None

    def _since(self, started: float) -> float:
        return round(self._clock.monotonic() - started, 3)

    async def _pause(self, seconds: float) -> None:
        """However long it has failed: what changed meanwhile is told one interval after the other side is back."""
        longest = self._settings().report.interval_s
        await self._clock.wait(self._reconfigured, max(min(seconds, longest), _SPACING_S))
        self._reconfigured.clear()

    async def _space(self) -> None:
        await self._clock.wait(asyncio.Event(), _SPACING_S)


def _without_report_warnings(snapshot: Snapshot) -> Snapshot:
    """What a push is made for."""
    others = tuple(warning for warning in snapshot.warnings if warning.code != ReportFailed.code)
    return replace(snapshot, revision=0, warnings=others, cleared=())
