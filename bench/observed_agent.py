"""The agent with an observer. On SIGUSR1, it writes what is not visible from outside to $HOME/observed, as JSON.

`published` has the time at which each of the last 100 revisions was published, by the monotonic clock that all
processes share. `longest_s` is the longest block of the event loop since the last report, checked every 5 ms.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final
from unittest.mock import patch

from agent.__main__ import main
from agent.model.status import Phase
from agent.services.board import Board

_LOOK_S: Final = 0.005
_KEPT: Final = 100


class ObservedBoard(Board):
    """Starts an observer when the agent reaches the phase `running`."""

    def set_phase(self, phase: Phase) -> None:
        if phase is Phase.RUNNING and self.snapshot.phase is not phase:
            observer = Observer(self)
            self._observing = asyncio.create_task(observer.run())
        super().set_phase(phase)


class Observer:
    def __init__(self, board: Board) -> None:
        self._board: Final = board
        self._published: Final[deque[tuple[int, float]]] = deque(maxlen=_KEPT)
        self._due = 0.0
        self._longest_s = 0.0

    async def run(self) -> None:
        """Record when each revision reaches its readers. They wait for it in the same way."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._tell)
        self._due = loop.time()
        self._look()
        revision = self._board.snapshot.revision
        while True:
            revision = (await self._board.changed(revision)).revision
            self._published.append((revision, time.monotonic()))

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._longest_s = max(self._longest_s, loop.time() - self._due)
        self._due = loop.time() + _LOOK_S
        loop.call_at(self._due, self._look)

    def _tell(self) -> None:
        told = {"published": [*self._published], "longest_s": self._longest_s}
        self._longest_s = 0.0
        path = Path(os.environ["HOME"]) / "observed"
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(told))
        unfinished.replace(path)


if __name__ == "__main__":
    with patch("agent.bootstrap.Board", ObservedBoard):
        sys.exit(main())
