"""Docker's credential helper: passes each request on to the running agent, and prints its answer.

Docker starts this program for every image, and starting the interpreter is nearly all that it costs. So it imports only
what the interpreter has built in, and `_socket`: no `os`, `socket`, `json` or `argparse`. It runs as `python3 -ISE`,
with or without the package. The agent sends the bytes to print, and the status of its HTTP answer decides the exit
code.
"""

import posix
import pwd
import sys
import time
from _socket import AF_UNIX, SO_PEERCRED, SOCK_STREAM, SOL_SOCKET, socket

VERSION = "1.1.0"
_NAME = "docker-credential-registry-agent"
_USAGE = f"usage: {_NAME} get | store | erase | list | version\n"
_SOCKET_VARIABLE = b"REGISTRY_AGENT_SOCKET"
# Longer than the agent waits for a renewal, so that the agent's own reason arrives. Docker itself waits forever.
_DEADLINE_S = 15.0
_PAUSE_S = 0.05
# The status if more programs wait than the agent has connections for. Those that wait get their answers together.
_BUSY = b"429"
_BUSY_PAUSE_S = 1.0
_LIMIT = 64 << 10
# The longest answer: the list of all registries, or a password that fills a secret file.
_LONGEST_ANSWER = 4 << 20
# Docker shows stdout of these refusals itself, or asks somebody else. After other failures it may show only stderr.
_QUIET = (b"404", b"409")
# A server name that an error message may repeat. Other text could move the cursor, or contain a password.
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/_-[]")


class Unanswered(Exception):  # noqa: N818 - it states a fact
    """The agent did not answer. The text gives the reason and the fix."""


def run(arguments: list[str]) -> int:
    """Carry out one action. Returns the exit code, which is 0 or 1."""
    action = arguments[0] if len(arguments) == 1 else ""
    if action in ("version", "--version", "-v"):
        return _print(f"{_NAME} (registry-agent) {VERSION}\n".encode(), 0)
    if action in ("help", "--help", "-h"):
        return _print(_USAGE.encode(), 0)
    if action == "erase":
        # The agent keeps its logins. `docker logout` needs a success to finish, so nothing here may fail.
        return 0
    if action in ("get", "store", "list"):
        # Some programs leave the input of `list` open.
        return _ask(action, b"" if action == "list" else _read_input())
    return _print((f"{_NAME}: unknown action: {action}\n" if action else _USAGE).encode("utf-8", "replace"), 1)


def _ask(action: str, body: bytes) -> int:
    end = time.monotonic() + _DEADLINE_S
    try:
        status, answer = _exchange(action, body, end)
        while status == _BUSY and time.monotonic() + _BUSY_PAUSE_S < end:
            time.sleep(_BUSY_PAUSE_S)
            status, answer = _exchange(action, body, end)
    except Unanswered as reason:
        line = f"registry-agent has no login for {_registry(action, body)}: {reason}\n".encode("utf-8", "replace")
        return _fail(line)
    if status == b"200":
        return _print(answer, 0)
    return _print(answer, 1) if status in _QUIET else _fail(answer)


def _fail(line: bytes) -> int:
    _write(1, line)
    # `docker pull` before version 29 shows only stderr. Other programs show only stdout, and may have closed stderr.
    try:  # noqa: SIM105 - contextlib would be one more import
        _write(2, line)
    except OSError:
        pass
    return 1


def _print(text: bytes, code: int) -> int:
    _write(1, text)
    return code


def _write(descriptor: int, text: bytes) -> None:
    while text:
        text = text[posix.write(descriptor, text) :]


def _read_input() -> bytes:
    text = b""
    try:
        while len(text) <= _LIMIT and (chunk := posix.read(0, _LIMIT)):
            text += chunk
    except OSError:  # closed, or a directory: there is no input, and the agent's answer explains that
        return b""
    return text


def _registry(action: str, body: bytes) -> str:
    name = body.strip()
    # The input of `store` contains a password.
    shown = action == "get" and 0 < len(name) < 300 and _PLAIN.issuperset(name)  # noqa: PLR2004
    return name.decode("ascii") if shown else "this registry"


def _exchange(action: str, body: bytes, end: float) -> tuple[bytes, bytes]:
    """Send one request. Returns the status and the body of the answer."""
    connection = _connect(end)
    request = f"POST /v1/credential?action={action} HTTP/1.0\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    try:
        connection.sendall(request.encode() + body)
        reply = _receive(connection, end)
    except TimeoutError:
        raise _late() from None
    except OSError as error:
        raise Unanswered(f"the connection to registry-agent failed ({error.strerror}); try again") from None
    head, _, answer = reply.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    # Half an answer must not count as a whole one.
    if f"content-length: {len(answer)}".encode() not in [header.lower() for header in headers]:
        raise Unanswered("registry-agent stopped in the middle of its answer; try again")
    return first[9:12], answer


def _receive(connection: socket, end: float) -> bytes:
    """Receive all that comes. One deadline for everything: a timeout alone starts again with each byte."""
    reply = b""
    while len(reply) <= _LONGEST_ANSWER:
        connection.settimeout(max(end - time.monotonic(), 0.001))
        chunk = connection.recv(_LIMIT)
        if not chunk:
            break
        reply += chunk
    return reply


