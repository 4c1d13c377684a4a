"""No secret appears in any field of the journal, or in what systemd shows about the unit."""

from pathlib import Path
from typing import Final

from tests.boot.conftest import PASSWORD, SERVICE, SILENT, SILENT_ECR, SOCKET, secret
from tests.boot.test_work_under_systemd import give, status, wait_logged_in
from tests.hunt.canary import Canary, Hunt
from tests.rig.agent import leaks, warnings
from tests.rig.booted import USER, Booted
from tests.rig.waiting import until

_EXPORTED: Final = "/run/journal.export"
_BEARER: Final = "/run/secrets/bearer"
_SETTINGS: Final = f"""
[report]
url = "http://127.0.0.1:9/status"
token_file = "{_BEARER}"
[log]
level = "debug"
"""


def test_no_secret_in_the_journal(machine: Booted, registry: str, tmp_path: Path) -> None:
    """Logins succeed, are refused, or cannot be tried. The secrets come from files and from a variable."""
    wrong, variable = Canary.make("wrong password"), Canary.make("variable")
    key, bearer = Canary.make("AWS key", "+/"), Canary.make("bearer token", "+/")
    lines = {"SERVER": SILENT, "USER": USER, "PASSWORD": f"'{variable.value}'"}
    text = "\n".join(f"TEAM_CONTAINER_REGISTRY_{name}={value}" for name, value in lines.items())
    machine.write(f"/etc/registry-agent/environment.{USER}", f"{text}\n", mode=0o600)
    machine.write(_BEARER, bearer.value, mode=0o600, owner=USER)
    machine.write("/etc/registry-agent/config.toml", _SETTINGS)
    aws = {**secret(SILENT_ECR, key.value, "team-ecr"), "username": "AKIA" + "Z" * 16}
    give(machine, secret(registry, wrong.value), aws)
    machine.must("systemctl", "restart", SERVICE)
    subjects = {registry, SILENT, SILENT_ECR, "http://127.0.0.1:9/status"}
    until("a fault of each", lambda: subjects <= {subject for _, subject in warnings(status(machine))})
    give(machine, secret(registry), aws)
    wait_logged_in(machine, registry)
    machine.must("systemctl", "restart", SERVICE)
    wait_logged_in(machine, registry)

    planted = Canary.make("planted", "-")
    machine.must("systemd-cat", "echo", f"something about {planted.value}")
    places = {name: path.read_bytes() for name, path in told(machine, tmp_path).items()}
    for known in (b"login.succeeded", b"login_rejected", b"/bin/registry-agent run\n_CAP"):
        assert known in places["the journal"]
    found = Hunt([wrong, variable, key, bearer, planted]).found(places)
    assert [line.partition(":")[0] for line in found] == ["planted in the journal"], found
    leaks([PASSWORD], [tmp_path / "the journal", tmp_path / "systemd"])


def told(machine: Booted, directory: Path) -> dict[str, Path]:
    """Write every field of every journal entry, including `_CMDLINE`, and all properties of the units to files."""
    export = f"journalctl --sync; journalctl --no-pager --quiet --all --output=export >{_EXPORTED}"
    machine.must("sh", "-ec", export)
    units = [machine.must("systemctl", "show", "--all", SERVICE, SOCKET)]
    units += [machine.must("systemctl", "status", "--full", "--no-pager", "--lines=1000", SERVICE, SOCKET)]
    told = {"the journal": directory / "the journal", "systemd": directory / "systemd"}
    told["the journal"].write_bytes(machine.path(_EXPORTED).read_bytes())
    told["systemd"].write_text("\n".join(units))
    return told
