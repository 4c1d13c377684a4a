"""What other users of the machine may read of the agent's children, looked at all the time."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

NO_CORE: Final = frozenset({b"0 0", b"1 1"})
"""Soft and hard limits that leave no room for a core dump."""
_EVERY_S: Final = 0.002
_LIMIT: Final = b"Max core file size"


class Sampler:
    """From its making to `stop` it reads command line, environment and limits of each descendant of `agent()`.

    `agent` gives the agent's process id, None while there is none; it may be another one after a restart. Where nobody
    starts a process a look costs a microsecond, so that what is watched is not disturbed.
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
            before, newest = newest, os.pread(loadavg, 128, 0).split()[-1]  # the last process or thread that was made
            agent = self._agent() if newest != before or self._looked_at else None
            if agent is None:
                continue
            if newest != before:
                for pid in _descendants(agent):
                    self._looked_at.setdefault(pid, b"")
            self._look_at_all(agent)
        os.close(loadavg)

    def _look_at_all(self, agent: int) -> None:
        """A process may become another program, or not be one yet: it is looked at until it ends."""
        own = _read(agent, "cmdline")
        for pid, before in list(self._looked_at.items()):
            cmdline = _read(pid, "cmdline")
            if cmdline is None:
                del self._looked_at[pid]
            elif cmdline not in (b"", own, before):  # its own: still the agent, on its way to be the program
                self._looked_at[pid] = cmdline
                self._note(pid, cmdline)

    def _note(self, pid: int, cmdline: bytes) -> None:
        self.seen[f"command line of {pid}: {cmdline[:80]!r}"] = cmdline
        self.seen[f"environment of {pid}: {cmdline[:80]!r}"] = _read(pid, "environ") or b""
        for line in (_read(pid, "limits") or b"").splitlines():
            if line.startswith(_LIMIT):
                self.core_limits.add(b" ".join(line.removeprefix(_LIMIT).split()[:2]))


def _read(pid: int, name: str) -> bytes | None:
    """None where the process has ended, and where it is about to."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return None


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _descendants(int(child))
