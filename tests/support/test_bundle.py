"""`registry-agent support-bundle`: what it contains, where it is written, and which faults it survives."""

import asyncio
import json
import os
import pwd
import re
import signal
import socket
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent.edge.agent_client import AgentClient
from agent.settings_loader import load_settings
from agent.support.bundle import make_bundle
from agent.support.bundle_part import LARGEST, BundleContext, BundlePart, NotCollected
from agent.support.bundle_parts import PARTS
from agent.support.manifest import Manifest
from tests.rig.needs import need_root
from tests.rig.waiting import PATIENCE_S, eventually
from tests.support.conftest import Machine, unpacked
from tests.support.stub import answering, program

STATUS = {"schema": "registry-agent/status/v1", "revision": 3, "cleared": [{"code": "registry_dns"}]}
EVENT = {"time": "2026-01-01T00:00:00Z", "level": "info", "event": "agent.ready"}
ANSWERS = {
    "/v1/status": json.dumps(STATUS).encode(),
    "/v1/logs": json.dumps(EVENT).encode(),
    "/v1/timeline": json.dumps(EVENT).encode(),
    "/metrics": b"registry_agent_up 1\n",
}
EACH = {part.file for part in PARTS}


async def test_contains_what_support_needs(machine: Machine) -> None:
    """Versions, settings with their sources, status and events of the agent, the journal, Docker's configuration."""
    entry = {"__REALTIME_TIMESTAMP": "1767225600000000", "PRIORITY": "4", "MESSAGE": json.dumps(EVENT)}
    program(machine.bin, "journalctl", f"echo '{json.dumps(entry)}'")
    machine.set({"log": {"level": "debug"}, "renewal": {"fraction": 7}})
    machine.env |= {"REGISTRY_AGENT_AWS_REGION": "eu-west-1"}
    program(machine.bin, "docker-credential-here", "exit 1")
    (machine.docker / "config.json").write_text('{"credsStore": "here", "credHelpers": {"ghcr.io": "nowhere-on-path"}}')
    with answering(machine.socket, ANSWERS):
        done = await machine.run("-o", "out.tar.gz", "--set", "docker.login_timeout_s=20")
    assert done.code == 0
    files = unpacked((machine.here / "out.tar.gz").read_bytes())
    assert set(files) >= {"MANIFEST.txt", *EACH} - {"doctor.json"}
    versions = json.loads(files["versions.json"])
    assert (versions["docker"], versions["aws"]) == ("docker 1.2.3", "aws 1.2.3")
    assert {"agent", "python", "kernel", "distribution", "systemd", "libraries"} <= versions.keys()
    settings = json.loads(files["settings.json"])["settings"]
    assert settings["log.level"] == {"value": "debug", "from": str(machine.settings)}
    assert settings["aws.region"] == {"value": "eu-west-1", "from": "variable REGISTRY_AGENT_AWS_REGION"}
    assert settings["docker.login_timeout_s"] == {"value": 20.0, "from": "flag --set"}
    assert settings["renewal.fraction"] == {
        "value": 0.5,
        "from": f"default, because the value from {machine.settings} is invalid",
    }
    assert settings["secrets.poll_interval_s"] == {"value": 60.0, "from": "default"}
    assert json.loads(files["status.json"]) == STATUS
    assert json.loads(files["events.jsonl"]) == json.loads(files["timeline.jsonl"]) == EVENT
    line = {"time": "2026-01-01T00:00:00+00:00", "priority": 4, "program": "", "message": EVENT}
    assert json.loads(files["journal.jsonl"]) == line
    (config, *_) = json.loads(files["docker-config.json"])["files"]
    assert (config["credsStore"], config["credHelpers"]) == ("here", {"ghcr.io": "nowhere-on-path"})
    helpers = {"here": f"{machine.bin}/docker-credential-here", "nowhere-on-path": "not on PATH"}
    assert config["helper_programs"] == helpers


async def test_contains_the_doctors_report(machine: Machine) -> None:
    """The complete JSON document."""
    await machine.run("-o", "out.tar.gz")
    files = unpacked((machine.here / "out.tar.gz").read_bytes())
    assert json.loads(files["doctor.json"])["schema"] == "registry-agent/doctor/v1"


