"""A shell at a terminal, and what a person types there."""

import contextlib
import os
import pty
import re
import select
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_ANSWER_S: Final = 20.0
_ESCAPES: Final = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>]|\][^\x07]*\x07)|[\r\x07]")


class Terminal:
    """Runs `args` at a terminal, in `directory`, until `close`."""

    def __init__(self, args: list[str], directory: Path, env: Mapping[str, str]) -> None:
        self._pid, self._screen = pty.fork()
        if self._pid == 0:
            os.chdir(directory)
            os.execvpe(args[0], args, env)  # noqa: S606 - the shell under test
        self._shown = ""

    def type(self, keys: str) -> None:
        """Type `keys`, and forget what was shown before."""
        self._shown = ""
        os.write(self._screen, keys.encode())

    def shows(self, text: str) -> str:
        """Wait for `text`. Return everything that was shown since the last keys."""
        deadline = time.monotonic() + _ANSWER_S
        while text not in _ESCAPES.sub("", self._shown):
            assert time.monotonic() < deadline, f"{text!r} was not shown, but {self._shown!r}"
            if select.select([self._screen], [], [], 0.1)[0]:
                self._shown += os.read(self._screen, 65536).decode(errors="replace")
        return _ESCAPES.sub("", self._shown)

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        os.close(self._screen)
