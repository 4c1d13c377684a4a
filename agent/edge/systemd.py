"""The interface to systemd: notifications, the watchdog interval, and an inherited socket."""

import contextlib
import os
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

_FIRST_FD: Final = 3  # sd_listen_fds(3)
_NAMES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Systemd:
    """Reads systemd's variables from the environment and removes them, so that no child gets them.

    Without systemd, nothing here has any effect.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        given = {name: environ.pop(name, "") for name in _NAMES}
        address = given["NOTIFY_SOCKET"]
        self._address: Final = "\0" + address[1:] if address.startswith("@") else address
        # The variables are inherited. They count only if the pid in them is ours.
        mine = str(os.getpid())
        watched = given["WATCHDOG_USEC"].isdigit() and given["WATCHDOG_PID"] in ("", mine)
        self.watchdog_s: Final = int(given["WATCHDOG_USEC"]) / 1_000_000 if watched else None
        """Seconds after which systemd kills a silent agent. None without a watchdog."""
        self.unit: Final = _unit() if address else None
        """The service whose main process is the agent, such as `registry-agent@ada.service`."""
        self._fds: Final = int(given["LISTEN_FDS"]) if given["LISTEN_PID"] == mine and given["LISTEN_FDS"] else 0

    def inherited_socket(self) -> socket.socket | None:
        """Return the listening Unix socket of the socket unit, or None without socket activation."""
        if not self._fds:
            return None
        inherited = socket.socket(fileno=_FIRST_FD)
        inherited.setblocking(False)
        os.set_inheritable(inherited.fileno(), False)
        return inherited

    def notify(self, **state: str) -> None:
        """Send `READY=1`, `STATUS=…` and the like (sd_notify(3)). Never raises."""
        if not self._address:
            return
        # A line break in a value would start another field.
        text = "\n".join(f"{name}={value.replace(chr(10), ' ')}" for name, value in state.items())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
            s.setblocking(False)
            s.sendto(text.encode(), self._address)


def _unit() -> str | None:
    """Return the unit from the name of our control group, because no variable contains it."""
    try:
        groups = Path("/proc/self/cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return None
    names = (group.rpartition("/")[2] for group in groups)
    return next((name for name in names if name.endswith(".service")), None)
