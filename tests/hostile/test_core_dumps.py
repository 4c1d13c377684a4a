"""Crashes of the real agent and of its children leave no core dump, which would hold passwords."""

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
    """Start the agent with core dumps of any size allowed."""
    world.here.before = _AS_MUCH_AS_MAY_BE
    yield
    world.here.before = ()


def test_a_docker_that_crashes_at_a_login(world: World) -> None:
    """Its core limit of 1 also stops core collectors, a dump would be empty, and there is none where docker ran."""
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
    """The watchdog ends it with SIGABRT. The kernel reports that it dumped no core."""
    world.start()
    world.nothing_stopped()
    world.agent.watch_no_longer()
    os.kill(world.pid, signal.SIGABRT)
    # Wait without reaping the process, because the agent's rig does that.
    ended = until("its end", lambda: os.waitid(os.P_PID, world.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT))
    assert ended is not None
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGABRT)
    world.agent.end(signal.SIGKILL)


def _cores() -> set[str]:
    """Return the core files in `/`, where the children run: `core` or, with kernel.core_uses_pid, `core.PID`."""
    return {path.name for path in Path("/").glob("core*")}
