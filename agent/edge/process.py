"""Runs child programs, with a deadline and a restricted environment. Nothing else in the agent starts a program."""

import asyncio
import contextlib
import errno
import os
import re
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.blocking import BlockingCalls, OthersHangError
from agent.edge.regular_file import read_regular
from agent.model.variables import is_set

# The variables that a child gets. An allow list, because any other variable of the agent may be a secret. Nothing here
# may lead to a prompt: no terminal (GPG_TTY, SSH_TTY), no screen (DISPLAY), no program that prompts (SSH_ASKPASS).
_ALLOWED: Final = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|TZ|TERM|TMPDIR|LC_[A-Z]+"
    r"|REGISTRY_AGENT_SOCKET"  # our credential helper, which the doctor runs as docker does
    r"|DBUS_SESSION_BUS_ADDRESS|SSH_AUTH_SOCK|GNUPGHOME"
    r"|XDG_(?:RUNTIME_DIR|CONFIG_HOME|DATA_HOME|STATE_HOME|CACHE_HOME|CONFIG_DIRS|DATA_DIRS)"
    r"|(?:HTTPS?|ALL|NO)_PROXY|(?:https?|all|no)_proxy|SSL_CERT_(?:FILE|DIR)"
    r"|DOCKER_(?:HOST|CONTEXT|TLS_VERIFY|CERT_PATH|API_VERSION)"
    r"|AWS_(?:PROFILE|REGION|DEFAULT_REGION|CONFIG_FILE|SHARED_CREDENTIALS_FILE|CA_BUNDLE|ROLE_ARN|ROLE_SESSION_NAME"
    r"|WEB_IDENTITY_TOKEN_FILE|CONTAINER_CREDENTIALS_(?:RELATIVE|FULL)_URI|EC2_METADATA_\w+|STS_REGIONAL_ENDPOINTS"
    r"|ENDPOINT_URL\w*|USE_\w+_ENDPOINT|SDK_LOAD_CONFIG)"
    r"|VAULT_(?:ADDR|NAMESPACE|CACERT|CAPATH|TLS_SERVER_NAME)|KUBECONFIG|GH_(?:HOST|CONFIG_DIR)"
    r"|AZURE_(?:CONFIG_DIR|CLIENT_ID|TENANT_ID|AUTHORITY_HOST)"
    r"|CLOUDSDK_(?:CONFIG|ACTIVE_CONFIG_NAME|CORE_PROJECT|CORE_ACCOUNT)"
    r"|(?:GITPOD|CODESPACE|CODESPACES|REMOTE_CONTAINERS|VSCODE|SUPERVISOR)(?:_\w+)?"
)
_SECRET_NAME: Final = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|IMAGE_AUTH|PRIVATE|API_?KEY", re.IGNORECASE)
# Their names look secret, but they hold paths.
_NOT_SECRET: Final = frozenset(
    {
        *("AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
        *("GOOGLE_APPLICATION_CREDENTIALS", "AZURE_FEDERATED_TOKEN_FILE", "PASSWORD_STORE_DIR"),
    }
)
_CHUNK: Final = 65536
_CUT: Final = "…".encode()
"""Marks output that was cut, so that nobody takes half a secret for a whole one."""
_FILES: Final = BlockingCalls("program-files", limit=16)
_GRACE_S: Final = 1.0
TERMINATION_S: Final = 2.0
"""The time that a program that writes gets to restore its store, from SIGTERM at its deadline to SIGKILL."""
_POLL_S: Final = 0.05
_OOM_SCORE: Final = 500
"""How much sooner a child is killed: as if it used half of the memory more than the agent."""
_OOM_SCORE_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: its exit code (negative: the signal that killed it) and its output, cut at a limit."""

    returncode: int
    stdout: bytes
    stderr: bytes


class ProcessTimeout(TimeoutError):  # noqa: N818 - its base class has no such suffix either
    """The program was still running at its deadline. It was killed together with its process group."""


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the part of `environ` that children get: variables they need, and none that may hold a secret."""
    return {name: value for name, value in environ.items() if _passed_on(name) and is_set(name, value)}


def _passed_on(name: str) -> bool:
    if name in _NOT_SECRET or name.startswith("AWS_CONTAINER_CREDENTIALS_"):
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
    files: BlockingCalls = _FILES,
) -> Finished:
    """Run a program to its end, without a shell.

    The program runs in a new session. At the deadline, or when the caller is cancelled, it is killed together with its
    children, because a hanging grandchild would keep the pipes open forever. A new session also has no terminal: the
    program cannot open /dev/tty. It reads `stdin` and then the end of the file. Output beyond `limit` bytes per stream
    is discarded. `before_stdin` runs once the program has started. If it raises, the program is killed without its
    input. `files` are the threads that read the program's file first: programs on a file system that hangs then stop
    only those of their own kind.

    A program that `writes` to a store of the user must not be interrupted: the file that it rewrites would stay empty,
    and its lock would stay locked. A cancellation waits until it exits or reaches its deadline. At the deadline its
    group gets SIGTERM first. If it exits by itself, its background jobs keep running.

    Raises:
        ProcessTimeout: the program did not end within `timeout` seconds.
        OSError: the program cannot be started.
    """
    await _wait_for_file(Path(args[0]), timeout, files)
    work = _run(args, env, stdin, timeout, limit, before_stdin=before_stdin, writes=writes)
    return await (_run_to_completion(work) if writes else work)


