"""A pseudo-terminal for a command: reads what is written to it, types keys, and changes its size."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import time
from types import TracebackType
from typing import Final, Self

_DEADLINE_S: Final = 120.0
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """Runs `registry-agent ARGS` in a terminal of `columns` and `rows`, until the end of the `with` block."""

    def __init__(self, *args: str, columns: int = 80, rows: int = 24, **environ: str) -> None:
        self._args: Final = args
        self._environ: Final = environ
        self._screen, self._line = pty.openpty()
        os.set_blocking(self._screen, False)
        self.resize(columns, rows)
        self.modes: Final = termios.tcgetattr(self._line)
        self.process: asyncio.subprocess.Process
        self.written = ""
        """Everything written to it so far, escape sequences included."""

    async def __aenter__(self) -> Self:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "agent",
            *self._args,
            env={**kept, "RUNTIME_DIRECTORY": "/proc/nonexistent", "TERM": "xterm", **self._environ},
            stdin=self._line,
            stdout=self._line,
            stderr=self._line,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        for descriptor in (self._screen, self._line):
            os.close(descriptor)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._line, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def modes_now(self) -> list[object]:
        return list(termios.tcgetattr(self._line))

    async def shows(self, text: str, *, after: int = 0) -> int:
        """Wait until `text` appears, ignoring escape sequences, in what was written after `after` characters.

        Returns:
            How many characters were written so far, for the next call's `after`.
        """
        deadline = time.monotonic() + _DEADLINE_S
        while text not in _ESCAPES.sub("", self.written[after:]):
            assert time.monotonic() < deadline, f"{text!r} was not shown, but {self.written[after:]!r}"
            self._read()
            await asyncio.sleep(0.01)
        return len(self.written)

    async def ended(self) -> int:
        """Wait until the process ends, and return its exit code."""
        deadline = time.monotonic() + _DEADLINE_S
        while self.process.returncode is None:
            assert time.monotonic() < deadline, f"it does not end: {self.written!r}"
            self._read()
            await asyncio.sleep(0.01)
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        try:
            while some := os.read(self._screen, 65536):
                self.written += some.decode(errors="replace")
        except OSError:  # there is nothing to read now, or the other end is closed
            return
