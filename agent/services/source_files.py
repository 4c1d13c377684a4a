"""Watches the files that token sources read. A platform or a person replaces them at any time."""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls, NoThreadError
from agent.model.credential import TokenSource
from agent.model.plan import Plan
from agent.services.ports import FileWatcher

_FIRST_LOOK_S: Final = 5.0
_SELDOM: Final = 4
"""Ticks of the watcher between two looks at many files. Its hints about changes come at once."""
_LOOKS: Final = BlockingCalls("source-files", limit=16)


class SourceFiles:
    """Calls `on_change` with each source whose files have changed.

    Args:
        watcher: looks at the files.
        files: returns the files and directories of a source.
        signature: returns another value once one of them, or what its links lead to, has changed. It may block.
        on_change: what to call.
    """

    name: Final = "source files"

    def __init__(
        self,
        watcher: FileWatcher,
        files: Callable[[TokenSource], tuple[Path, ...]],
        signature: Callable[[Iterable[Path]], Hashable],
        on_change: Callable[[TokenSource], None],
    ) -> None:
        self._watcher: Final = watcher
        self._files: Final = files
        self._signature: Final = signature
        self._on_change: Final = on_change
        self._wanted: dict[tuple[Path, ...], list[TokenSource]] = {}
        self._planned: Final = asyncio.Event()

    def follow(self, plan: Plan) -> None:
        """Watch the files of this plan, and no others."""
        self._wanted = {}
        for source in plan.token_sources:
            self._wanted.setdefault(self._files(source), []).append(source)
        self._wanted.pop((), None)
        self._planned.set()

    async def run(self) -> None:
        tasks: dict[tuple[Path, ...], asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                await self._planned.wait()
                self._planned.clear()
                for paths in tasks.keys() - self._wanted.keys():
                    tasks.pop(paths).cancel()
                for paths in self._wanted.keys() - tasks.keys():
                    tasks[paths] = group.create_task(self._watch(paths), name="source files")

    async def _watch(self, paths: tuple[Path, ...]) -> None:
        changed = asyncio.Event()
        # At once, because the login may read the files before the watcher looks at them for the first time.
        known = latest = await self._first_signature(paths)

        def look() -> Hashable:
            """Runs in the watcher's thread."""
            nonlocal latest
            latest = self._signature(paths)
            return latest

        # A password must be used at once. A cloud's tools have several files, and a person can wait for seconds.
        every = 1 if len(paths) == 1 else _SELDOM
        directories = {*paths, *(path.parent for path in paths)}
        end = self._watcher.watch(look, changed, every=every, directories=lambda: directories)
        try:
            while True:
                await changed.wait()
                changed.clear()
                if latest != known:
                    known = latest
                    for source in self._wanted.get(paths, ()):
                        self._on_change(source)
        finally:
            end()

    async def _first_signature(self, paths: tuple[Path, ...]) -> Hashable:
        try:
            return await _LOOKS.call(paths, lambda: self._signature(paths), timeout=_FIRST_LOOK_S)
        except (TimeoutError, NoThreadError):
            return None