async def _run_to_completion(work: Coroutine[Any, Any, Finished]) -> Finished:
    """Wait for `work`, however often the caller is cancelled. A cancellation takes effect afterwards."""
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
    _kill_first_if_memory_runs_out(process.pid)
    stdout, stderr = bytearray(), bytearray()
    pumps: list[asyncio.Task[None]] = []
    leave_children = False
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
            leave_children = writes
            # A grandchild may hold the pipes forever. All output of the program itself is in the pipes by now.
            _, unfinished = await asyncio.wait(pumps, timeout=_GRACE_S)
            if unfinished:
                _close(process)
            return Finished(await process.wait(), bytes(stdout), bytes(stderr))
    except TimeoutError as error:
        if writes and not leave_children:
            await _terminate(process)
        raise ProcessTimeout(f"no end after {timeout:g} s") from error
    finally:
        for pump in pumps:
            pump.cancel()
        await _end(process, kill=not leave_children)


async def _wait_for_file(program: Path, timeout: float, files: BlockingCalls) -> None:
    """Read a little of the program first. Starting it blocks the event loop for as long as its file system hangs."""
    try:
        await files.call(program, lambda: read_regular(program, 1), timeout=timeout)
    except OthersHangError as error:
        raise OSError(errno.EAGAIN, error.strerror) from error
    except TimeoutError as error:
        raise ProcessTimeout(f"its file system did not answer within {timeout:g} s") from error
    except OSError:  # then the start fails too, or this user may run the file but not read it
        return


async def _start(args: Sequence[str | os.PathLike[str]], env: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start the program. On cancellation, let it start and then end it: cancelling asyncio's start may hang."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *args,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            cwd="/",  # always exists and never hangs, unlike a directory of the user
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(RuntimeError, OSError):
            await _end(await asyncio.shield(starting))
        raise
    except RuntimeError as error:  # a limit on processes left no thread for asyncio's watcher
        raise OSError(errno.EAGAIN, str(error)) from error


def _kill_first_if_memory_runs_out(pid: int) -> None:
    """Have the kernel choose this child before the agent. A failed login is tried again; without the agent, none is.

    This holds for a program that writes too: systemd would end it together with the agent.
    """
    score = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError):  # it has ended already, or /proc is not there
        raised = min(int(score.read_text()) + _OOM_SCORE, _OOM_SCORE_MAX)
        Path(f"/proc/{pid}/oom_score_adj").write_text(f"{raised}")


async def _feed(stream: asyncio.StreamWriter | None, data: bytes) -> None:
    """Write all of `data` and close the stream. A program need not read its input."""
    assert stream is not None  # noqa: S101 - it was requested
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stream.write(data)
        await stream.drain()
    stream.close()


async def _drain(stream: asyncio.StreamReader | None, kept: bytearray, limit: int) -> None:
    """Read the stream to its end, keep the first `limit` bytes, and mark them if there were more."""
    assert stream is not None  # noqa: S101 - it was requested
    room = limit
    while chunk := await stream.read(_CHUNK):
        kept += chunk[:room]
        if len(chunk) > room and len(kept) == limit:
            kept[-len(_CUT) :] = _CUT
        room = max(room - len(chunk), 0)


async def _exit_of(process: asyncio.subprocess.Process) -> None:
    """Wait until the program itself exits. asyncio's `wait` would also wait for the pipes."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    loop, exited = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, exited.set)
    try:
        await exited.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _terminate(process: asyncio.subprocess.Process) -> None:
    """Send SIGTERM to the whole group and wait until it is gone. A git under a helper then removes its locks."""
    with contextlib.suppress(ProcessLookupError, PermissionError, TimeoutError):
        async with asyncio.timeout(TERMINATION_S):
            os.killpg(process.pid, signal.SIGTERM)
            while True:
                await asyncio.sleep(_POLL_S)
                os.killpg(process.pid, 0)  # raises once the group is empty


async def _end(process: asyncio.subprocess.Process, *, kill: bool = True) -> None:
    """Kill what is left of the group, and close the pipes even if another process still holds the other end."""
    if kill:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    _close(process)


def _close(process: asyncio.subprocess.Process) -> None:
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio offers no other way to it
