"""Tests that look through a directory do not depend on the moment at which a program writes there."""

import os
import threading
from pathlib import Path

from tests.rig.files import contents, of_threads, read, regular_files
from tests.rig.waiting import until


def test_files_that_vanish_meanwhile(tmp_path: Path) -> None:
    """A temporary file is renamed, or its directory removed, after its name was read."""
    for name in ("a", "b", "c/d"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    (tmp_path / "link").symlink_to("a")
    assert {content for _, content in contents(tmp_path)} == {b"a", b"b", b"c/d"}

    names = {path for path, _ in regular_files(tmp_path)}
    (tmp_path / "a").unlink()
    assert {content for _, content in read(names)} == {b"b", b"c/d"}

    walk = regular_files(tmp_path)
    next(walk)
    (tmp_path / "c/d").unlink()
    (tmp_path / "c").rmdir()
    assert [*walk] == []


def test_threads_that_end_meanwhile() -> None:
    """A thread of the process ends after its number was read."""
    go_on = threading.Event()
    threads = [threading.Thread(target=go_on.wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    numbers = {str(thread.native_id) for thread in threads}
    walk = of_threads(os.getpid(), "status")
    next(walk)
    go_on.set()
    # Python's `join` may return shortly before the kernel's thread ends.
    until("the end of the threads", lambda: not any(Path("/proc/self/task", number).exists() for number in numbers))
    assert numbers.isdisjoint(number for number, _ in walk)
