"""What the unit allows the agent to do, and what the agent reports where the sandbox blocks a login."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from tests.boot.conftest import DROP_INS, PASSWORD, SERVICE, SOCKET, SOCKET_PATH, Boot, secret
from tests.boot.test_work_under_systemd import give, status, wait_logged_in
from tests.rig.booted import USER, Booted
from tests.rig.pass_store import docker_credential_pass
from tests.rig.snap import install_snap
from tests.rig.waiting import until

_UNITS: Final = "/usr/local/lib/systemd/system"
_SHIPPED: Final = "/usr/local/share/registry-agent/systemd"
_EXPOSURE: Final = 1.5
_HOME: Final = f"/home/{USER}"
_NEW_KEY: Final = (
    "gpg",
    "--batch",
    "--passphrase=",
    "--quick-generate-key",
    f"{USER}@example.test",
    "default",
    "default",
)

# Its write begins, and continues after the test has opened the FIFO.
_SLOW_HELPER: Final = f"""#!/bin/sh
cd {_HOME}/.docker || exit 1
case $1 in
store) login=$(cat); : >begun; cat gate >/dev/null; printf %s "$login" >stored ;;
get) cat stored 2>/dev/null || {{ echo credentials not found in native keychain; exit 1; }} ;;
esac
"""

# Like Azure's CLI, which writes into its directory even if it only prints a token.
_AZ: Final = f"""#!/bin/sh
echo used >>"$HOME/.azure/telemetry" && echo {PASSWORD}
"""


def test_systemd_finds_no_fault_in_the_units(watched: Booted) -> None:
    """`systemd-analyze verify` accepts the templates of the service and the socket."""
    for unit in (f"{_UNITS}/registry-agent@.service", f"{_UNITS}/registry-agent@.socket"):
        found = watched.run("systemd-analyze", "verify", unit)
        assert (found.returncode, found.stdout + found.stderr) == (0, "")


def test_the_exposure_is_low(watched: Booted, capsys: pytest.CaptureFixture[str]) -> None:
    """On systemd's own scale from 0 (no exposure) to 10, it is at most 1.5. A service without a sandbox has 9.2."""
    answer = json.loads(watched.must("systemd-analyze", "security", "--json=short", SERVICE))
    assert answer
    overall = watched.must("systemd-analyze", "security", "--no-pager", SERVICE).splitlines()[-2:]
    exposure = float(" ".join(overall).rpartition(": ")[2].split()[0])
    with capsys.disabled():
        print(f"\nexposure: {exposure}", end=" ")  # noqa: T201 - the figure is a result of the test
    assert exposure <= _EXPOSURE


def test_the_process_has_no_privileges(watched: Booted) -> None:
    """It runs as the user, has no capabilities, cannot gain any, and leaves no core dump."""
    number = watched.property("MainPID", SERVICE)
    fields = dict(line.split(":\t", 1) for line in watched.must("cat", f"/proc/{number}/status").splitlines())
    assert fields["Uid"].split() == [watched.must("id", "-u", USER).strip()] * 4
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"] == "1"
    assert fields["Seccomp"] == "2"
    limits = watched.must("cat", f"/proc/{number}/limits").splitlines()
    assert next(line.split()[4:6] for line in limits if line.startswith("Max core file size")) == ["1", "1"]


def test_it_writes_into_dockers_directory_and_nowhere_else_at_home(watched: Booted) -> None:
    """The test uses the agent's own view of the files. The directory belongs to the user, and only they can open it."""
    assert watched.must("stat", "--format=%U:%G %a", f"{_HOME}/.docker").split() == [f"{USER}:{USER}", "700"]
    enter = ["nsenter", f"--target={watched.property('MainPID', SERVICE)}", "--mount", "setpriv"]
    enter += [f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "touch"]
    watched.must(*enter, f"{_HOME}/.docker/mine")
    for place in (f"{_HOME}/mine", "/etc/mine", "/usr/mine", "/srv/mine"):
        assert "Read-only file system" in watched.run(*enter, place).stderr


