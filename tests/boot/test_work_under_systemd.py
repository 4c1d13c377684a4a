"""The agent works in the unit's sandbox, and reports to the journal and to `systemctl status`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.boot.conftest import PASSWORD, SECRETS, SERVICE, SOCKET_PATH, Boot, secret
from tests.rig.agent import logged_in, warnings
from tests.rig.booted import USER, Booted
from tests.rig.status import get_status
from tests.rig.waiting import until

_CREDENTIAL: Final = f"registry-agent.{USER}.json"
_ENGINE: Final = '{"iptables": false, "bridge": "none", "storage-driver": "vfs"}'
_CONFIG: Final = f"/home/{USER}/.docker/config.json"


def status(machine: Booted) -> dict[str, Any]:
    return get_status(machine.path(SOCKET_PATH), 20.0)


def give(machine: Booted, *secrets: Mapping[str, object]) -> None:
    machine.write(f"{SECRETS}/all.json", json.dumps(secrets), mode=0o640, owner=USER)


def wait_logged_in(machine: Booted, hostname: str) -> None:
    try:
        until(f"the login to {hostname}", lambda: logged_in(status(machine), hostname))
    except AssertionError as error:
        raise AssertionError("\n".join([str(error), *machine.journal("--unit=registry-agent@*")])) from None


def start_engine(machine: Booted) -> None:
    """Start an engine in the machine, and allow the user to use it."""
    machine.write("/etc/docker/daemon.json", _ENGINE)
    machine.must("systemctl", "unmask", "docker.service", "docker.socket", "containerd.service")
    machine.must("systemctl", "start", "docker.service")
    machine.must("usermod", "--append", "--groups=docker", USER)


def pushed_image(machine: Booted, hostname: str) -> str:
    """Push an image as the user, remove it from the engine, and return its name."""
    image = f"{hostname}/team/hello:1"
    machine.must("sh", "-ec", f"cd /etc && tar --create hostname | docker import - {image}", user=USER)
    machine.must("docker", "push", image, user=USER)
    machine.must("docker", "rmi", image, user=USER)
    return image


def test_the_users_pull_works(machine: Booted, registry: str) -> None:
    """A real engine on the same machine pulls a private image. The user typed no password."""
    give(machine, secret(registry))
    start_engine(machine)
    wait_logged_in(machine, registry)
    image = pushed_image(machine, registry)
    machine.must("docker", "pull", image, user=USER)
    anonymous = machine.run("docker", "--config=/nowhere", "pull", image, user=USER)
    assert "no basic auth credentials" in anonymous.stderr


def test_the_journals_warnings_are_the_agents_warnings(machine: Booted, registry: str) -> None:
    """`journalctl -u 'registry-agent@*' -p warning` shows each warning once per start, and nothing else."""
    give(machine, secret(registry, "wrong"), {"name": "no-host"})
    wanted = {("login_rejected", registry), ("secret_invalid", f"{SECRETS}/all.json#no-host")}
    until("both warnings", lambda: wanted <= warnings(status(machine)))
    machine.must("systemctl", "restart", SERVICE)
    until("both warnings again", lambda: wanted <= warnings(status(machine)))
    said = [json.loads(line) for line in machine.journal("--unit=registry-agent@*", "--priority=warning")]
    assert {line["event"] for line in said} == {"warning.raised"}
    assert sorted((line["code"], line["subject"]) for line in said) == sorted([*wanted, *wanted])


def test_systemctl_shows_the_summary(machine: Booted, registry: str) -> None:
    """`systemctl status` has the summary line of the agent's status, also after a change."""
    give(machine, secret(registry, "wrong"))
    until("a rejected login", lambda: ("login_rejected", registry) in warnings(status(machine)))
    summary = "0 of 1 registries logged in, 1 error"
    assert status(machine)["summary"] == summary
    until("systemd's knowing", lambda: f'Status: "{summary}"' in machine.must("systemctl", "status", SERVICE))
    give(machine, secret(registry))
    wait_logged_in(machine, registry)
    summary = status(machine)["summary"]
    until("systemd's knowing", lambda: f'Status: "{summary}"' in machine.must("systemctl", "status", SERVICE))


def test_a_credential_of_the_machine_is_a_source_of_secrets(boot: Boot, enabled: Path, registry: str) -> None:
    """Systemd can pass the secrets. The journal and the unit do not show them. Other tests boot without any."""
    credential = json.dumps([secret(registry)])
    machine = boot(enabled, f"--set-credential={_CREDENTIAL}:{credential}").wait_for_boot().wait_for(SERVICE)
    wait_logged_in(machine, registry)
    assert PASSWORD not in "\n".join(machine.journal())
    given = machine.must("systemctl", "show", "--property=SetCredential", SERVICE)
    assert PASSWORD not in given


def test_a_restart_keeps_what_the_agent_knows(machine: Booted, registry: str) -> None:
    """A person's own login, made while the agent ran, still counts as theirs, because the state is stored."""
    give(machine, secret(registry))
    wait_logged_in(machine, registry)
    document = json.loads(machine.path(_CONFIG).read_text())
    document["auths"][registry] = {"auth": "cGVyc29uOm93bg=="}
    machine.write(_CONFIG, json.dumps(document), mode=0o600, owner=USER)
    until("the override", lambda: ("login_overridden", registry) in warnings(status(machine)))
    machine.must("systemctl", "restart", SERVICE)
    until("the override again", lambda: ("login_overridden", registry) in warnings(status(machine)))
    assert json.loads(machine.path(_CONFIG).read_text())["auths"][registry] == {"auth": "cGVyc29uOm93bg=="}


def test_settings_secrets_and_reload_reach_the_unit(machine: Booted, registry: str) -> None:
    """The secrets come from the environment file, which only root can read, and the settings by `systemctl reload`."""
    variables = {"SERVER": registry, "USER": USER, "PASSWORD": PASSWORD}
    lines = [f"TEAM_CONTAINER_REGISTRY_{name}={value}" for name, value in variables.items()]
    machine.write(f"/etc/registry-agent/environment.{USER}", "\n".join([*lines, ""]), mode=0o600)
    machine.must("systemctl", "restart", SERVICE)
    wait_logged_in(machine, registry)
    machine.write("/etc/registry-agent/config.toml", '[environment]\nid = "renamed"\n')
    machine.must("systemctl", "reload", SERVICE)
    until("the new name", lambda: status(machine)["environment"]["id"] == "renamed")
