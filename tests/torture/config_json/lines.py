"""A program that writes config.json, is killed before the n-th line of code, and has a stranger write before the m-th.

Arguments: a directory, a layout, a stranger, how many pairs of a kill and a stranger to try at most, a seed, and the
number of extra spaces in the file, which a write removes. Prints the results as JSON.
"""

import json
import os
import random
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

from agent.edge import atomic_file, docker_config, file_version, renameat2
from agent.edge.docker_config import DockerConfigFile
from agent.model.docker_config import Document, Entry, find, parse_config, place
from agent.model.problem import ProblemError
from agent.model.sensitive import Sensitive
from tests.fakes import SameThreadLoop
from tests.torture.config_json.documents import FOREIGN, faults_of, lay, parse, temporary_files

KEY: Final = "ghcr.io"
OURS: Final = Entry("me", Sensitive("s3cret" * 30))
_WATCHED: Final = frozenset(str(module.__file__) for module in (docker_config, renameat2, file_version, atomic_file))
_STRANGER_CAME: Final = b"s"
_LOOP: Final = SameThreadLoop()
_NEVER: Final = 0
_SOON: Final = 60
"""A kill this many lines after the stranger's write can still interfere with it."""


@dataclass(slots=True)
class Seen:
    """The lines of one undisturbed write, what was tried, how many kills left a temporary file, and what was wrong."""

    lines: int = 0
    kills: int = 0
    strangers: int = 0
    both: int = 0
    left: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Ran:
    """`lines` is how many lines the child ran, or None if it was killed. `stranger` is whether the stranger wrote."""

    lines: int | None
    stranger: bool


class Scene:
    """One layout of the file, created again for each run.

    The layout is `plain`, `linked`, `new` (no file yet), or `mounted` (the caller has made it a mount point). The
    stranger writes by `rename`, like docker, or by `rewrite` in place, like many editors. `none` does not write.
    """

    def __init__(self, directory: Path, layout: str, stranger: str = "none", text: str = FOREIGN) -> None:
        self._layout: Final = layout
        self.stranger: Final = stranger
        self._text: Final = text
        self._strangers: Final = text.replace('"auths": {', '"auths": {"stranger.example": {"auth": "YTpi"}, ', 1)
        self._home: Final = directory / ".docker"
        self._real: Final = directory / "dotfiles/docker.json" if layout == "linked" else self._home / "config.json"

    def lay(self) -> None:
        if self._layout != "mounted":
            for directory in {self._home, self._real.parent}:
                shutil.rmtree(directory, ignore_errors=True)
                directory.mkdir()
        if self._layout == "linked":
            (self._home / "config.json").symlink_to("../dotfiles/docker.json")
        if self._layout != "new":
            lay(self._real, self._text)

    def write(self) -> None:
        """Write our login. Raises OSError."""
        try:
            _LOOP.run_until_complete(DockerConfigFile(self._home).update(put_ours))
        except ProblemError as error:
            raise error.__cause__ or error from None

    def disturb(self) -> None:
        if self.stranger == "rewrite" and self._real.exists():
            self._real.write_text(self._strangers)
            return
        theirs = self._real.with_name("strangers")
        lay(theirs, self._strangers)
        theirs.rename(self._real)

    def faults(self, ran: Ran) -> Iterator[str]:
        """Yield what is wrong right after the run, at the next start, and after the write that follows."""
        yield from (f"at once: {fault}" for fault in self._faults(ran) if not ran.stranger or ran.lines)
        if ran.lines:
            yield from self._leftovers()
        _LOOP.run_until_complete(DockerConfigFile(self._home).remove_leftovers())
        yield from (f"at the next start: {fault}" for fault in self._faults(ran))
        yield from self._leftovers()
        self.write()
        yield from (f"after the next write: {fault}" for fault in self._faults(ran))
        if find(parse_config(self._real.read_bytes()), KEY) != (KEY, OURS):
            yield "our login is not there"
        if self._layout == "linked" and not (self._home / "config.json").is_symlink():
            yield "the link is gone"

    def untouched(self) -> list[str]:
        """Return what differs, to the byte, from the state after `lay`."""
        held = self._real.read_text() if self._real.exists() else None
        wanted = None if self._layout == "new" else self._text
        return [*([] if held == wanted else [f"it is now {held!r}"]), *self._leftovers()]

    def left(self) -> bool:
        return bool(temporary_files(self._real.parent))

    def _leftovers(self) -> list[str]:
        return [f"left: {name}" for name in temporary_files(self._real.parent)]

    def _faults(self, ran: Ran) -> list[str]:
        if self._layout == "new" and not ran.stranger:
            return faults_of(self._real, {"auths": {}}, [KEY], permissions=False) if self._real.exists() else []
        expected = parse((self._strangers if ran.stranger else self._text).encode())
        return faults_of(self._real, expected, [KEY], permissions=self._layout != "new")


def run(scene: Scene, *, kill_at: int = _NEVER, stranger_at: int = _NEVER) -> Ran:
    """Run one write in a child process."""
    scene.lay()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _write_and_end(scene, writing, kill_at, stranger_at)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    lines = said.removeprefix(_STRANGER_CAME)
    return Ran(int(lines) if lines else None, said.startswith(_STRANGER_CAME))


def explore(scene: Scene, pairs: int, chance: random.Random) -> Seen:
    """Try a kill at each line, a stranger at each line, and at most `pairs` combinations of both."""
    seen = Seen(lines=run(scene).lines or 0)
    strangers = range(1, seen.lines + 1 if scene.stranger != "none" else 1)
    plan = [(kill, _NEVER) for kill in range(1, seen.lines + 1)] + [(_NEVER, stranger) for stranger in strangers]
    both = [(kill, stranger) for stranger in strangers for kill in range(stranger, stranger + _SOON)]
    plan += chance.sample(both, min(pairs, len(both)))
    for kill, stranger in plan:
        ran = run(scene, kill_at=kill, stranger_at=stranger)
        seen.kills += ran.lines is None
        seen.strangers += ran.stranger
        seen.both += ran.stranger and ran.lines is None
        seen.left += ran.lines is None and scene.left()
        seen.faults += [f"kill {kill}, stranger {stranger}: {fault}" for fault in scene.faults(ran)]
    return seen


def put_ours(now: Document) -> Document:
    """Return the document with our login, even if it replaces another one."""
    return place(now, KEY, OURS, lambda *_: True)


def _write_and_end(scene: Scene, pipe: int, kill_at: int, stranger_at: int) -> None:
    lines = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename not in _WATCHED:
            return None
        if event == "line":
            lines += 1
            if lines == stranger_at:
                scene.disturb()
                os.write(pipe, _STRANGER_CAME)
            if lines == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    threading.settrace(trace)  # for a write in another thread
    try:
        scene.write()
    finally:
        sys.settrace(None)
        os.write(pipe, str(lines).encode())
        os._exit(0)


if __name__ == "__main__":
    text_ = FOREIGN.replace("\n", "\n" + " " * int(sys.argv[6]), 1)
    scene_ = Scene(Path(sys.argv[1]), sys.argv[2], sys.argv[3], text_)
    seen_ = explore(scene_, int(sys.argv[4]), random.Random(sys.argv[5]))  # noqa: S311 - not used for security
    sys.stdout.write(json.dumps(asdict(seen_)))
