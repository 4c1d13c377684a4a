"""The .deb of `make dist` on a machine with systemd: installed, upgraded under a running agent, and removed."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from agent import __version__
from tests.boot.conftest import PRIVATE, SERVICE, SOCKET, SOCKET_PATH, Boot, secret, start_by_hand
from tests.boot.test_work_under_systemd import give, status, wait_logged_in
from tests.prepare.steps import DEBIAN_12_MACHINE, DEBIAN_13_MACHINE, DIST
from tests.rig.agent import warnings
from tests.rig.booted import USER, Booted
from tests.rig.needs import need, prepared
from tests.rig.waiting import until

FORMER: Final = "0.9.0"
CONFIG: Final = f"/home/{USER}/.docker/config.json"
STATE: Final = f"/var/lib/registry-agent/{USER}"
LEFT: Final = Path(__file__).parent / "left_by_1_0_0"
"""Files of version 1.0.0: its state, its settings, and a Docker configuration with two logins of the agent and one of
a person."""
UNREACHABLE: Final = "nowhere.example.test"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package as `current.deb`, and an older version of it as `former.deb`."""
    directory = tmp_path_factory.mktemp("packages")
    [built] = prepared(DIST).glob("*.deb")
    shutil.copy(built, directory / "current.deb")
    files = directory / "files"
    subprocess.run(["dpkg-deb", "--raw-extract", built, files], check=True)
    control = files / "DEBIAN/control"
    control.write_text(control.read_text().replace(f"Version: {__version__}", f"Version: {FORMER}"))
    [module] = (files / "opt/registry-agent/lib").glob("python3*/*-packages/agent/__init__.py")
    module.write_text(module.read_text().replace(__version__, FORMER))
    for compiled in (module.parent / "__pycache__").glob("__init__.*"):
        compiled.unlink()
    subprocess.run(["dpkg-deb", "-Znone", "--build", files, directory / "former.deb"], check=True)
    shutil.rmtree(files)
    return directory


@pytest.fixture(params=[DEBIAN_12_MACHINE, DEBIAN_13_MACHINE], ids=lambda step: step.name)
def machine(boot: Boot, packages: Path, request: pytest.FixtureRequest) -> Booted:
    """A machine on which the agent was never installed."""
    need("systemd-nspawn", "nsenter", "ip")
    return boot(prepared(request.param), binds={"/root/packages": packages}).wait_for_boot()


def install(machine: Booted, package: str = "current") -> None:
    machine.must("dpkg", "--install", f"/root/packages/{package}.deb")


def enable(machine: Booted) -> None:
    machine.must("systemctl", "enable", "--now", SERVICE)
    machine.wait_for(SERVICE)


def docker_config(machine: Booted) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(machine.must("cat", CONFIG))
    return document


def test_installing_starts_nothing(machine: Booted) -> None:
    """The command, the units and the group exist. An agent runs only after the administrator enables it."""
    install(machine)
    assert machine.must("registry-agent", "--version").strip() == f"registry-agent {__version__}"
    machine.must("getent", "group", "registry-agent")
    assert machine.must("systemctl", "list-units", "--all", "--plain", "--no-legend", "registry-agent@*") == ""
    assert machine.must("dpkg", "--verify", "registry-agent") == ""
    enable(machine)
    assert status(machine)["version"] == __version__


def test_an_upgrade_goes_on_under_a_running_agent(machine: Booted, registry: str) -> None:
    """The new version answers. The login does not change, and still counts as the agent's own."""
    install(machine, "former")
    enable(machine)
    give(machine, secret(registry))
    wait_logged_in(machine, registry)
    assert status(machine)["version"] == FORMER
    before = docker_config(machine)
    install(machine)
    machine.wait_for(SERVICE)
    assert status(machine)["version"] == __version__
    wait_logged_in(machine, registry)
    assert docker_config(machine) == before
    assert registry not in {subject for _, subject in warnings(status(machine))}
    # An upgrade does not start an agent that was stopped.
    machine.must("systemctl", "stop", SERVICE, SOCKET)
    install(machine)
    assert machine.property("ActiveState", SERVICE) == "inactive"