async def test_the_doctor_asks_the_agent_at_the_given_socket(machine: Machine) -> None:
    """With --socket, the doctor reports about that agent, as all other parts do."""
    elsewhere = machine.runtime / "other.sock"
    with answering(elsewhere, ANSWERS):
        await machine.run("--socket", str(elsewhere), "-o", "out.tar.gz")
    files = unpacked((machine.here / "out.tar.gz").read_bytes())
    (agent,) = [check for check in json.loads(files["doctor.json"])["links"] if check["name"] == "agent"]
    assert "no running agent" not in agent["seen"]


async def test_under_sudo_all_parts_are_about_the_user_who_ran_it(machine: Machine) -> None:
    """The journal, the unit, Docker's configuration, and the doctor, which runs as that user."""
    need_root("because only root runs commands of sudo")
    for name in ("journalctl", "systemctl", "runuser"):
        program(machine.bin, name, f'echo "$@" >>{machine.home}/{name}')
    machine.env["SUDO_USER"] = "daemon"
    await machine.run("-o", "out.tar.gz")
    files = unpacked((machine.here / "out.tar.gz").read_bytes())
    assert b"for the agent of user daemon\n" in files["MANIFEST.txt"]
    assert "--unit=registry-agent@daemon.service" in (machine.home / "journalctl").read_text()
    assert "registry-agent@daemon.service registry-agent@daemon.socket" in (machine.home / "systemctl").read_text()
    assert (machine.home / "runuser").read_text().startswith("-u daemon ")
    (config, *_) = json.loads(files["docker-config.json"])["files"]
    assert config["path"] == f"{pwd.getpwnam('daemon').pw_dir}/.docker/config.json"


async def test_works_without_an_agent_and_without_programs(machine: Machine) -> None:
    """Each missing part is listed with the reason. The exit code is 0."""
    for path in machine.bin.iterdir():
        path.unlink()
    machine.env["PATH"] = str(machine.bin)
    done = await machine.run()
    (made,) = machine.here.iterdir()
    files = unpacked(made.read_bytes())
    manifest = files["MANIFEST.txt"].decode()
    assert done.code == 0
    assert re.search(r"status\.json +no agent answers; looked at|status\.json +no agent answers", manifest)
    assert re.search(r"journal\.jsonl +journalctl is not installed", manifest)
    assert re.search(r"unit\.txt +there is no systemctl on PATH", manifest)
    assert json.loads(files["versions.json"])["docker"] == "there is no docker on PATH"
    assert {"settings.json", "docker-config.json", "versions.json"} <= files.keys()
    words = " ".join(done.out.split())
    for what in (f"written to {made.name}", "without status.json", "The bundle names registries", "MANIFEST.txt"):
        assert what in words


async def test_writes_a_private_file_or_to_standard_output(machine: Machine) -> None:
    """By default it writes a new file in the current directory, which only the user can read."""
    machine.env["REGISTRY_AGENT_ENVIRONMENT_ID"] = "../../ada's dev"
    await machine.run()
    (made,) = machine.here.iterdir()
    assert re.fullmatch(r"registry-agent-support-ada-s-dev-\d{8}T\d{6}Z\.tar\.gz", made.name)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    process = await machine.start("-o", "-")
    data, stderr = await process.communicate()
    assert (process.returncode, b"written to standard output" in stderr) == (0, True)
    assert "MANIFEST.txt" in unpacked(data)


async def test_overwrites_nothing(machine: Machine) -> None:
    """Neither a file nor the target of a symbolic link."""
    there = machine.here / "there"
    there.write_text("mine")
    (machine.here / "link").symlink_to("nowhere")
    for name in ("there", "link"):
        done = await machine.run("-o", name)
        assert (done.code, "exists already" in done.err) == (1, True)
    assert there.read_text() == "mine"
    assert not (machine.here / "nowhere").exists()


async def test_a_full_disk_leaves_no_partial_file(machine: Machine) -> None:
    """The command reports it and exits 1. A limit on the size of files simulates the full disk."""
    done = await machine.run("-o", "out.tar.gz", before=("prlimit", "--fsize=100"))
    assert (done.code, "cannot be written" in done.err) == (1, True)
    assert [*machine.here.iterdir()] == []


