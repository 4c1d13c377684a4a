"""A controlling terminal for a program whose output goes elsewhere, so anything written to it is a prompt."""

import fcntl
import os
import pty
import termios
from types import TracebackType
from typing import Any, Final, Self


class ControllingTerminal:
    """Standard input and /dev/tty of one program that is started with `popen`."""

    def __init__(self) -> None:
        self._screen, self._line = pty.openpty()
        os.set_blocking(self._screen, False)
        self.name: Final = os.ttyname(self._line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        os.close(self._line)
        os.close(self._screen)

    @property
    def popen(self) -> dict[str, Any]:
        """The arguments of `subprocess.Popen` that start a program on this terminal."""
        return {"stdin": self._line, "start_new_session": True, "preexec_fn": _take_control}

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def written(self) -> str:
        """What was written since the last call."""
        try:
            return os.read(self._screen, 65536).decode(errors="replace")
        except OSError:  # nothing was written
            return ""


def _take_control() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
