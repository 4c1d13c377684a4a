"""Pushes the status document to `report.url`, at each change and at each interval."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent.model.problem import Problem, ProblemError
from agent.model.problems.stored_login import ReportFailed
from agent.model.snapshot import Snapshot
from agent.services.ports import Board, Clock, Log, StatusDocument
from agent.services.retries import retrying
from agent.settings import Settings

_SPACING_S: Final = 1.0
"""Least time between two pushes. Of several changes within it, only the newest is sent."""

Send = Callable[[str, Path | None, bytes], Awaitable[None]]
"""Sends a document once to a URL, with the token in a file. Raises `ReportFailed` if it is not accepted."""


class Reports:
    name: Final = "reports"

    def __init__(
        self,
        board: Board,
        send: Send,
        document: StatusDocument,
        settings: Callable[[], Settings],
        *,
        clock: Clock,
        log: Log,
    ) -> None:
        self._board: Final = board
        self._send_document: Final = send
        self._document: Final = document
        self._settings: Final = settings
        self._clock: Final = clock
        self._log: Final = log
        self._due: Final = asyncio.Event()
        self._reconfigured: Final = asyncio.Event()

    def reconfigured(self) -> None:
        """The settings have changed: push now, with the new ones."""
        self._due.set()
        self._reconfigured.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(self._push())

    async def send_final(self, seconds: float) -> None:
        """Push once more as the agent stops. Gives up after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._send()

    async def _watch(self) -> None:
        """Trigger a push at each change. `report_failed` does not count, or each failure would cause the next push."""
        snapshot = self._board.snapshot
        while True:
            newer = await self._board.changed(snapshot.revision)
            if _without_report_warnings(newer) != _without_report_warnings(snapshot):
                self._due.set()
            snapshot = newer

    async def _push(self) -> None:
        while True:
            self._due.clear()
            if self._settings().report.url is None:
                self._board.report(self.name)
                await self._due.wait()
                continue
            # This returns only after a success, so a receiver that fails gets retries, not more pushes.
            if await self._deliver():
                await self._keep_spacing()
                await self._deliver()  # once more, so the receiver sees that the notice cleared
            await self._keep_spacing()
            await self._clock.wait(self._due, max(self._settings().report.interval_s - _SPACING_S, 0))

    async def _deliver(self) -> bool:
        """Push the newest document until it is accepted, or until no URL is set. True if there was a failure before."""
        self._reconfigured.clear()
        failed = False

        def report_failure(problem: Problem) -> None:
            nonlocal failed
            failed = True
            self._board.report(self.name, [problem])

        await retrying(lambda: self._settings().retry, self._pause, report_failure)(self._send)
        self._board.report(self.name)
        return failed

    async def _send(self) -> Problem | None:
        """Send the status once, if a URL is set. Returns why it was not accepted."""
        report = self._settings().report
        if report.url is None:
            return None
        started, revision = self._clock.monotonic(), self._board.snapshot.revision
        try:
            await self._send_document(report.url, report.token_file, self._document.encode(self._board.snapshot))
        except ProblemError as error:
            problem, seconds = error.problem, self._since(started)
            self._log.debug(
                "report.failed", revision=revision, code=problem.code, message=problem.message, seconds=seconds
            )
            return problem
        self._log.debug("report.sent", revision=revision, seconds=self._since(started))
        return None

    def _since(self, started: float) -> float:
        return round(self._clock.monotonic() - started, 3)

    async def _pause(self, seconds: float) -> None:
        """Wait between two attempts, at most one interval: the receiver gets the status soon after it recovers."""
        longest = self._settings().report.interval_s
        await self._clock.wait(self._reconfigured, max(min(seconds, longest), _SPACING_S))
        self._reconfigured.clear()

    async def _keep_spacing(self) -> None:
        await self._clock.wait(asyncio.Event(), _SPACING_S)


def _without_report_warnings(snapshot: Snapshot) -> Snapshot:
    """The part of the status whose changes cause a push."""
    others = tuple(warning for warning in snapshot.warnings if warning.code != ReportFailed.code)
    return replace(snapshot, revision=0, warnings=others, cleared=())
