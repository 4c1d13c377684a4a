"""Reads what other processes keep in files, while they write."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path


def regular_files(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The regular files below `directory`. What vanishes before it is looked at is left out, directories included."""
    for parent, _, names in os.walk(directory):
        for path in (Path(parent, name) for name in names):
            with suppress(FileNotFoundError):
                if stat.S_ISREG((about := path.lstat()).st_mode):
                    yield path, about


def read(paths: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """Each file with its content. What vanishes before it is read is left out."""
    for path in paths:
        with suppress(FileNotFoundError, ProcessLookupError):  # the second is of a thread in /proc that has just ended
            yield path, path.read_bytes()


def of_threads(pid: int, name: str) -> Iterator[tuple[str, str]]:
    """Each thread of a process, by number, with its file `name` in /proc. Threads that end meanwhile are left out."""
    for path, content in read([*Path(f"/proc/{pid}/task").glob(f"*/{name}")]):
        yield path.parent.name, content.decode()


def contents(directory: Path) -> Iterator[tuple[Path, bytes]]:
    """Each regular file below `directory` with its content, like `read`."""
    return read(path for path, _ in regular_files(directory))
