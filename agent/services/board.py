"""The board: the state that the status, the log and the metrics show."""

import asyncio
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from agent.model.problem import Problem, Severity
from agent.model.snapshot import Process, Snapshot
from agent.model.status import CLEARED_KEPT, ClearedWarning, ClockJumps, OpenWarning, Phase, RegistryStatus, Tools
from agent.services.ports import Log

_SEVERITIES: Final = tuple(Severity)


class Board:
    """Holds one `Snapshot`. Each change makes a new revision and wakes the callers of `changed`.

    A change costs the same, however many registries there are: only the next reader of `snapshot` collects the rows.

    Each owner reports all its problems at once. A report replaces the owner's last one, so a problem that is no longer
    reported is fixed. If several owners report the same problem, the most severe of their reports is shown. Only the
    event loop's thread may call it.
    """

    def __init__(
        self,
        process: Process,
        now: Callable[[], datetime],
        log: Log,
        scrub: Callable[[str], str] = str,
        *,
        first_revision: int = 0,
    ) -> None:
        """`scrub` removes known secrets from a text, in case an outside program or server repeated one."""
        self._now: Final = now
        self._log: Final = log
        self._scrub: Final = scrub
        self._snapshot = Snapshot(process=process, revision=first_revision)
        self._revision = first_revision
        self._changes: Final[dict[str, Any]] = {}
        self._batching = False
        self._batch_changed = False
        self._registries: Final[dict[str, RegistryStatus]] = {}
        self._rows: Final[list[RegistryStatus]] = []
        self._stored_in: Final[dict[str, str | None]] = {}
        self._warnings: Final[dict[tuple[str, str], OpenWarning]] = {}
        self._owned: Final[dict[str, dict[tuple[str, str], Problem]]] = {}
        self._reports: Final[dict[tuple[str, str], dict[str, Problem]]] = {}
        """For each warning, the problem of each owner that reports it. The newest report is the last one."""
        self._cleared: Final[deque[ClearedWarning]] = deque(maxlen=CLEARED_KEPT)
        self._change: asyncio.Event = asyncio.Event()
        self.first_attempts_done: Final = asyncio.Event()

    @property
    def snapshot(self) -> Snapshot:
        if self._snapshot.revision != self._revision:
            self._snapshot = replace(
                self._snapshot,
                revision=self._revision,
                registries=tuple(self._rows),
                warnings=tuple(self._warnings.values()),
                cleared=tuple(self._cleared),
                **self._changes,
            )
            self._changes.clear()
        return self._snapshot

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Publish all changes of a `with` block as one revision. Nothing may wait inside."""
        assert self.snapshot.revision == self._revision  # noqa: S101 - nobody sees half a batch under an old revision
        self._batching, self._batch_changed = True, False
        try:
            yield
        finally:
            self._batching = False
            if self._batch_changed:
                self._publish()

    def report(self, owner: str, problems: Iterable[Problem] = (), *, repeat: bool = True) -> None:
        """Replace everything that `owner` reported before.

        A problem that is reported again increases its count. Regular checks find the same each time, so without
        `repeat` the same problems change nothing.
        """
        before = self._owned.get(owner, {})
        after = {problem.key: problem for problem in problems}
        if before == after and not (after and repeat):
            return
        self._owned[owner] = after
        if not after:
            del self._owned[owner]
        now = self._now()
        for key in before.keys() - after.keys():
            self._clear(key, owner, now)
        for key, problem in after.items():
            reports = self._reports.setdefault(key, {})
            reports.pop(owner, None)
            reports[owner] = problem
            self._show(OpenWarning.of(_worst(reports), now, self._warnings.get(key)))
        self._publish()

    def put_registry(self, registry: RegistryStatus) -> None:
        """Add or replace a registry's row; `changed_at` is kept while its state is the same."""
        former = self._registries.get(registry.hostname)
        same_state = former is not None and former.state is registry.state
        changed_at = former.changed_at if former is not None and same_state else self._now()
        last_error = self._scrub(registry.last_error) if registry.last_error else None
        stored_in = self._stored_in.get(registry.hostname)
        registry = replace(registry, changed_at=changed_at, last_error=last_error, stored_in=stored_in)
        # Compared after all fields are set, so a report without a change creates no new revision.
        if registry == former:
            return
        self._registries[registry.hostname] = registry
        self._set_row(registry.hostname, registry)

    def set_stored_in(self, hostname: str, stored_in: str | None) -> None:
        """Set where the agent's login for a registry is stored. None if another login is there, or none."""
        if self._stored_in.get(hostname) != stored_in:
            self._stored_in[hostname] = stored_in
            if hostname in self._registries:
                self.put_registry(self._registries[hostname])

    def remove_registry(self, hostname: str) -> None:
        if self._registries.pop(hostname, None) is not None:
            self._set_row(hostname)

    def set_tools(self, tools: Tools) -> None:
        if tools != self.snapshot.tools:
            self._publish(tools=tools)

    def set_phase(self, phase: Phase) -> None:
        if phase is not Phase.STARTING:
            self.first_attempts_done.set()
        if phase is not self.snapshot.phase:
            self._publish(phase=phase)

    def set_environment_id(self, environment_id: str) -> None:
        process = self.snapshot.process
        if environment_id != process.environment_id:
            self._publish(process=replace(process, environment_id=environment_id))

    def clock_jumped(self) -> None:
        self._publish(clock=ClockJumps(self.snapshot.clock.jumps + 1, self._now()))

    async def changed(self, since: int) -> Snapshot:
        """Wait for a snapshot whose revision is not `since`. Returns at once if the current one differs already."""
        while self._revision == since:
            await self._change.wait()
        return self.snapshot

    def _set_row(self, hostname: str, *row: RegistryStatus) -> None:
        """Insert, replace or remove one row. The rows are sorted by host name, so the others need not be compared."""
        begin = bisect_left(self._rows, hostname, key=_hostname)
        end = bisect_right(self._rows, hostname, lo=begin, key=_hostname)
        self._rows[begin:end] = row
        self._publish()

    def _show(self, warning: OpenWarning) -> None:
        former = self._warnings.get(warning.key)
        self._warnings[warning.key] = shown = self._scrubbed(warning)
        # Log changes only: a renewal that keeps failing would otherwise fill the log.
        if former is None or former.severity is not shown.severity:
            self._log_raised(shown)

    def _clear(self, key: tuple[str, str], owner: str, now: datetime) -> None:
        """Take back what `owner` reported. The warning clears when the last owner stops reporting it."""
        reports, warning = self._reports[key], self._warnings[key]
        del reports[owner]
        if reports:
            left = OpenWarning.of(_worst(reports), now, warning)
            self._show(replace(left, last_seen=warning.last_seen, count=warning.count))
            return
        del self._reports[key], self._warnings[key]
        self._cleared.append(ClearedWarning(warning, now))
        self._log.info("warning.cleared", code=warning.code, subject=warning.subject)

    def _log_raised(self, warning: OpenWarning) -> None:
        log = {
            Severity.NOTICE: self._log.info,
            Severity.WARNING: self._log.warning,
            Severity.ERROR: self._log.error,
        }[warning.severity]
        log(
            "warning.raised",
            code=warning.code,
            subject=warning.subject,
            message=warning.message,
            hint=warning.hint,
            needs=warning.needs.value,
        )

    def _scrubbed(self, warning: OpenWarning) -> OpenWarning:
        return replace(warning, message=self._scrub(warning.message), hint=self._scrub(warning.hint))

    def _publish(self, **changes: object) -> None:
        self._changes.update(changes)
        if self._batching:
            self._batch_changed = True
            return
        self._revision += 1
        # A new event for each change: waiters of the old one wake, and later waiters wait for the next change.
        self._change.set()
        self._change = asyncio.Event()


def _worst(reports: dict[str, Problem]) -> Problem:
    """Return the most severe problem, and of equal ones the newest."""
    return max(reversed(reports.values()), key=lambda problem: _SEVERITIES.index(problem.severity))


def _hostname(registry: RegistryStatus) -> str:
    return registry.hostname
