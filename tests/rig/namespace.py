"""A private network and file system view, in which real host names resolve to local servers."""

import asyncio
import contextlib
import ctypes
import os
import shlex
import socket
import subprocess
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from tests.rig.waiting import PATIENCE_S

T = TypeVar("T")

_CLONE_NEWNET: Final = 0x40000000
_CALL_S: Final = 120.0
_HOLDER: Final = """
set -e
ip link set lo up
ip address add {network} dev lo
ip address add 169.254.169.254/32 dev lo
mount -t tmpfs tmpfs /run
{binds}
read -r pid rest </proc/self/stat
echo "$pid"
exec sleep infinity
"""


class Namespace:
    """A network and mount namespace. A sleeping process keeps it open, and ends with the test session.

    Inside, `network` is local, `binds` (path inside -> source) are mounted, and /run is empty. All other files are the
    machine's. From outside, `root` leads to them. A thread with an event loop also runs inside, for servers that tests
    inspect.
    """

    def __init__(self, network: str, binds: Mapping[Path, Path]) -> None:
        mounts = (f"mount --bind {shlex.quote(str(shown))} {shlex.quote(str(at))}" for at, shown in binds.items())
        script = _HOLDER.format(network=network, binds="\n".join(mounts))
        # `ip netns` would leave a name behind when the session is killed, and would hide the cgroups from dockerd.
        hold = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "sh", "-c", script]
        self._holder = subprocess.Popen(hold, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._holder.stdout is not None
        said = self._holder.stdout.readline()
        if not said.strip().isdigit():
            said += self._holder.communicate()[0]
            raise AssertionError(f"the namespace does not come up: {said}")
        self._pid: Final = int(said)
        self.root: Final = Path(f"/proc/{self._pid}/root")
        self._loop: Final = asyncio.new_event_loop()
        entered = threading.Event()
        self._thread: Final = threading.Thread(target=self._serve, args=(entered,), name="inside", daemon=True)
        self._thread.start()
        assert entered.wait(_CALL_S), "no thread could enter the namespace"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_S)
        self._holder.kill()
        self._holder.communicate()

    def args(self, args: Sequence[str | Path]) -> list[str]:
        """The command that runs `args` inside. The started process becomes the program itself."""
        return ["nsenter", f"--target={self._pid}", "--net", "--mount", f"--wd={Path.cwd()}", *map(str, args)]

    def run(
        self, *args: str | Path, env: Mapping[str, str], stdin: str = "", timeout: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.args(args), env=env, input=stdin, capture_output=True, text=True, timeout=timeout, check=False
        )

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the event loop inside, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_S)

    def listen(self, address: str, port: int = 443) -> socket.socket:
        """A socket that listens inside. Connections are never accepted, so clients wait."""
        return self.call(_listen(address, port))

    def connectable(self, address: str, port: int) -> bool:
        return self.call(_connectable(address, port))

    def _serve(self, entered: threading.Event) -> None:
        with open(f"/proc/{self._pid}/ns/net", "rb") as namespace:  # noqa: PTH123 - a handle of a namespace, not a file to read
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:  # os.setns came with Python 3.12
                raise OSError(ctypes.get_errno(), "setns")
        asyncio.set_event_loop(self._loop)
        entered.set()
        self._loop.run_forever()
        self._loop.close()


async def _listen(address: str, port: int) -> socket.socket:
    return socket.create_server((address, port))


async def _connectable(address: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(address, port)
        writer.close()
        await writer.wait_closed()
        return True
    return False


def environment(**changes: str) -> dict[str, str]:
    """The environment for programs of the rig: the machine's PATH, and no other variable of the developer."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **changes}