def test_a_linked_configuration_is_reported_with_the_drop_in(machine: Booted, registry: str) -> None:
    """If config.json is a link to a file elsewhere, the warning shows which lines let the agent write there."""
    machine.must("install", "-d", f"--owner={USER}", "/srv/dotfiles")
    machine.write("/srv/dotfiles/docker.json", '{"auths": {}}', mode=0o600, owner=USER)
    machine.must("ln", "--symbolic", "/srv/dotfiles/docker.json", f"{_HOME}/.docker/config.json")
    give(machine, secret(registry))
    warning = until("the warning", lambda: _warning(machine, "config_unwritable"))
    assert f"systemctl edit {SERVICE}" in warning["hint"]
    assert "ReadWritePaths=-/srv/dotfiles`" in warning["hint"]
    _open(machine, warning["hint"])
    wait_logged_in(machine, registry)
    assert machine.path(f"{_HOME}/.docker/config.json").is_symlink()
    assert registry in machine.must("cat", "/srv/dotfiles/docker.json")


def test_a_pass_store_is_reported_with_the_drop_in(boot: Boot, enabled: Path, registry: str) -> None:
    """The real `pass` with a real key fails in the sandbox. With the two directories open, it stores the login."""
    helper = docker_credential_pass()
    machine = boot(enabled, binds={"/usr/local/bin/docker-credential-pass": helper}).wait_for_boot().wait_for(SERVICE)
    machine.must(*_NEW_KEY, user=USER)
    machine.must("pass", "init", f"{USER}@example.test", user=USER)
    machine.write(f"{_HOME}/.docker/config.json", '{"credsStore": "pass"}', mode=0o600, owner=USER)
    give(machine, secret(registry))
    warning = until("the warning", lambda: _warning(machine, "credential_store_failed"))
    assert f"ReadWritePaths=-{_HOME}/.password-store -{_HOME}/.gnupg`" in warning["hint"]
    _open(machine, warning["hint"])
    wait_logged_in(machine, registry)
    assert status(machine)["registries"][0]["stored_in"] == "pass"
    assert "docker-credential-helpers" in machine.must("pass", "ls", user=USER)


def test_a_command_that_writes_is_reported_with_the_drop_in(machine: Booted, registry: str) -> None:
    """A password file works in the sandbox. A command works after its directory is open."""
    machine.must("install", "-d", f"--owner={USER}", f"{_HOME}/.azure")
    machine.write("/usr/local/bin/az", _AZ, mode=0o755)
    machine.write(f"{_HOME}/password", PASSWORD, mode=0o600, owner=USER)
    login = {"name": "team-registry", "hostname": registry, "username": USER}
    command = {**login, "password_command": ["az", "acr", "login", "--expose-token"]}
    give(machine, command)
    warning = until("the warning", lambda: _warning(machine, "credential_command_failed"))
    assert f"the sandbox of {SERVICE}" in warning["hint"]
    assert f"ReadWritePaths=-{_HOME}/.azure`" in warning["hint"]
    give(machine, {**login, "password_file": f"{_HOME}/password"})
    wait_logged_in(machine, registry)
    give(machine, command)
    _open(machine, warning["hint"])
    until("a run of the command", machine.path(f"{_HOME}/.azure/telemetry").exists)
    wait_logged_in(machine, registry)
    until("the end of the warning", lambda: _warning(machine, "credential_command_failed") is None)


def test_a_stop_lets_a_credential_helper_finish_its_write(machine: Booted, registry: str) -> None:
    """`systemctl stop` signals only the agent, and waits until the helper has written."""
    machine.write("/usr/local/bin/docker-credential-slow", _SLOW_HELPER, mode=0o755)
    machine.must("mkfifo", f"{_HOME}/.docker/gate", user=USER)
    machine.write(f"{_HOME}/.docker/config.json", '{"credsStore": "slow"}', mode=0o600, owner=USER)
    give(machine, secret(registry))
    until("the write", machine.path(f"{_HOME}/.docker/begun").exists)
    machine.must("systemctl", "stop", "--no-block", SERVICE)
    until("the stop", lambda: machine.property("ActiveState", SERVICE) == "deactivating")
    until("the end of the agent's work", lambda: status(machine)["phase"] == "stopping")
    machine.must("sh", "-c", f": >{_HOME}/.docker/gate", user=USER)
    until("the end", lambda: machine.property("ActiveState", SERVICE) == "inactive")
    assert registry in machine.path(f"{_HOME}/.docker/stored").read_text()
    assert machine.property("Result", SERVICE) == "success"


