"""The machine itself instead of the rig's namespace. Registries listen on its loopback."""

import asyncio
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.rig.waiting import PATIENCE_S

T = TypeVar("T")

_CALL_S: Final = 120.0
# Without its capabilities, root has the rights of an ordinary user.
_POWERLESS: Final = (shutil.which("setpriv") or "setpriv", "--bounding-set=-all") if os.geteuid() == 0 else ()


class Here:
    """Runs programs with an ordinary user's rights, and servers on an event loop in a thread.

    `before` is a command prefix for each program.
    """

    def __init__(self, before: Sequence[str] = ()) -> None:
        self.before: Sequence[str] = before
        self._loop: Final = asyncio.new_event_loop()
        self._thread: Final = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_S)
        self._loop.close()

    def args(self, args: Sequence[str | Path]) -> list[str]:
        return [*self.before, *_POWERLESS, *map(str, args)]

    def run(
        self, *args: str | Path, env: Mapping[str, str], stdin: str = "", timeout: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.args(args), env=env, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the event loop of the servers, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_S)

    def connectable(self, address: str, port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((address, port)) == 0
