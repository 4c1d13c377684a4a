"""The most common faults. The page, `status` and `doctor` report each of them and its fix in the same words."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

import pytest
from playwright.sync_api import Browser

from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.programs import script
from tests.codes.world import World
from tests.doctor.machine import Doctor, Told
from tests.rig.needs import need
from tests.scenarios.everyday import BASIC, EVERYDAY, TOKEN
from tests.scenarios.fault import Fault
from tests.scenarios.life import Life
from tests.scenarios.readers import Readers, first_of, found_by, look

HIDDEN: Final = "podman's stale auth.json"
"""Faults that can only happen after a login."""


@dataclass(frozen=True, slots=True)
class Everyday:
    """One life of an agent: the findings of doctor before it ran, and all reports while the faults lasted."""

    life: Life
    before: Told
    readers: Readers


@pytest.fixture(scope="module")
def everyday(here: Here, chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Everyday]:
    need("docker", "docker-credential-ecr-login")
    with hunted(here, tmp_path_factory.mktemp("everyday") / "home") as world:
        life = Life(world, EVERYDAY)
        world.prepare(EVERYDAY.settings)
        before = Doctor(world)(timeout=170)
        life.start()
        readers = look(world, chromium)
        life.fix()
        yield Everyday(life, before, readers)


@pytest.mark.parametrize("fault", EVERYDAY.faults, ids=lambda fault: fault.name)
def test_all_report_it(everyday: Everyday, fault: Fault) -> None:
    """They report what happened and what fixes it. The fix of the hint works."""
    seen = everyday.life.of(fault)
    assert seen.warning is not None
    assert fault.link is not None
    everyday.readers.report(seen.warning, fault.link)
    found = found_by(everyday.readers.doctor, fault.link, fault.code, seen.caused.subject)
    assert fault.hint in found["fix"]


@pytest.mark.parametrize(
    "fault", [fault for fault in EVERYDAY.faults if fault.name != HIDDEN], ids=lambda fault: fault.name
)
def test_doctor_needs_no_agent(everyday: Everyday, fault: Fault) -> None:
    """Before the agent has ever run, doctor finds the same fault: at the right link, and as the first one to fix."""
    subject = everyday.life.of(fault).caused.subject
    assert fault.link is not None
    found = found_by(everyday.before, fault.link, fault.code, subject)
    assert fault.hint in found["fix"]
    if "/" not in subject:  # it is a registry
        assert first_of(everyday.before, subject) == fault.link


def test_a_consequence_is_not_shown_as_another_fault(everyday: Everyday) -> None:
    """A refused password explains why Docker has no login, and a denied identity is known."""
    for name in (BASIC, TOKEN):
        seen = next(seen for seen in everyday.life.seen if seen.fault.name == name)
        assert "wrong" in everyday.before.link("login", seen.caused.subject)["seen"]
        assert everyday.before.outcomes(seen.caused.subject)["in use"] == "not reached"
    denied = next(seen for seen in everyday.life.seen if seen.fault.name == "IAM action missing")
    identity = everyday.before.link("aws identity", denied.caused.subject)
    assert identity["outcome"] == "ok"
    assert "instance metadata service" in identity["seen"]
    assert "arn:aws:sts::123456789012:assumed-role/dev-environment" in identity["seen"]


def test_docker_cli_missing(world: World, chromium: Browser) -> None:
    """No login works, and an engine without a CLI does not help."""
    programs = world.home / "bin"
    programs.mkdir()
    world.env["PATH"] = str(programs)
    world.good_state = "skipped"
    world.start()
    words = {"says": "no docker on PATH", "fix": "install the docker CLI"}
    _reported(world, chromium, ("docker_cli_missing", "docker"), **words, link="docker cli")
    script(programs / "docker", f'exec {shutil.which("docker")} "$@"')
    world.reload()
    world.good_state = "logged_in"
    world.cleared("docker_cli_missing", "docker")


def test_no_route(world: World, stack: ExitStack, chromium: Browser) -> None:
    """A separate network namespace without any interface that is up."""
    need("unshare")
    world.here.before = (str(shutil.which("unshare")), "--net")
    stack.callback(setattr, world.here, "before", ())
    world.good_state = "retrying"
    world.start()
    key = ("registry_unreachable", world.good.hostname)
    _reported(world, chromium, key, says="network is unreachable", fix="network", link="tcp")


def test_full_disk(world: World, stack: ExitStack, chromium: Browser) -> None:
    """Docker's directory is on a full file system."""
    need("mount")
    directory = world.agent.docker
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", directory], check=True)
    stack.callback(lambda: subprocess.run(["umount", "--lazy", directory], check=True))
    with suppress(OSError), (directory / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    world.good_state = "retrying"
    world.start()
    key = ("config_unwritable", world.good.hostname)
    _reported(world, chromium, key, says="full", fix="space", link="configuration")


def _reported(world: World, chromium: Browser, key: tuple[str, str], *, says: str, fix: str, link: str) -> None:
    """Check the reports of a fault. `key` is the warning's code and subject, `link` the broken link in doctor."""
    warning = world.raised(*key, says=says)
    assert fix in warning["hint"]
    readers = look(world, chromium)
    readers.report(warning, link)
    assert fix in found_by(readers.doctor, link, *key)["fix"]
