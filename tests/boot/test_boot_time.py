"""The agent is never in the way of boot, whatever state it or the world is in."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import pytest

from tests.boot.conftest import DROP_INS, SECRETS, SERVICE, SILENT, SILENT_ECR, SOCKET, Boot, secret
from tests.rig.machine import METADATA_ADDRESS, Machine

_BOOTS: Final = 7
_TARGET: Final = "multi-user.target"


@dataclass(frozen=True, slots=True)
class World:
    """What the agent meets at boot: files (path -> text) and options of the machine."""

    files: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()


_SILENT_SECRETS: Final = [
    secret(SILENT),
    {**secret(SILENT_ECR, name="ecr"), "username": "runner-native", "password": "runner-native"},
]
_DROP_IN: Final = f"{DROP_INS}/test.conf"
WORLDS: Final = {
    "all is well": World(),
    "no network": World(options=("--private-network",)),
    "AWS and registries are silent": World({f"{SECRETS}/all.json": json.dumps(_SILENT_SECRETS)}),
    "the secrets directory is missing": World(
        {"/etc/registry-agent/config.toml": '[secrets]\ndirectories = ["/nowhere/secrets"]\n'}
    ),
    "the settings are garbage": World({"/etc/registry-agent/config.toml": "\0 this = is [ not TOML"}),
    "the agent crashes at start": World({_DROP_IN: "[Service]\nExecStart=\nExecStart=/bin/false\n"}),
    "the agent hangs at start": World({_DROP_IN: "[Service]\nExecStart=\nExecStart=/bin/sleep infinity\n"}),
}


@pytest.fixture(scope="module")
def silence(outside: Machine) -> Iterator[None]:
    """Registries, AWS and the metadata service take every connection and never answer."""
    with ExitStack() as stack:
        stack.enter_context(outside.silent(SILENT))
        stack.enter_context(outside.namespace.listen(METADATA_ADDRESS, 80))
        yield


@pytest.mark.timeout(180)
@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
@pytest.mark.usefixtures("silence")
def test_boot_takes_as_long_as_without_the_agent(  # noqa: PLR0917 - fixtures
    world: World,
    boot: Boot,
    installed: Path,
    enabled: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From systemd's start to multi-user.target, medians over boots taken in turns.

    The agent needs over 200 ms to be ready: a boot that waited for it would show.
    """
    binds = {}
    for number, (path, text) in enumerate(world.files.items()):
        binds[path] = tmp_path / f"file{number}"
        binds[path].write_text(text)
    seconds: dict[Path, list[float]] = {installed: [], enabled: []}
    for _ in range(_BOOTS):
        for tree, taken in seconds.items():
            booted = boot(tree, *world.options, binds=binds).wait_for_boot()
            taken.append(booted.seconds_to(_TARGET))
            if tree is enabled:
                assert booted.property("ActiveState", SOCKET) == "active"
                assert booted.property("LoadState", SERVICE) == "loaded"
            booted.close()
    without, with_ = median(seconds[installed]), median(seconds[enabled])
    with capsys.disabled():
        print(f"\nboot: {without * 1000:.0f} ms without the agent, {with_ * 1000:.0f} ms with it", end=" ")  # noqa: T201 - the figures are what it was run for
    assert with_ < without + 0.1


def test_nothing_waits_for_the_agent(boot: Boot, enabled: Path) -> None:
    """No target and no service is ordered after it, and it is not ordered after the network or Docker."""
    booted = boot(enabled).wait_for_boot()
    later = set(booted.property("Before", SERVICE).split())
    assert later == {"shutdown.target"}
    earlier = booted.property("After", SERVICE).split()
    assert not [unit for unit in earlier if "network" in unit or "docker" in unit or "multi-user" in unit]
