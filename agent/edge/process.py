"""Child programs: the one way to run them, and the environment that they get."""

import asyncio
import contextlib
import errno
import os
import re
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# What a child may know. Built, not copied: whatever else the agent's environment holds may be a secret. Nothing here
# may lead to a prompt: no terminal (GPG_TTY, SSH_TTY), no screen (DISPLAY), no program that asks (SSH_ASKPASS).
_ALLOWED: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|TZ|TERM|TMPDIR|LC_[A-Z]+"
    r"|DBUS_SESSION_BUS_ADDRESS|SSH_AUTH_SOCK|GNUPGHOME"
    r"|XDG_(?:RUNTIME_DIR|CONFIG_HOME|DATA_HOME|STATE_HOME|CACHE_HOME|CONFIG_DIRS|DATA_DIRS)"
    r"|(?:HTTPS?|ALL|NO)_PROXY|(?:https?|all|no)_proxy|SSL_CERT_(?:FILE|DIR)"
    r"|DOCKER_(?:HOST|CONTEXT|TLS_VERIFY|CERT_PATH|API_VERSION)"
    r"|AWS_(?:PROFILE|REGION|DEFAULT_REGION|CONFIG_FILE|SHARED_CREDENTIALS_FILE|CA_BUNDLE|ROLE_ARN|ROLE_SESSION_NAME"
    r"|WEB_IDENTITY_TOKEN_FILE|CONTAINER_CREDENTIALS_(?:RELATIVE|FULL)_URI|EC2_METADATA_\w+|STS_REGIONAL_ENDPOINTS"
    r"|ENDPOINT_URL\w*|USE_\w+_ENDPOINT|SDK_LOAD_CONFIG)"
    r"|(?:GITPOD|CODESPACE|CODESPACES|REMOTE_CONTAINERS|VSCODE|SUPERVISOR)(?:_\w+)?"
)
_SECRET_NAME: Final = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|IMAGE_AUTH|PRIVATE|API_?KEY", re.IGNORECASE)
# They hold paths.
_SAFE_THOUGH_NAMED: Final = frozenset(
    {"AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "PASSWORD_STORE_DIR"}
)
_CHUNK: Final = 65536
_CUT: Final = "…".encode()
"""Follows what is not whole, so that half a secret is known for one."""
_GRACE_S: Final = 1.0
TERMINATION_S: Final = 2.0
"""How long a program that writes has to put its store in order, from SIGTERM at its deadline to SIGKILL."""
_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: its exit code (negative: the signal that killed it) and what it printed, cut at a limit."""

    returncode: int
    stdout: bytes
    stderr: bytes


class ProcessTimeout(TimeoutError):  # noqa: N818 - as the class that it is one of
    """The program was still running at its deadline, and was ended together with its process group."""


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of `environ` that children get: names known to be needed, none that is known to hold a secret."""
    return {name: value for name, value in environ.items() if _passed_on(name)}


def _passed_on(name: str) -> bool:
    if name in _SAFE_THOUGH_NAMED or name.startswith("AWS_CONTAINER_CREDENTIALS_"):
        return True
    return _ALLOWED.fullmatch(name) is not None and not _SECRET_NAME.search(name)


async def run(
    args: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str],
    stdin: bytes = b"",
    timeout: float,
    limit: int = 65536,
    before_stdin: Callable[[], Awaitable[None]] | None = None,
    writes: bool = False,
) -> Finished:
    """Run a program to its end, without a shell.

    It gets a session of its own, so that at the deadline, or when the caller is cancelled, it is killed together
    with its children: a hanging grandchild would keep the pipes open for ever. A new session has no terminal either:
    the program cannot open /dev/tty, and reads `stdin` and then the end of the file. Output past `limit` bytes a
    stream is read and thrown away. `before_stdin` runs once the program has started; if it raises, the program is
    killed without its input.

    A program that `writes` into a store of the user's must not be cut off in the middle: the file that it rewrites
    would stay empty, the lock that it holds would stay locked. A cancellation waits for its end or its deadline. At
    the deadline its group gets SIGTERM first. Background jobs that it leaves when it ends by itself go on.

    Raises:
        ProcessTimeout: it had not ended after `timeout` seconds.
        OSError: it cannot be started.
    """
    work = _run(args, env, stdin, timeout, limit, before_stdin=before_stdin, writes=writes)
    return await (_run_to_completion(work) if writes else work)


