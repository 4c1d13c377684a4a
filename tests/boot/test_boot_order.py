"""The boot never waits for the agent, even if the agent or what it needs is broken.

`make bench` measures how long boots take with and without the agent.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.boot.conftest import SERVICE, SOCKET, Boot
from tests.boot.worlds import WORLDS, World, silence
from tests.rig.booted import Booted
from tests.rig.machine import Machine

_TARGET: Final = "multi-user.target"
_TIMES: Final = ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")


@pytest.fixture(scope="module")
def silent(outside: Machine) -> Iterator[None]:
    with silence(outside):
        yield


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
@pytest.mark.usefixtures("silent")
def test_the_boot_does_not_wait_for_the_agent(world: World, boot: Boot, enabled: Path, tmp_path: Path) -> None:
    """The target is reached, the socket listens, and the target does not wait for the agent's unit."""
    machine = world.boot(boot, enabled, tmp_path)
    assert machine.property("ActiveState", SOCKET) == "active"
    assert machine.property("LoadState", SERVICE) == "loaded"
    awaited = machine.must("systemctl", "list-dependencies", "--after", "--all", "--plain", _TARGET)
    assert "basic.target" in awaited
    assert SERVICE not in awaited


def test_the_boot_does_not_wait_while_the_agent_starts(boot: Boot, enabled: Path, tmp_path: Path) -> None:
    """An agent that never gets ready is still starting when the boot has reached its target."""
    machine = WORLDS["the agent hangs at start"].boot(boot, enabled, tmp_path)
    assert machine.property("ActiveState", SERVICE) == "activating"
    started, ready = (int(machine.property(name, SERVICE)) for name in _TIMES)
    assert started > 0
    assert ready == 0


def test_nothing_is_ordered_after_the_agent(watched: Booted) -> None:
    """No target and no service waits for it, and it does not wait for the network or Docker."""
    assert set(watched.property("Before", SERVICE).split()) == {"shutdown.target"}
    earlier = watched.property("After", SERVICE).split()
    assert not [unit for unit in earlier if "network" in unit or "docker" in unit or "multi-user" in unit]