def test_a_docker_from_snap_needs_the_drop_in(machine: Booted, registry: str) -> None:
    """A snap is setuid, so it cannot start docker in the sandbox. The warning names the drop-in that allows it."""
    install_snap(machine.path("/"), Path("/usr/bin/docker"))
    machine.write(f"{DROP_INS}/path.conf", "[Service]\nEnvironment=PATH=/snap/bin:/usr/bin:/bin\n")
    machine.must("systemctl", "daemon-reload")
    machine.must("systemctl", "restart", SERVICE)
    give(machine, secret(registry))
    warning = until("the warning", lambda: _warning(machine, "docker_cli_failed"))
    assert "sandbox of the systemd unit" in warning["message"]
    assert "snap-docker.conf" in warning["hint"]
    machine.must("install", "-m644", "-t", DROP_INS, f"{_SHIPPED}/snap-docker.conf")
    machine.must("systemctl", "daemon-reload")
    machine.must("systemctl", "restart", SERVICE)
    wait_logged_in(machine, registry)
    assert status(machine)["tools"]["docker"]["flavor"] == "snap"
    assert registry in machine.must("cat", f"{_HOME}/snap/docker/current/.docker/config.json")


def test_where_no_namespaces_are_allowed_a_drop_in_helps(boot: Boot, enabled: Path) -> None:
    """In a container whose systemd cannot set them up, the agent starts with the shipped drop-in."""
    machine = boot(enabled, "--system-call-filter=~chroot").wait_for_boot()
    until("the failure", lambda: machine.property("ExecMainStatus", SERVICE) == "226")
    directory = "/etc/systemd/system/registry-agent@.service.d"
    machine.must("install", "-D", "-m644", "-t", directory, f"{_SHIPPED}/no-namespaces.conf")
    machine.must("systemctl", "daemon-reload")
    machine.wait_for(SERVICE)
    assert status(machine)["schema"]


def test_starts_without_a_drop_in_where_systemd_makes_no_namespaces(boot: Boot, enabled: Path) -> None:
    """Systemd starts the agent without namespaces."""
    machine = boot(enabled, "--system-call-filter=~unshare").wait_for_boot().wait_for(SERVICE)
    assert status(machine)["schema"]


def test_a_removed_docker_directory_is_created_again(machine: Booted, registry: str) -> None:
    """`rm -r ~/.docker` also removes the sandbox's mount. The agent restarts itself, and the login is back."""
    give(machine, secret(registry))
    wait_logged_in(machine, registry)
    before = machine.property("MainPID", SERVICE)
    machine.must("rm", "--recursive", f"{_HOME}/.docker", user=USER)
    config = machine.path(f"{_HOME}/.docker/config.json")
    until("the login's return", lambda: config.exists() and registry in config.read_text())
    assert machine.property("MainPID", SERVICE) != before
    wait_logged_in(machine, registry)
    assert machine.must("stat", "--format=%U:%G %a", f"{_HOME}/.docker").split() == [f"{USER}:{USER}", "700"]


def test_the_socket_and_its_agent_go_together(machine: Booted) -> None:
    """After a restart of either unit both run. After both are disabled, neither runs."""
    for unit in (SOCKET, SERVICE):
        machine.must("systemctl", "restart", unit)
        assert machine.wait_for(SERVICE).property("ActiveState", SOCKET) == "active"
        assert status(machine)["schema"]
    machine.must("systemctl", "disable", "--now", SERVICE, SOCKET)
    assert {machine.property("ActiveState", unit) for unit in (SERVICE, SOCKET)} == {"inactive"}


def test_the_socket_is_for_the_user_and_the_group(machine: Booted) -> None:
    """No other user gets an answer, and only root can replace the socket."""
    assert machine.must("stat", "--format=%U:%G %a", SOCKET_PATH).split() == [f"{USER}:registry-agent", "660"]
    assert machine.must("stat", "--format=%U:%G %a", str(Path(SOCKET_PATH).parent)).split() == ["root:root", "755"]
    machine.must("useradd", "mallory")
    machine.must("useradd", "--groups=registry-agent", "support")
    asking = ("registry-agent", "status", "--user", USER)
    assert machine.run("runuser", "-u", "mallory", "--", *asking).returncode == 1
    assert machine.run("runuser", "-u", "support", "--", *asking).returncode == 0
    assert machine.property("ActiveState", SOCKET) == "active"


def _warning(machine: Booted, code: str) -> Any:
    return next((warning for warning in status(machine)["warnings"] if warning["code"] == code), None)


def _open(machine: Booted, hint: str) -> None:
    """Follow the hint: write the lines between backquotes into the drop-in, then restart the agent."""
    lines = [part for part in hint.split("`") if part.startswith(("[Service]", "ReadWritePaths="))]
    machine.write(f"{DROP_INS}/override.conf", "\n".join([*lines, ""]))
    machine.must("systemctl", "daemon-reload")
    machine.must("systemctl", "restart", SERVICE)
