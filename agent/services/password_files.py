"""Watches the files that hold passwords. A platform replaces them at any time, for example a Kubernetes token."""

import asyncio
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls, NoThreadError
from agent.model.password_source import PasswordField, PasswordSource
from agent.model.plan import Plan
from agent.services.ports import FileWatcher

_FIRST_LOOK_S: Final = 5.0
_LOOKS: Final = BlockingCalls("password-files", limit=16)


class PasswordFiles:
    """Calls `on_change` with each source whose file has changed.

    `signature` returns another value once a file, or what its links lead to, has changed. It may block.
    """

    name: Final = "password files"

    def __init__(
        self, watcher: FileWatcher, signature: Callable[[Path], Hashable], on_change: Callable[[PasswordSource], None]
    ) -> None:
        self._watcher: Final = watcher
        self._signature: Final = signature
        self._on_change: Final = on_change
        self._wanted: frozenset[PasswordSource] = frozenset()
        self._planned: Final = asyncio.Event()

    def follow(self, plan: Plan) -> None:
        """Watch the files of this plan, and no others."""
        sources = (source for source in plan.token_sources if isinstance(source, PasswordSource))
        self._wanted = frozenset(source for source in sources if source.origin.field is PasswordField.FILE)
        self._planned.set()

    async def run(self) -> None:
        tasks: dict[PasswordSource, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                await self._planned.wait()
                self._planned.clear()
                for source in tasks.keys() - self._wanted:
                    tasks.pop(source).cancel()
                for source in self._wanted - tasks.keys():
                    tasks[source] = group.create_task(self._watch(source), name=f"watch:{source.registry}")

    async def _watch(self, source: PasswordSource) -> None:
        path, changed = Path(source.origin.words[0]), asyncio.Event()
        # At once, because the login may read the file before the watcher looks at it for the first time.
        known = latest = await self._first_signature(path)

        def look() -> Hashable:
            """Runs in the watcher's thread."""
            nonlocal latest
            latest = self._signature(path)
            return latest

        end = self._watcher.watch(look, changed, directories=lambda: [path.parent])
        try:
            while True:
                await changed.wait()
                changed.clear()
                if latest != known:
                    known = latest
                    self._on_change(source)
        finally:
            end()

    async def _first_signature(self, path: Path) -> Hashable:
        try:
            return await _LOOKS.call(path, lambda: self._signature(path), timeout=_FIRST_LOOK_S)
        except (TimeoutError, NoThreadError):
            return None