@pytest.mark.parametrize(("store", "section"), [("file", "auths"), ("helper", "credHelpers")])
def test_removing_takes_the_agents_logins_out_and_leaves_a_persons(
    machine: Booted, registry: str, store: str, section: str
) -> None:
    """No agent runs, and no login is left, not even one that a user stored without systemd. The settings stay."""
    theirs = {"auths": {"person.example.test": {"auth": "YWRhOm93bg=="}}, "credHelpers": {"their.example": "pass"}}
    machine.write(CONFIG, json.dumps(theirs), owner=USER)
    machine.must("chown", f"{USER}:", f"/home/{USER}/.docker")
    machine.write("/etc/registry-agent/config.toml", f'[docker]\nstore = "{store}"\n')
    install(machine)
    give(machine, secret(registry))
    enable(machine)
    wait_logged_in(machine, registry)
    until("its login", lambda: registry in docker_config(machine)[section])
    # A user of the system, such as a CI runner, with several agents. The first one exits with 2, because bob may not
    # read ada's secrets.
    machine.must("useradd", "--system", "--create-home", "bob")
    given = json.dumps([secret(registry)])
    environ = (f"REGISTRY_AGENT_SECRETS={given}", f"REGISTRY_AGENT_DOCKER_STORE={store}")
    machine.run("env", *environ, "REGISTRY_AGENT_STATUS_LISTEN=", "registry-agent", "run", "--once", user="bob")
    by_hand = ["/home/bob/.docker/config.json"]
    assert registry in machine.must("cat", by_hand[0])
    by_hand.append(start_by_hand(machine, "bob", "/home/bob/other", REGISTRY_AGENT_SECRETS=given))
    said = machine.must("dpkg", "--remove", "registry-agent")
    assert "not all logins" not in said
    assert "/opt/registry-agent" not in machine.must("ps", "-e", "-o", "args")
    assert docker_config(machine) == theirs
    for file in by_hand:
        assert registry not in machine.must("cat", file)
    for unit in (SERVICE, SOCKET):
        assert machine.property("ActiveState", unit) == "inactive"
        assert machine.property("LoadState", unit) == "not-found"
    assert not machine.path(SOCKET_PATH).exists()
    left = machine.must("find", "/opt", "/usr", "/etc", "-iname", "*registry*agent*").split()
    assert left == ["/etc/registry-agent"]
    machine.must("test", "-e", f"{STATE}/state.json")
    machine.must("dpkg", "--purge", "registry-agent")
    machine.must("test", "!", "-e", "/var/lib/registry-agent")


def test_a_removal_that_fails_leaves_the_agents_running(machine: Booted) -> None:
    """Then dpkg asks the package to undo its first step, for example if another package needs it."""
    install(machine)
    enable(machine)
    machine.must("sh", "/var/lib/dpkg/info/registry-agent.prerm", "remove")
    assert machine.property("ActiveState", SERVICE) == "inactive"
    machine.must("sh", "/var/lib/dpkg/info/registry-agent.postinst", "abort-remove")
    machine.wait_for(SERVICE)
    for unit in (SERVICE, SOCKET):
        machine.must("systemctl", "is-enabled", unit)
        assert machine.property("ActiveState", unit) == "active"


def test_what_version_1_0_0_left_is_taken_over(machine: Booted, registry: str) -> None:
    """A login whose registry does not answer stays. A login whose password changes still counts as the agent's."""
    for name, inside in (("state.json", f"{STATE}/state.json"), ("config.json", CONFIG)):
        machine.write(inside, (LEFT / name).read_text(), mode=0o600, owner=USER)
        machine.must("chown", f"{USER}:", str(Path(inside).parent))
    machine.write("/etc/registry-agent/config.toml", (LEFT / "settings").read_text())
    before = json.loads((LEFT / "config.json").read_text())
    install(machine)
    give(machine, secret(PRIVATE), secret(UNREACHABLE, "password-of-before", "unreachable"))
    enable(machine)
    wait_logged_in(machine, registry)
    until("an attempt at the other one", lambda: ("registry_dns", UNREACHABLE) in warnings(status(machine)))
    after = docker_config(machine)
    assert after["auths"].pop(registry) != before["auths"].pop(registry), "it has the new password"
    assert after == before
    shown = status(machine)
    assert shown["environment"]["id"] == "left by 1.0.0"
    assert {code for code, subject in warnings(shown) if subject in {registry, UNREACHABLE}} == {"registry_dns"}
