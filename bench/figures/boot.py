"""Time from systemd's start to multi-user.target, with and without the enabled agent, in each state of the world."""

from pathlib import Path
from typing import Final

from bench.bench import Bench, scratch
from bench.figure import Figure
from tests.boot.conftest import PRIVATE, SILENT, SILENT_AWS, SILENT_ECR, booting
from tests.boot.worlds import WORLDS, World, silence
from tests.prepare.steps import DEBIAN_12_AGENT, DEBIAN_12_ENABLED
from tests.rig.machine import Machine

_REACH: Final = 1.1
_TARGET: Final = "multi-user.target"


def measure(bench: Bench) -> list[Figure]:
    """Measure the boots. Needs root and the prepared machines (`python -m tests.prepare debian-12-enabled`)."""
    with scratch() as directory:
        outside = Machine(directory, [(PRIVATE,), (SILENT, SILENT_ECR, *SILENT_AWS)])
        try:
            with silence(outside):
                return [_figure(bench, outside, name, world) for name, world in WORLDS.items()]
        finally:
            outside.close()


def _figure(bench: Bench, outside: Machine, name: str, world: World) -> Figure:
    def seconds(tree: Path) -> float:
        with scratch() as directory, booting(outside, directory) as boot:
            return world.boot(boot, tree, directory).seconds_to(_TARGET)

    turns = bench.turns(lambda: seconds(DEBIAN_12_ENABLED.result), lambda: seconds(DEBIAN_12_AGENT.result))
    return Figure(f"boot, {name}", "the same machine without the agent", "s", _REACH, turns)
