"""What other users of the machine may read of the agent's children, looked at all the time."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_LIMIT: Final = b"Max core file size"


class Sampler:
    """From its making to `stop` it reads command line, environment and limits of each descendant of `pid`."""

    def __init__(self, pid: int) -> None:
        self._pid: Final = pid
        self._own: Final = Path(f"/proc/{pid}/cmdline").read_bytes()
        self.seen: Final[dict[str, bytes]] = {}
        self.core_limits: Final[set[bytes]] = set()
        self._stopped: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._sample, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, bytes]:
        self._stopped.set()
        self._thread.join()
        return self.seen

    def _sample(self) -> None:
        while not self._stopped.wait(0.002):
            for pid in _descendants(self._pid):
                with suppress(OSError):
                    self._look(pid)

    def _look(self, pid: int) -> None:
        process = Path(f"/proc/{pid}")
        cmdline = (process / "cmdline").read_bytes()
        if cmdline in (b"", self._own):  # still the agent, on its way to be the program
            return
        self.seen[f"command line of {pid}: {cmdline[:80]!r}"] = cmdline
        self.seen[f"environment of {pid}: {cmdline[:80]!r}"] = (process / "environ").read_bytes()
        for line in (process / "limits").read_bytes().splitlines():
            if line.startswith(_LIMIT):
                self.core_limits.add(b" ".join(line.removeprefix(_LIMIT).split()[:2]))


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _descendants(int(child))