async def test_ctrl_c_ends_the_command_at_once(machine: Machine) -> None:
    """It leaves no file and prints no traceback."""
    program(machine.bin, "docker", f"echo >{machine.home}/began", "sleep 60")
    process = await machine.start()
    await eventually((machine.home / "began").exists)
    process.send_signal(signal.SIGINT)
    _, stderr = await process.communicate()
    assert (process.returncode, b"Traceback" in stderr) == (130, False)
    assert [*machine.here.iterdir()] == []


def context(machine: Machine) -> BundleContext:
    return BundleContext(
        loaded=load_settings(machine.settings, machine.env, {}),
        config=str(machine.settings),
        assignments=[],
        environ=machine.env,
        user="ada",
        agent=AgentClient([machine.socket]),
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )


def part(name: str, collect: Callable[[BundleContext], Any], timeout: float = PATIENCE_S) -> BundlePart:
    return BundlePart(name, "a test", collect, timeout)


@pytest.mark.usefixtures("patient")
async def test_a_part_that_hangs_fails_or_is_huge_does_not_affect_the_others(machine: Machine) -> None:
    """The others are complete. Of the huge one, the bundle contains the end, which is the newest."""

    async def hangs(_: BundleContext) -> str:
        await asyncio.Event().wait()
        return ""

    async def fails(_: BundleContext) -> str:
        raise ZeroDivisionError("hunter2")

    async def missing(_: BundleContext) -> str:
        raise NotCollected("there is none")

    async def huge(_: BundleContext) -> str:
        return "".join(f"line {number}\n" for number in range(LARGEST // 8))

    async def small(_: BundleContext) -> str:
        return "lone \udc80 surrogate"

    parts = [part("hangs", hangs, 0.1), *(part(f.__name__, f) for f in (fails, missing, huge, small))]
    bundle = await make_bundle(context(machine), parts=parts)
    files = unpacked(bundle.data)
    assert set(files) == {"MANIFEST.txt", "huge", "small"}
    assert bundle.manifest.missing == {
        "hangs": "it was not ready within 0.1 s",
        "fails": "this is a bug in registry-agent; please report it (ZeroDivisionError)",
        "missing": "there is none",
    }
    assert len(files["huge"]) < LARGEST + 100
    assert files["huge"].endswith(f"line {LARGEST // 8 - 1}\n".encode())
    assert files["huge"].startswith("… the beginning was cut off\nline ".encode())


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadlines only limit how long a person waits. On a busy machine, they would end what these tests check."""
    monkeypatch.setattr("agent.support.bundle._REDACTION_S", PATIENCE_S)
    monkeypatch.setattr("agent.support.bundle._SECRETS_S", PATIENCE_S)


async def said(text: str, machine: Machine) -> tuple[str, Manifest]:
    """What the bundle shows of `text`, and its list of contents."""

    async def collect(_: BundleContext) -> str:
        return text

    bundle = await make_bundle(context(machine), parts=[part("said", collect)])
    assert bundle.manifest.missing == {}
    return unpacked(bundle.data)["said"].decode(), bundle.manifest


@pytest.mark.usefixtures("patient")
async def test_a_file_that_cannot_be_read_hides_no_other_secret_of_its_directory(machine: Machine) -> None:
    """The list names it. All files before and after it, and in subdirectories, are still known by value."""
    secrets = {
        name: f"of {name} 4711" for name in ("a-first.json", "z-last.json", "inner/password", "inner/deep/token")
    }
    for name, value in secrets.items():
        path = machine.secrets / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"password": value}) if path.suffix else value)
    # Reading it fails for every user.
    (machine.secrets / "broken.json").symlink_to("/proc/self/mem")
    (machine.secrets / "inner" / "loop").symlink_to(machine.secrets)
    shown, manifest = await said("\n".join(secrets.values()), machine)
    assert shown.split() == ["[redacted]"] * len(secrets)
    assert manifest.unread == {f"secrets in {machine.secrets}": "broken.json: Input/output error"}
    assert manifest.known[f"secrets in {machine.secrets}"] >= len(secrets)


@pytest.mark.usefixtures("patient")
async def test_an_ordinary_word_as_a_password_leaves_the_bundle_readable(machine: Machine) -> None:
    """Masking each `login` would show that this is the password."""
    (machine.secrets / "a.json").write_text(json.dumps([{"password": "login"}, {"password": "2026"}]))
    text = '{"time": "2026-01-01T00:00:00Z", "event": "login.succeeded"}'
    assert json.loads((await said(text, machine))[0]) == json.loads(text)


@pytest.mark.usefixtures("patient")
async def test_a_proxys_password_that_is_not_encoded_is_masked(machine: Machine) -> None:
    """Also the part that a program takes for the host, in variables and in Docker's configuration."""
    machine.env["HTTPS_PROXY"] = "http://ada:p@ss1/word2@proxy:3128"
    proxies = {"default": {"httpProxy": "http://ada:q@rst3/uvwx4@proxy:3128"}}
    (machine.docker / "config.json").write_text(json.dumps({"proxies": proxies}))
    shown, _ = await said("lookup ss1/word2: no such host\nparse word2\nlookup rst3/uvwx4\nport uvwx4", machine)
    assert not re.search("ss1|word2|rst3|uvwx4", shown)


@pytest.mark.usefixtures("patient")
async def test_ends_on_hostile_files_and_texts(machine: Machine) -> None:
    """Files of blank lines and of backslashes, in the size that is read, and such texts in the size of a part."""
    aws, variables = machine.home / ".aws", machine.home / "token"
    aws.mkdir()
    (aws / "credentials").write_text("\n" * (4 << 20))
    variables.write_text("\\" * (4 << 20))
    machine.set({"secrets": {"token_file": str(variables)}})
    (machine.secrets / "a.json").write_text('{"password": "' + "\\" * (1 << 20))
    for piece in ("\\", "x://a:", "\n"):
        await said('{"auth":"' + piece * (LARGEST // len(piece) - 10), machine)


def test_no_part_may_take_longer_than_45_seconds() -> None:
    """The parts run concurrently, so the rest of the minute is left for redacting and packing."""
    assert max(each.timeout for each in PARTS) <= 45


async def test_ends_within_a_minute_on_a_machine_where_everything_hangs(machine: Machine) -> None:
    """The agent accepts connections but does not answer, all programs hang, and a secret is a pipe without a writer."""
    for path in machine.bin.iterdir():
        program(machine.bin, path.name, "trap '' TERM", "sleep 300")
    os.mkfifo(machine.secrets / "pipe.json")
    os.mkfifo(machine.docker / "config.json")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(machine.socket))
        silent.listen()
        began = asyncio.get_running_loop().time()
        done = await machine.run("-o", "out.tar.gz")
        # It takes less than a minute, on a busy machine more; without a deadline it would take five.
        assert asyncio.get_running_loop().time() - began < 200
    files = unpacked((machine.here / "out.tar.gz").read_bytes())
    manifest = files["MANIFEST.txt"].decode()
    assert done.code == 0
    assert re.search(r"status\.json +(the agent did not answer|it was not ready)", manifest)
    assert re.search(r"journal\.jsonl +journalctl did not end", manifest)
    assert json.loads(files["versions.json"])["docker"] == "docker did not finish within 8 s"
    assert json.loads(files["docker-config.json"])["files"][0]["fault"] == "it is a pipe, not a regular file"


async def test_bounds_the_size_of_every_part(machine: Machine, tmp_path: Path) -> None:
    """The journal has long lines, the agent returns many events, and a secret file has 8 MiB."""
    entry = json.dumps({"__REALTIME_TIMESTAMP": "1767225600000000", "MESSAGE": "x" * 200_000})
    (tmp_path / "journal").write_text(f"{entry}\n" * 200)
    program(machine.bin, "journalctl", f"cat {tmp_path}/journal")
    (machine.secrets / "huge.json").write_text('["' + "x" * (8 << 20) + '"]')
    with answering(machine.socket, {"/v1/logs": json.dumps(EVENT).encode().ljust(100) * (40 << 10)}):
        done = await machine.run("-o", "out.tar.gz")
    assert done.code == 0
    files = unpacked((machine.here / "out.tar.gz").read_bytes())
    assert max(map(len, files.values())) <= LARGEST + 100
    assert len(max(files["journal.jsonl"].splitlines(), key=len)) < 50_000
