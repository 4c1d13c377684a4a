"""The agent, telling on SIGUSR1 what cannot be seen from outside: into $HOME/observed, as JSON.

When each of the last revisions was published, by the monotonic clock that all processes share; and how long the loop's
turns took since the last telling, at most, looked at every five milliseconds.
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

from agent.__main__ import main
from agent.services.board import Board

_LOOK_S: Final = 0.005
_KEPT: Final = 100


class Observed:
    """`publish` stands in the place of the board's own."""

    def __init__(self) -> None:
        self._publish: Final = Board._publish  # noqa: SLF001 - the very moment of a change shows nowhere else
        self._published: Final[deque[tuple[int, float]]] = deque(maxlen=_KEPT)
        self._looking = False
        self._due = 0.0
        self._longest_s = 0.0

    def publish(self, board: Board, **changes: object) -> None:
        self._publish(board, **changes)
        self._published.append((board.snapshot.revision, time.monotonic()))
        if not self._looking:
            self._looking = True
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGUSR1, self._tell)
            self._due = loop.time()
            self._look()

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


def observe() -> None:
    observed = Observed()

    def publish(board: Board, **changes: object) -> None:
        observed.publish(board, **changes)

    Board._publish = publish  # type: ignore[method-assign, assignment]  # noqa: SLF001 - as above


if __name__ == "__main__":
    observe()
    sys.exit(main())
