"""Opens the sockets that serve the status."""

import contextlib
import errno
import grp
import os
import socket
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

GROUP: Final = "registry-agent"
_PROBE_S: Final = 1.0
_LONGEST_PATH: Final = 107  # unix(7), without the NUL at the end
# Errors for an address that this machine does not have. `localhost` may resolve to ::1 although IPv6 is off.
_NOT_HERE: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_Address = tuple[socket.AddressFamily, tuple[object, ...]]


def bind_unix(path: Path) -> socket.socket:
    """Listen on a Unix socket at `path`, with mode 0660.

    Its group becomes `registry-agent` if that group exists and we belong to it. A stale socket file without a listener
    is replaced. This blocks, because it first connects to find out whether an agent listens there.

    Raises:
        OSError: the path cannot be bound. The errno is EADDRINUSE if another agent listens there, EEXIST if something
            else is there.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:  # Python's own error has no errno
        raise OSError(errno.ENAMETOOLONG, f"a socket's path must not be longer than {_LONGEST_PATH} bytes")
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(parents=True)
        path.parent.chmod(0o755)  # not limited by the umask: the mode of the socket itself controls access
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o660)  # before listen(): until then no client can connect
        with contextlib.suppress(KeyError, PermissionError):
            os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
        listener.listen()  # at once, so that clients wait for an answer and no other agent takes the file for stale
    except BaseException:
        listener.close()
        raise
    return listener


def look_up(listen: str) -> list[_Address]:
    """Return the addresses of `host:port` or `[v6]:port`. This blocks while the name resolves.

    Raises:
        OSError: the name does not resolve.
    """
    host, _, port = listen.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:  # from the IDNA codec
        raise OSError(errno.EINVAL, "not a host name") from error
    # dict.fromkeys: a name may resolve to the same address more than once.
    return [*dict.fromkeys((entry[0], entry[4]) for entry in found)]


def bind_tcp(addresses: Iterable[_Address]) -> list[socket.socket]:
    """Bind one socket for each address.

    Raises:
        OSError: an address cannot be bound.
    """
    bound: list[socket.socket] = []
    failed: OSError | None = None
    for family, address in addresses:
        try:
            bound.append(socket.create_server(address, family=family))
        except OSError as error:
            failed = error
            if error.errno not in _NOT_HERE:
                break
    if failed is not None and (not bound or failed.errno not in _NOT_HERE):
        close_all(bound)
        # Python adds the address to the text.
        raise OSError(failed.errno, os.strerror(failed.errno or 0))
    return bound


def close_all(listeners: Iterable[socket.socket]) -> None:
    for listener in listeners:
        listener.close()


def remove_socket_file(path: Path) -> None:
    """Remove the file of our closed socket, unless another agent already listens there."""
    with contextlib.suppress(OSError):
        _remove_stale(path)


def _remove_stale(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(errno.EEXIST, "there is a file at this path that is not a socket", str(path))
        if _is_alive(path):
            raise OSError(errno.EADDRINUSE, "another agent answers there", str(path))
        path.unlink()


def _is_alive(path: Path) -> bool:
    """Return whether a process listens. One that is too busy to accept in time counts, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_S)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True
