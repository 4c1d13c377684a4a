"""Records all the time what other users of the machine can read of the agent's children."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.rig.files import of_threads

NO_CORE: Final = frozenset({b"0 0", b"1 1"})
"""Soft and hard limits that allow no core dump."""
_EVERY_S: Final = 0.002
_LIMIT: Final = b"Max core file size"


class Sampler:
    """Reads command line, environment and core limits of each descendant of `agent()`, until `stop` is called.

    `agent` returns the agent's process id, or None while there is none. The id may change after a restart. While no
    process starts, a look costs a microsecond, so the agent is not disturbed.
    """

    def __init__(self, agent: Callable[[], int | None]) -> None:
        self._agent: Final = agent
        self.seen: Final[dict[str, bytes]] = {}
        self.core_limits: Final[set[bytes]] = set()
        self._looked_at: Final[dict[int, bytes]] = {}
        self._stopped: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._sample, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, bytes]:
        self._stopped.set()
        self._thread.join()
        return self.seen

    def _sample(self) -> None:
        loadavg = os.open("/proc/loadavg", os.O_RDONLY)
        newest = b""
        while not self._stopped.wait(_EVERY_S):
            before, newest = newest, os.pread(loadavg, 128, 0).split()[-1]  # id of the newest process or thread
            agent = self._agent() if newest != before or self._looked_at else None
            if agent is None:
                continue
            if newest != before:
                for pid in _descendants(agent):
                    self._looked_at.setdefault(pid, b"")
            self._look_at_all(agent)
        os.close(loadavg)

    def _look_at_all(self, agent: int) -> None:
        """Look at each process until it ends: it may not be its program yet, or may become another one."""
        own = _read(agent, "cmdline")
        for pid, before in list(self._looked_at.items()):
            cmdline = _read(pid, "cmdline")
            if cmdline is None:
                del self._looked_at[pid]
            elif cmdline not in (b"", own, before):  # `own`: a fork of the agent before it starts the program
                self._looked_at[pid] = cmdline
                self._note(pid, cmdline)

    def _note(self, pid: int, cmdline: bytes) -> None:
        self.seen[f"command line of {pid}: {cmdline[:80]!r}"] = cmdline
        self.seen[f"environment of {pid}: {cmdline[:80]!r}"] = _read(pid, "environ") or b""
        for line in (_read(pid, "limits") or b"").splitlines():
            if line.startswith(_LIMIT):
                self.core_limits.add(b" ".join(line.removeprefix(_LIMIT).split()[:2]))


def _read(pid: int, name: str) -> bytes | None:
    """Return the file, or None if the process has ended or is about to end."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return None


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for _, children in of_threads(pid, "children"):
            for child in children.split():
                yield int(child)
                yield from _descendants(int(child))
