"""Crashes of the real agent and of its children: no core dump, which would hold passwords."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.codes.programs import script
from tests.codes.world import World
from tests.rig.waiting import until

_AS_MUCH_AS_MAY_BE: Final = ("sh", "-c", 'ulimit -c "$(ulimit -H -c)" && exec "$@"', "sh")


@pytest.fixture(autouse=True)
def allowed(world: World) -> Iterator[None]:
    """Who starts the agent allows cores of any size."""
    world.here.before = _AS_MUCH_AS_MAY_BE
    yield
    world.here.before = ()


def test_a_docker_that_crashes_at_a_login(world: World) -> None:
    """Its limit is the one that also stops collectors, a dump would be empty, and there is none where it worked."""
    programs = world.home / "bin"
    programs.mkdir()
    door = world.registry("cursed")
    curse = f"PATH=/bin:/usr/bin; cat /proc/$$/limits /proc/$$/coredump_filter >{programs}/seen; kill -SEGV $$"
    script(
        programs / "docker",
        f'case "$*" in *{door.hostname}*) {curse};; esac',
        f'exec {shutil.which("docker")} "$@"',
    )
    world.env["PATH"] = f"{programs}:{os.environ['PATH']}"
    before = _cores()
    world.start()
    world.raised("docker_cli_failed", door.hostname, says="signal 11")
    seen = (programs / "seen").read_text().splitlines()
    assert next(line.split()[4:6] for line in seen if line.startswith("Max core file size")) == ["1", "1"]
    assert int(seen[-1], 16) == 0
    assert _cores() == before


def test_the_agent_itself(world: World) -> None:
    """As the watchdog ends it, with SIGABRT: by the kernel's word no core."""
    world.start()
    world.nothing_stopped()
    world.agent.watch_no_longer()
    os.kill(world.pid, signal.SIGABRT)
    # Waited for without being reaped, since the agent's own rig wants to do that.
    ended = until("its end", lambda: os.waitid(os.P_PID, world.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    assert ended is not None
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGABRT)
    world.agent.end(signal.SIGKILL)


def _cores() -> set[str]:
    """Where children work there is nothing of theirs; `core` or, with kernel.core_uses_pid, `core.PID`."""
    return {path.name for path in Path("/").glob("core*")}
