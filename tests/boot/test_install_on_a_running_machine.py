"""`make install` and `make uninstall` where systemd runs and agents are at work."""

from tests.boot.conftest import SERVICE, SOCKET, SOCKET_PATH, secret
from tests.boot.test_work_under_systemd import give, status, wait_logged_in
from tests.rig.booted import USER, Booted

_MAKE = ("make", "--no-print-directory", "-C", "/root/checkout")


def test_installing_again_changes_nothing(watched: Booted) -> None:
    """The agent that runs goes on undisturbed."""
    before = watched.property("MainPID", SERVICE)
    assert "nothing changed" in watched.must(*_MAKE, "install")
    assert watched.property("MainPID", SERVICE) == before


def test_a_new_unit_is_taken_up(machine: Booted) -> None:
    """What changes is reloaded, and the agents that run are started anew with it."""
    before = machine.property("MainPID", SERVICE)
    machine.must("sed", "-i", "s/^WatchdogSec=.*/WatchdogSec=77s/", "/root/checkout/systemd/registry-agent@.service")
    machine.must(*_MAKE, "install")
    assert machine.property("WatchdogUSec", SERVICE) == "1min 17s"
    machine.wait_for(SERVICE)
    assert machine.property("MainPID", SERVICE) != before
    assert status(machine)["schema"]


def test_uninstalling_stops_the_agents_and_keeps_the_logins(machine: Booted, registry: str) -> None:
    """What is the person's stays: logins, the agent's state, the settings."""
    machine.write("/etc/registry-agent/config.toml", "")
    give(machine, secret(registry))
    wait_logged_in(machine, registry)
    machine.must(*_MAKE, "uninstall")
    for unit in (SERVICE, SOCKET):
        assert machine.property("ActiveState", unit) in {"inactive", "failed"}
        assert machine.run("systemctl", "is-enabled", unit).returncode != 0
    assert not machine.path(SOCKET_PATH).exists()
    assert machine.run("registry-agent", "--version").returncode == 127
    left = machine.must("find", "/usr/local", "/etc/systemd", "-iname", "*registry*agent*").split()
    assert left == []
    assert registry in machine.must("cat", f"/home/{USER}/.docker/config.json")
    machine.must("test", "-e", f"/var/lib/registry-agent/{USER}/state.json")
    machine.must("test", "-e", "/etc/registry-agent/config.toml")
    machine.must(*_MAKE, "uninstall")
