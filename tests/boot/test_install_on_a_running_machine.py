"""`make install` and `make uninstall` on a machine with systemd and running agents."""

import json

from tests.boot.conftest import SERVICE, SOCKET, SOCKET_PATH, secret, start_by_hand
from tests.boot.test_work_under_systemd import give, status, wait_logged_in
from tests.rig.booted import USER, Booted
from tests.rig.waiting import until

_MAKE = ("make", "--no-print-directory", "-C", "/root/checkout")


def test_installing_again_changes_nothing(watched: Booted) -> None:
    """The running agent is not restarted."""
    before = watched.property("MainPID", SERVICE)
    assert "nothing changed" in watched.must(*_MAKE, "install")
    assert watched.property("MainPID", SERVICE) == before


def test_a_new_unit_is_taken_up(machine: Booted) -> None:
    """The install reloads the changed unit in systemd, and restarts the running agents with it."""
    before = machine.property("MainPID", SERVICE)
    machine.must("sed", "-i", "s/^WatchdogSec=.*/WatchdogSec=77s/", "/root/checkout/systemd/registry-agent@.service")
    machine.must(*_MAKE, "install")
    assert machine.property("WatchdogUSec", SERVICE) == "1min 17s"
    machine.wait_for(SERVICE)
    assert machine.property("MainPID", SERVICE) != before
    assert status(machine)["schema"]


def test_uninstalling_stops_the_agents_and_keeps_the_logins(machine: Booted, registry: str) -> None:
    """It also keeps the agent's state and the settings. A second uninstall is not an error."""
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


def test_uninstalling_leaves_no_line_for_a_program_that_is_gone(machine: Booted, registry: str) -> None:
    """Docker 29 and podman fail because of such a line. A person's own line stays.

    The users are not only people, and some have started an agent by hand, with another configuration.
    """
    config, theirs = f"/home/{USER}/.docker/config.json", {"person.example.test": "pass"}
    machine.write(config, json.dumps({"credHelpers": theirs}), mode=0o600, owner=USER)
    machine.write("/etc/registry-agent/config.toml", '[docker]\nstore = "helper"\n')
    machine.must("systemctl", "reload", SERVICE)
    give(machine, secret(registry))
    wait_logged_in(machine, registry)

    def lines() -> object:
        return json.loads(machine.path(config).read_text())["credHelpers"]

    until("the line", lambda: lines() == {**theirs, registry: "registry-agent"})
    machine.must("useradd", "--system", "--create-home", "runner")
    given = json.dumps([secret(registry)])
    other = start_by_hand(machine, "runner", "/home/runner/docker", REGISTRY_AGENT_SECRETS=given)
    machine.must("runuser", "-u", USER, "docker-credential-registry-agent", "get", stdin=registry)
    machine.must(*_MAKE, "uninstall")
    assert lines() == theirs
    assert registry not in machine.must("cat", other)
    assert "registry-agent.versions" not in machine.must("ps", "-e", "-o", "args")
    assert machine.must("find", "/usr", "-name", "docker-credential-registry-agent") == ""


def test_uninstalling_without_the_interpreter_names_what_remains(machine: Booted) -> None:
    """An upgrade of the system can remove the Python that the agent was installed with."""
    config = f"/home/{USER}/.docker/config.json"
    machine.must("systemctl", "stop", SERVICE, SOCKET)  # the agent would remove a line that it does not need
    machine.write(config, json.dumps({"credHelpers": {"ghcr.io": "registry-agent"}}), mode=0o600, owner=USER)
    machine.must("sh", "-c", "ln -sfn /usr/bin/python3.0 /usr/local/lib/registry-agent/bin/python")
    done = machine.run(*_MAKE, "uninstall")
    assert done.returncode == 0
    assert f"remove registry-agent from credHelpers in {config}" in done.stderr
