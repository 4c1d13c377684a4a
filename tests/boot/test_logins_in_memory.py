"""Logins in memory on a machine with systemd: the first pull after a suspend works, and no secret is on the disk."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from agent.demo.registries import BasicAuth
from tests.boot.conftest import PASSWORD, PRIVATE, SERVICE, booting, secret
from tests.boot.test_journal_secrets import told
from tests.boot.test_work_under_systemd import give, pushed_image, start_engine, wait_logged_in
from tests.fakecloud.registries import PretendRegistry
from tests.rig.agent import leaks
from tests.rig.booted import USER, Booted
from tests.rig.cloud import API, ECR, NATIVE, Cloud, cloud_on
from tests.rig.distribution import Distribution
from tests.rig.files import contents, regular_files
from tests.rig.machine import Machine
from tests.rig.moved_clock import library, moved_by, seconds
from tests.rig.needs import need

NIGHT: Final = timedelta(hours=13)
"""Longer than the lifetime of an ECR token."""
_OFFSET: Final = Path("/run/offset")
_CONFIG: Final = f"/home/{USER}/.docker/config.json"
_SETTINGS: Final = '[docker]\nstore = "helper"\n'
_LINES: Final = {ECR: "registry-agent", PRIVATE: "registry-agent"}
_IN_MEMORY: Final = ("proc", "sys", "dev", "run")
"""What the kernel keeps in memory. A login is in /run for a moment, in its private directory."""


@pytest.fixture
def cloudy(tmp_path: Path) -> Iterator[Machine]:
    """A network in which AWS, ECR and a registry with passwords have addresses."""
    need("ip", "nsenter", "update-ca-certificates", "docker-registry")
    machine = Machine(tmp_path, [API, (ECR,), (PRIVATE,)])
    yield machine
    machine.close()


@pytest.fixture
def cloud(cloudy: Machine, tmp_path: Path) -> Iterator[Cloud]:
    registry = PretendRegistry(BasicAuth({USER: PASSWORD}))
    with (
        closing(Distribution(cloudy.namespace, tmp_path / "images", "127.0.0.1", 5000)),
        cloud_on(cloudy, "http://127.0.0.1:5000") as cloud,
        cloudy.serving(registry.handle, PRIVATE),
    ):
        yield cloud


@pytest.fixture
def machine(cloudy: Machine, cloud: Cloud, enabled: Path, tmp_path: Path) -> Iterator[Booted]:  # noqa: ARG001 - serves AWS
    """A machine whose agent keeps two logins in memory, and whose wall clock the test can move."""
    environment, settings = tmp_path / "environment", tmp_path / "config.toml"
    environment.write_text("".join(f"{name}={value}\n" for name, value in moved_by(_OFFSET).items()))
    settings.write_text(_SETTINGS)
    binds = {
        "/etc/registry-agent/config.toml": settings,
        "/etc/registry-agent/environment": environment,
        str(library()): library(),
    }
    with booting(cloudy, tmp_path) as boot:
        yield boot(enabled, binds=binds).wait_for_boot().wait_for(SERVICE)


def test_the_first_pull_after_a_suspended_night(machine: Booted, cloud: Cloud, tmp_path: Path) -> None:
    """It gets a new ECR token at once. No file on the disk ever contains a password or a token."""
    began = time.time()
    start_engine(machine)
    with watched_files(machine, f"/home/{USER}", "/var/lib/registry-agent") as versions:
        give(machine, {"name": "team-ecr", "hostname": ECR, **NATIVE}, secret(PRIVATE))
        wait_logged_in(machine, ECR)
        wait_logged_in(machine, PRIVATE)
        assert json.loads(machine.path(_CONFIG).read_text())["credHelpers"] == _LINES
        image = pushed_image(machine, ECR)
        suspend(machine, cloud, NIGHT)
        machine.must("docker", "pull", image, user=USER)
    tokens = [token.password for token in cloud.aws.tokens.issued]
    assert len(tokens) > 1
    assert cloud.registry.wrong.total() == 0, "the dead token was sent"

    (tmp_path / "versions").write_bytes(b"\n".join(versions))
    places = [tmp_path / "versions", *told(machine, tmp_path).values(), *written_since(machine, began)]
    leaks([PASSWORD, *tokens], places)
    machine.write("/var/tmp/planted", f"a file with {tokens[-1]}")  # noqa: S108 - in the machine
    with pytest.raises(AssertionError, match="planted"):
        leaks(tokens, written_since(machine, began))


def suspend(machine: Booted, cloud: Cloud, length: timedelta) -> None:
    """Move the wall clocks by `length` while the agent is stopped. The monotonic clock does not change."""
    machine.must("systemctl", "kill", "--signal=STOP", SERVICE)
    cloud.aws.clock_offset += length
    machine.write(str(_OFFSET), seconds(cloud.aws.clock_offset))
    machine.must("systemctl", "kill", "--signal=CONT", SERVICE)


@contextmanager
def watched_files(machine: Booted, *directories: str) -> Iterator[set[bytes]]:
    """Collect what the files below these directories contain, as often as the processor allows."""
    seen: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            for directory in directories:
                seen.update(content for _, content in contents(machine.path(directory)))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
    assert any(b"credHelpers" in content for content in seen)


def written_since(machine: Booted, moment: float) -> list[Path]:
    """Return all files on the machine's disk that have changed since `moment`."""
    root = machine.path("/")
    tops = [top for top in root.iterdir() if top.is_dir() and not top.is_symlink() and top.name not in _IN_MEMORY]
    return [path for top in tops for path, about in regular_files(top) if about.st_ctime >= moment]
