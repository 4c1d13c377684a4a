"""`registry-agent logs` and `support-bundle` on a machine with systemd and its journal."""

import json
import tarfile
from typing import Final

from tests.boot.conftest import PASSWORD, SECRETS, SERVICE, SOCKET, secret
from tests.rig.booted import USER, Booted
from tests.rig.waiting import until

_HOST: Final = "nowhere.example.test"
_PATIENCE_S: Final = 120.0


def events(machine: Booted, *args: str) -> list[dict[str, object]]:
    done = machine.run("registry-agent", "logs", "--json", "--user", USER, *args)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def fail_once(machine: Booted) -> str:
    """Make a login fail, and return the id of the attempt."""
    machine.write(f"{SECRETS}/team.json", json.dumps(secret(_HOST)), owner=USER)

    def failed() -> str:
        found = [event for event in events(machine, "--registry", _HOST) if event["event"] == "login.failed"]
        return str(found[0]["attempt_id"]) if found else ""

    return until("a failed login", failed, _PATIENCE_S)


def test_logs_go_on_where_the_agent_has_ended(machine: Booted) -> None:
    """The command reports that it reads the journal. It finds the attempt by its id, and the agent's last event."""
    attempt = fail_once(machine)
    before = [event["event"] for event in events(machine, "--attempt", attempt)]
    machine.must("systemctl", "stop", SOCKET, SERVICE)
    machine.must("journalctl", "--sync")  # journald may store what a service wrote some time later
    done = machine.run("registry-agent", "logs", "--user", USER, "-n", "1000")
    assert done.returncode == 0
    assert f"no agent answers, so this is from the journal of {SERVICE}" in done.stderr
    assert "agent.stopped" in done.stdout
    assert "journal  " in done.stdout  # what systemd logs about the unit
    after = [event["event"] for event in events(machine, "--attempt", attempt)]
    assert after[: len(before)] == before
    assert "login.failed" in after


def test_a_user_without_the_journal_gets_the_reason(machine: Booted) -> None:
    """The message reports that no agent answers, and that the user may not read the journal or it has no entries."""
    machine.must("systemctl", "stop", SOCKET, SERVICE)
    machine.must("useradd", "--create-home", "grace")
    done = machine.run("registry-agent", "logs", "--user", USER, user="grace")
    assert done.returncode == 1
    assert "no agent answers" in done.stderr
    assert "may not read it" in done.stderr or "has no entries" in done.stderr


def test_a_bundle_of_a_real_machine(machine: Booted) -> None:
    """Root makes it for the user. It contains the journal and the units, but not the password."""
    fail_once(machine)
    machine.must("registry-agent", "support-bundle", "--user", USER, "-o", "/root/bundle.tar.gz", timeout=300)
    with tarfile.open(machine.path("/root/bundle.tar.gz")) as archive:
        files = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive}
        texts = {name: file.read().decode() for name, file in files.items() if file}
    assert not [name for name, text in texts.items() if PASSWORD in text]
    assert f"Id={SERVICE}" in texts["unit.txt"]
    assert "Environment=" not in texts["unit.txt"]
    logged = [json.loads(line)["message"] for line in texts["journal.jsonl"].splitlines()]
    assert any(isinstance(message, dict) and message["event"] == "login.failed" for message in logged)
    assert json.loads(texts["status.json"])["environment"]["user"] == USER
    assert json.loads(texts["docker-config.json"])["files"][0]["path"] == f"/home/{USER}/.docker/config.json"
    assert json.loads(texts["doctor.json"])["environment"]["user"] == USER
