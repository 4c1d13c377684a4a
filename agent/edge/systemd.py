"""The interface to systemd: notifications, the watchdog interval, and inherited sockets."""

import contextlib
import os
import re
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.model.problems.environment import StatusListenFailed

_FIRST_FD: Final = 3  # sd_listen_fds(3)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,18}")
_NAMES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass(frozen=True, slots=True)
class Inherited:
    """The sockets that a service manager has passed to this process.

    `sockets` are those that may be served. `problems` are about the others, which are closed.
    """

    sockets: tuple[socket.socket, ...] = ()
    problems: tuple[StatusListenFailed, ...] = ()


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
        watchdog = _number(given["WATCHDOG_USEC"]) if given["WATCHDOG_PID"] in ("", mine) else None
        self.watchdog_s: Final = watchdog / 1_000_000 if watchdog else None
        """Seconds after which systemd kills a silent agent. None without a watchdog."""
        self.unit: Final = _unit() if address else None
        """The service whose main process is the agent, such as `registry-agent@ada.service`."""
        self._fds: Final = _number(given["LISTEN_FDS"]) or 0 if given["LISTEN_PID"] == mine else 0

    def inherited_sockets(self) -> Inherited:
        """Take over the sockets of the socket unit. Without socket activation, there are none."""
        sockets: list[socket.socket] = []
        problems: list[StatusListenFailed] = []
        for number in range(_FIRST_FD, _FIRST_FD + self._fds):
            # What this process has opened itself is not inheritable.
            if not _is_inheritable(number):
                problems.append(_not_served(number, "is not open"))
                break  # the numbers are consecutive
            try:
                sockets.append(_take_over(number))
            except _RefusedError as error:
                os.close(number)
                problems.append(_not_served(number, str(error)))
        return Inherited(tuple(sockets), tuple(problems))

    def notify(self, **state: str) -> None:
        """Send `READY=1`, `STATUS=…` and the like (sd_notify(3)). Never raises."""
        if not self._address:
            return
        # A line break in a value would start another field.
        text = "\n".join(f"{name}={value.replace(chr(10), ' ')}" for name, value in state.items())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
            s.setblocking(False)
            s.sendto(text.encode(), self._address)


class _RefusedError(Exception):
    """Why an inherited file must not be served."""


def _number(text: str) -> int | None:
    """Return a number above 0. None for anything else, because the variables may be wrong."""
    return int(text) if _NUMBER.fullmatch(text) else None


def _is_inheritable(number: int) -> bool:
    try:
        return os.get_inheritable(number)
    except OSError:
        return False


def _take_over(number: int) -> socket.socket:
    """Return the listening Unix socket with this number. Any other file is left open.

    Only a Unix socket with a path may be served: without a guard, the permissions of its file control access.
    """
    try:
        given = socket.socket(fileno=number)
    except OSError:
        raise _RefusedError("is not a socket") from None
    name = given.getsockname() if given.family == socket.AF_UNIX else None
    listens = given.type == socket.SOCK_STREAM and given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if not (listens and name and isinstance(name, str)):  # the name of an abstract socket is bytes
        given.detach()
        raise _RefusedError("is not a listening Unix socket with a path")
    given.setblocking(False)
    given.set_inheritable(False)
    return given


def _not_served(number: int, fault: str) -> StatusListenFailed:
    return StatusListenFailed(
        f"descriptor {number}",
        f"descriptor {number}, which was passed to the agent in LISTEN_FDS, {fault}",
        hint="give the socket unit only a ListenStream= with a path; for TCP, set status.listen instead",
    )


def _unit() -> str | None:
    """Return the unit from the name of our control group, because no variable contains it."""
    try:
        groups = Path("/proc/self/cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return None
    names = (group.rpartition("/")[2] for group in groups)
    return next((name for name in names if name.endswith(".service")), None)