async def _run_to_completion(work: Coroutine[Any, Any, Finished]) -> Finished:
    """Wait for `work` however often the caller is cancelled meanwhile; only then the cancellation takes effect."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        if not task.cancelled():
            task.exception()  # else asyncio logs it as never retrieved
        raise asyncio.CancelledError
    return task.result()


async def _run(
    args: Sequence[str | os.PathLike[str]],
    env: Mapping[str, str],
    stdin: bytes,
    timeout: float,
    limit: int,
    *,
    before_stdin: Callable[[], Awaitable[None]] | None,
    writes: bool,
) -> Finished:
    process = await _start(args, env)
    stdout, stderr = bytearray(), bytearray()
    pumps: list[asyncio.Task[None]] = []
    leave_rest = False
    try:
        async with asyncio.timeout(timeout):
            if before_stdin is not None:
                await before_stdin()
            pumps += [
                asyncio.create_task(_feed(process.stdin, stdin)),
                asyncio.create_task(_drain(process.stdout, stdout, limit)),
                asyncio.create_task(_drain(process.stderr, stderr, limit)),
            ]
            await _exit_of(process)
            leave_rest = writes
            # A grandchild may hold the pipes for ever; what the program itself printed is in them by now.
            _, held = await asyncio.wait(pumps, timeout=_GRACE_S)
            if held:
                _close(process)
            return Finished(await process.wait(), bytes(stdout), bytes(stderr))
    except TimeoutError as error:
        if writes and not leave_rest:
            await _terminate(process)
        raise ProcessTimeout(f"no end after {timeout:g} s") from error
    finally:
        for pump in pumps:
            pump.cancel()
        await _end(process, kill=not leave_rest)


async def _start(args: Sequence[str | os.PathLike[str]], env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """The program. Who is cancelled meanwhile has it ended; to cancel asyncio's own start may wait for ever."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            cwd="/",
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(RuntimeError, OSError):
            await _end(await asyncio.shield(starting))
        raise
    except RuntimeError as error:  # no thread for asyncio's watcher: a limit on processes
        raise OSError(errno.EAGAIN, str(error)) from error


async def _feed(stream: asyncio.StreamWriter | None, data: bytes) -> None:
    assert stream is not None  # noqa: S101 - it was asked for
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(data)
        await stream.drain()
    stream.close()


async def _drain(stream: asyncio.StreamReader | None, kept: bytearray, limit: int) -> None:
    assert stream is not None  # noqa: S101 - it was asked for
    room = limit
    while chunk := await stream.read(_CHUNK):
        kept += chunk[:room]
        if len(chunk) > room and len(kept) == limit:
            kept[-len(_CUT) :] = _CUT
        room = max(room - len(chunk), 0)


async def _exit_of(process: asyncio.subprocess.Process) -> None:
    """Wait for the program alone; asyncio's own `wait` waits for the pipes too."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _terminate(process: asyncio.subprocess.Process) -> None:
    """Ask the whole group to end: git, below a helper, then removes its locks. Waits until nothing is left of it."""
    with contextlib.suppress(ProcessLookupError, PermissionError, TimeoutError):
        async with asyncio.timeout(TERMINATION_S):
            os.killpg(process.pid, signal.SIGTERM)
            while True:
                await asyncio.sleep(_POLL_S)
                os.killpg(process.pid, 0)  # raises once the group is empty


async def _end(process: asyncio.subprocess.Process, *, kill: bool = True) -> None:
    """Kill what is left of the group, and close the pipes even where a stranger still holds their other end."""
    if kill:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    _close(process)


def _close(process: asyncio.subprocess.Process) -> None:
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio offers no other way to it
