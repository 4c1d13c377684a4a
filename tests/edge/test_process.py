"""Tests of child programs: they start, end in time, and get no secret."""

import asyncio
import os
import re
import time
from pathlib import Path

import pytest

import agent
from agent.edge.process import ProcessTimeout, child_environment, run

PATH = {"PATH": os.environ["PATH"]}


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


async def test_passes_input_output_and_exit_code() -> None:
    """The program gets its stdin, and the caller gets stdout, stderr and the exit code."""
    done = await run(["sh", "-c", "cat; echo oops >&2; exit 3"], env=PATH, stdin=b"hello", timeout=10)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"hello", b"oops\n")


async def test_a_hanging_grandchild_does_not_outlive_the_deadline(tmp_path: Path) -> None:
    """The whole group is killed, including a grandchild that holds the pipes after its parent has died."""
    mark = tmp_path / "pid"
    started = time.monotonic()
    with pytest.raises(ProcessTimeout):
        await run(["sh", "-c", f"sleep 600 & echo $! > {mark}; wait"], env=PATH, timeout=0.3)
    assert time.monotonic() - started < 60
    pid = int(mark.read_text())
    while _is_running(pid):
        assert time.monotonic() - started < 60
        await asyncio.sleep(0)


async def test_does_not_wait_for_a_grandchild_in_its_own_session() -> None:
    """A daemon that the program started holds the pipes. The output of the program is returned anyway."""
    started = time.monotonic()
    done = await run(["sh", "-c", "echo hello; setsid sleep 120 & exit 0"], env=PATH, timeout=600)
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    assert time.monotonic() - started < 60


async def test_discards_output_beyond_the_limit() -> None:
    """The rest of the output is still read, so the program can finish."""
    done = await run(["sh", "-c", "head -c 3000000 /dev/zero"], env=PATH, timeout=60, limit=1000)
    assert len(done.stdout) == 1000
    assert done.returncode == 0


async def test_a_program_need_not_read_its_input() -> None:
    """A closed stdin is not an error."""
    done = await run(["true"], env=PATH, stdin=b"x" * 1_000_000, timeout=10)
    assert done.returncode == 0


async def test_a_missing_program_is_an_oserror() -> None:
    """The caller can distinguish it from a program that failed."""
    with pytest.raises(FileNotFoundError):
        await run(["/nonexistent/program"], env=PATH, timeout=1)


def test_children_get_the_variables_they_need_and_no_secret() -> None:
    """They get only the names on the list: none holds a secret, and none leads to a prompt.

    An identity is complete, with the path of its token file: half of one would lead to a refusal, or to another one.
    """
    environ = {
        "PATH": "/bin",
        "HOME": "/home/x",
        "HTTPS_PROXY": "http://proxy",
        "SSL_CERT_FILE": "/ca.pem",
        "AWS_PROFILE": "team",
        "PASSWORD_STORE_DIR": "/p",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/t",
        "GOOGLE_APPLICATION_CREDENTIALS": "/g",
        "AZURE_CLIENT_ID": "c",
        "AZURE_TENANT_ID": "t",
        "AZURE_FEDERATED_TOKEN_FILE": "/a",
        "GITPOD_WORKSPACE_ID": "w",
        "DOCKER_CONFIG": "/d",
        "NOTIFY_SOCKET": "/n",
        "WATCHDOG_USEC": "1",
        "LISTEN_FDS": "1",
        "CREDENTIALS_DIRECTORY": "/c",
        "REGISTRY_AGENT_SECRETS": "[]",
        "TEAM_CONTAINER_REGISTRY_PASSWORD": "p",
        "GITPOD_IMAGE_AUTH": "h:cA==",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_SESSION_TOKEN": "t",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "t",
        "AZURE_CLIENT_SECRET": "s",
        "DOCKER_AUTH_CONFIG": "{}",
        "GITHUB_TOKEN": "g",
        "MY_OWN": "m",
        "GPG_TTY": "/dev/pts/0",
        "SSH_TTY": "/dev/pts/0",
        "SSH_ASKPASS": "/bin/a",
        "DISPLAY": ":0",
        "WAYLAND_DISPLAY": "wayland-0",
    }
    kept = [*environ][: [*environ].index("DOCKER_CONFIG")]
    assert [*child_environment(environ)] == kept


async def test_can_be_cancelled_at_any_moment_while_it_starts(tmp_path: Path) -> None:
    """The program and its children end. A cancelled start of asyncio would wait for pipes that nobody reads yet."""
    program = tmp_path / "slow"
    program.write_text("#!/bin/sh\nexec 2>&1; sleep 7654\n")
    program.chmod(0o755)
    for turns in range(30):
        running = asyncio.create_task(run([program], env=PATH, timeout=30))
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        ended, _ = await asyncio.wait({running}, timeout=60)
        assert ended, f"hangs if it is cancelled after {turns} turns of the loop"
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _read(path) == b"sleep\x007654\x00"]
    assert left == []


def _read(cmdline: Path) -> bytes:
    try:
        return cmdline.read_bytes()
    except OSError:
        return b""


def test_only_one_module_starts_programs() -> None:
    """This guarantees that no child has a terminal. Only the demo, a separate program, starts its agent itself."""
    starts = re.compile(
        r"create_subprocess|Popen|subprocess\.run|posix_spawn|os\.(?:system|popen|fork|exec|spawn)|multiprocessing"
    )
    package = Path(agent.__file__).parent
    found = {str(path.relative_to(package)) for path in package.rglob("*.py") if starts.search(path.read_text())}
    assert found == {"edge/process.py", "demo/running.py"}


@pytest.mark.parametrize("writes", [False, True])
async def test_the_kernel_kills_a_child_before_the_agent(writes: bool) -> None:
    """If memory runs out. Also a grandchild, and each kind of child."""
    read = "cat >/dev/null; cat /proc/self/oom_score_adj; sh -c 'cat /proc/self/oom_score_adj'"
    done = await run(["sh", "-c", read], env=PATH, timeout=60, writes=writes)
    own = int(Path("/proc/self/oom_score_adj").read_text())
    scores = [int(line) for line in done.stdout.split()]
    assert len(scores) == 2
    assert all(score > own or score == 1000 for score in scores)
