"""A plain Debian needs one file and two commands to pull a private ECR image."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.boot.conftest import SERVICE, Boot
from tests.boot.test_work_under_systemd import give, start_engine, wait_logged_in
from tests.prepare.steps import DEBIAN_12_MACHINE, DIST
from tests.rig.booted import USER, Booted
from tests.rig.cloud import API, ECR, NATIVE, Cloud, cloud_on
from tests.rig.distribution import Distribution
from tests.rig.machine import Machine
from tests.rig.needs import need, prepared

UPSTREAM: Final = "127.0.0.1:5000"
IMAGE: Final = "team/hello:1"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The network of the machine, with the host names of AWS."""
    need("systemd-nspawn", "nsenter", "ip", "update-ca-certificates")
    machine = Machine(tmp_path_factory.mktemp("outside"), [API, (ECR,)])
    yield machine
    machine.close()


@pytest.fixture
def cloud(outside: Machine, tmp_path: Path) -> Iterator[Cloud]:
    """AWS with the role of the machine, and a private registry in front of a registry without authentication."""
    need("docker-registry")
    address, _, port = UPSTREAM.partition(":")
    upstream = Distribution(outside.namespace, tmp_path / "upstream", address, int(port))
    with cloud_on(outside, f"http://{UPSTREAM}") as cloud:
        yield cloud
    upstream.close()


@pytest.fixture
def machine(boot: Boot) -> Booted:
    """A machine without Python, compiler or checkout. It has an engine and the .deb file."""
    [package] = prepared(DIST).glob("*.deb")
    machine = boot(prepared(DEBIAN_12_MACHINE), binds={"/root/registry-agent.deb": package}).wait_for_boot()
    machine.must("apt-get", "-qq", "purge", "--autoremove", "make", "python3.11-minimal", "libpython3.11-minimal")
    for program in ("python3", "make", "cc", "pip", "git"):
        assert machine.run("sh", "-c", f"command -v {program}").returncode != 0, program
    start_engine(machine)
    return machine


def files(machine: Booted) -> set[str]:
    """Return all paths on the machine, except those of images and of the state that Debian's own programs keep."""
    others = "/var/lib/docker|/var/lib/containerd|/var/lib/dpkg|/var/lib/systemd"
    found = machine.must("find", "/etc", "/home", "/opt", "/root", "/usr", "/var/lib", "-xdev").splitlines()
    return {path for path in found if not path.startswith(tuple(others.split("|")))}


def test_a_clean_machine_pulls_from_ecr_and_is_clean_again_afterwards(machine: Booted, cloud: Cloud) -> None:
    """The agent needs only the machine's own role. After the purge, the agent and its login are gone."""
    made = f"{UPSTREAM}/{IMAGE}"
    machine.must("sh", "-ec", f"cd /etc && tar --create hostname | docker import - {made} && docker push {made}")
    image = f"{ECR}/{IMAGE}"
    assert machine.run("docker", "pull", image, user=USER).returncode != 0, "the image is private"
    before = files(machine)

    machine.must("dpkg", "--install", "/root/registry-agent.deb")
    machine.must("systemctl", "enable", "--now", SERVICE)

    give(machine, {"name": "team-ecr", "hostname": ECR, **NATIVE})
    wait_logged_in(machine, ECR)
    machine.must("docker", "pull", image, user=USER)
    assert len(cloud.aws.tokens.issued) == 1

    machine.must("dpkg", "--purge", "registry-agent")
    machine.must("docker", "rmi", image, user=USER)
    assert machine.run("docker", "pull", image, user=USER).returncode != 0, "the login is gone, too"
    assert files(machine) - before == {f"/home/{USER}/.docker", f"/home/{USER}/.docker/config.json"}
    assert before <= files(machine)
