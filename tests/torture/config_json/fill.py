"""A program that writes config.json or state.json while there is room for 0, 1, 2, ... more bytes or blocks.

Arguments: a directory; `bytes` (no file can grow past that number: EFBIG at each offset) or a block's size (the
directory's file system has only that many free blocks: ENOSPC); the step from one amount of room to the next; a layout
of `lines.Scene`, or `state` for state.json. Prints the results as JSON.
"""

import errno
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Protocol

from agent.edge.state_file import StateFile
from agent.model.stored_state import StoredLogin
from tests.fakes import calls_in_this_thread
from tests.torture.config_json.documents import FOREIGN
from tests.torture.config_json.lines import Ran, Scene

_FULL: Final = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
_ENOUGH: Final = 3


class File(Protocol):
    """A file that is written and checked."""

    def lay(self) -> None: ...

    def write(self) -> None:
        """Write the file. Raises OSError."""

    def untouched(self) -> list[str]:
        """Return what differs from the state after `lay`."""

    def faults(self, ran: Ran) -> Iterator[str]:
        """Yield what is wrong once there is room, also after a start and a write."""


@dataclass(slots=True)
class Seen:
    """How many amounts of room were tried, how many were too small, and what was wrong."""

    rooms: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)


class State:
    """The agent's own state.json."""

    def __init__(self, directory: Path) -> None:
        self._directory: Final = directory / "state"
        self._before: Final = {f"r{number}.example": StoredLogin("r", ("0" * 64,)) for number in range(4)}
        self._after: Final = {**self._before, "r1.example": StoredLogin("r", ("1" * 64, "0" * 64))}

    def lay(self) -> None:
        self._set(self._before)

    def write(self) -> None:
        fault = self._set(self._after)
        if fault is not None:
            raise OSError(errno.ENOSPC, fault)

    def untouched(self) -> list[str]:
        return self._wrong(self._before)

    def faults(self, ran: Ran) -> Iterator[str]:
        yield from self._wrong(self._after if ran.lines else self._before)
        self.write()
        yield from self._wrong(self._after)

    def _set(self, entries: dict[str, StoredLogin]) -> str | None:
        state_file = StateFile.loaded(self._directory, Path("/home/me/.docker"))
        with calls_in_this_thread():
            for hostname, entry in entries.items():
                state_file.set_entry(hostname, entry)
        return state_file.fault

    def _wrong(self, entries: dict[str, StoredLogin]) -> list[str]:
        state_file = StateFile.loaded(self._directory, Path("/home/me/.docker"))
        files = sorted(path.name for path in self._directory.iterdir())
        same = state_file.entries() == entries and state_file.fault is None
        return [
            *([] if same else [f"{state_file.fault}, {state_file.entries()}"]),
            *([] if files == ["state.json"] else files),
        ]


@contextmanager
def bytes_left(room: int) -> Iterator[None]:
    """Let no file grow past `room` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def blocks_left(filler: Path, block: int, room: int) -> Iterator[None]:
    """Fill the file system of `filler`, except for `room` blocks."""
    with filler.open("wb", buffering=0) as file:
        for step in (block * 64, block):
            with suppress(OSError):
                while True:
                    file.write(bytes(step))
                    os.fsync(file.fileno())
        file.truncate(max(0, file.tell() // block - room) * block)
        os.fsync(file.fileno())
    try:
        yield
    finally:
        filler.unlink()


def explore(file: File, leave: Callable[[int], AbstractContextManager[None]], step: int) -> Seen:
    """Try with a `step` more of room each time, until it was enough `_ENOUGH` times in a row."""
    seen, enough = Seen(), 0
    while enough < _ENOUGH:
        room, refused, faults = seen.rooms * step, False, []
        file.lay()
        with leave(room):
            try:
                file.write()
            except OSError as error:
                refused = True
                faults += [] if error.errno in _FULL else [repr(error)]
            faults += [f"without room: {fault}" for fault in (file.untouched() if refused else [])]
        faults += file.faults(Ran(lines=0 if refused else 1, stranger=False))
        seen.faults += [f"room for {room}: {fault}" for fault in faults]
        seen.rooms += 1
        seen.refused += refused
        enough = 0 if refused else enough + 1
    return seen


def main(directory: Path, how: str, step: int, what: str) -> Seen:
    # With blocks, the file is several blocks long. The last one is nearly full, so a longer file needs another block.
    padding = 0 if how == "bytes" else 4 * int(how) - len(FOREIGN.encode()) - 10
    text = FOREIGN.replace("table", "table" + " " * padding)
    file = State(directory) if what == "state" else Scene(directory, what, text=text)
    if how == "bytes":
        return explore(file, bytes_left, step)
    return explore(file, lambda room: blocks_left(directory / "filler", int(how), room), step)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]))))