def _late() -> Unanswered:
    return Unanswered(f"registry-agent did not answer within {_DEADLINE_S:.0f} s; see `registry-agent status`")


def _connect(end: float) -> socket:
    """Connect to the agent of the user who runs this program. `sudo docker` asks root's agent."""
    me = posix.geteuid()
    try:
        account: pwd.struct_passwd | None = pwd.getpwuid(me)
    except KeyError:
        account = None
    user = account.pw_name if account else str(me)
    home = account.pw_dir if account else "/"
    denied = ""
    places = socket_candidates(posix.environ, user, home, me)
    for place in socket_of_configuration(posix.environ, home, me) or places:
        connection = socket(AF_UNIX, SOCK_STREAM)
        connection.settimeout(_DEADLINE_S)
        try:
            _wait_for_place(connection, place, end)
        except PermissionError:
            denied = place.decode("utf-8", "replace")
            continue
        except OSError:
            continue
        owner = int.from_bytes(connection.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)[4:8], sys.byteorder)
        # With socket activation, the listener is systemd's, which runs as root.
        if me != 0 and owner not in (0, me):
            raise Unanswered(
                "another user's program listens on the agent's socket; ask your administrator to remove it"
            )
        return connection
    if denied:
        raise Unanswered(f"user {user} may not connect to {denied}; run docker as the user of that agent")
    _, manager = _noted(posix.environ, home, me)
    if manager is not None and manager != me:
        raise Unanswered(
            f"Docker's configuration belongs to the agent of user {_name(manager)}, and user {user} runs docker; "
            f"run docker as user {_name(manager)}, or set REGISTRY_AGENT_SOCKET to the socket of that agent"
        )
    raise Unanswered("registry-agent is not running; start it: `registry-agent run`, or its systemd unit")


def _wait_for_place(connection: socket, place: bytes, end: float) -> None:
    """Connect. While the agent's queue is full, the kernel refuses at once."""
    while True:
        try:
            return connection.connect(place)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise _late() from None
            time.sleep(_PAUSE_S)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def socket_candidates(environ: dict[bytes, bytes], user: str, home: str, uid: int) -> list[bytes]:
    """Return the sockets on which the user's agent may listen, the most likely first, as `agent/edge/paths.py` does."""
    if environ.get(_SOCKET_VARIABLE):
        return [environ[_SOCKET_VARIABLE]]
    system = b"/run/registry-agent"
    unit = system + b"/" + user.encode("utf-8", "surrogateescape")
    session = environ.get(b"XDG_RUNTIME_DIR")
    user_state = environ.get(b"XDG_STATE_HOME") or (
        (environ.get(b"HOME") or home.encode("utf-8", "surrogateescape")).rstrip(b"/") + b"/.local/state"
    )
    state = b"/var/lib/registry-agent" if uid == 0 else user_state + b"/registry-agent"
    run_directory = (environ.get(b"STATE_DIRECTORY") or state).split(b":")[0] + b"/run"
    own = [session + b"/registry-agent"] if session else []
    default = [system] if uid == 0 else own or [run_directory]
    given = environ.get(b"RUNTIME_DIRECTORY")
    session_of_login = f"/run/user/{uid}/registry-agent".encode()
    first = [given.split(b":")[0]] if given else default
    places = [*first, unit, unit + b"/work", system, *own, session_of_login, run_directory]
    return [place + b"/agent.sock" for place in dict.fromkeys(places)]


def socket_of_configuration(environ: dict[bytes, bytes], home: str, uid: int) -> list[bytes]:
    """Return the socket that the agent of Docker's configuration has noted there, or nothing.

    The user may have other agents, which manage other configurations.
    """
    place, _ = _noted(environ, home, uid)
    return [place] if place else []


def _noted(environ: dict[bytes, bytes], home: str, uid: int) -> tuple[bytes, int | None]:
    """Return the socket that `uid` has noted in Docker's configuration, or nothing. Also who owns the note."""
    if environ.get(_SOCKET_VARIABLE):
        return b"", None
    own_home = environ.get(b"HOME") or home.encode("utf-8", "surrogateescape")
    directory = environ.get(b"DOCKER_CONFIG") or own_home + b"/.docker"
    try:
        # Neither a link nor a FIFO leads astray. In a directory for all users, a stranger could have made the file.
        file = posix.open(directory + b"/.registry-agent.lock", posix.O_NOFOLLOW | posix.O_NONBLOCK)
        owner = posix.fstat(file).st_uid
        noted = posix.read(file, _LIMIT) if owner == uid else b""
        place, complete, _ = noted.partition(b"\n")
        # A container may share the configuration, and have the socket elsewhere.
        is_here = complete and posix.access(place.rpartition(b"/")[0], posix.F_OK)
    except (OSError, ValueError):  # a NUL in a path is a ValueError
        return b"", None
    return place if is_here else b"", owner


def main() -> None:
    """Run as a program."""
    try:
        code = run(sys.argv[1:])
    except BaseException:  # noqa: BLE001 - docker would show a traceback, and another exit code means something else
        code = 1
    # Nothing is buffered, and an orderly end of the interpreter would take a fifth of the time.
    posix._exit(code)  # noqa: SLF001 - `os._exit`, which is public


if __name__ == "__main__":
    main()
