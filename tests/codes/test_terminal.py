"""On a terminal, no command and no child ever prompts or reads the keyboard, and every command ends."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.codes.profiles import DEVICE, Profiles
from tests.codes.programs import script
from tests.codes.sources import PLAIN
from tests.codes.world import World
from tests.edge.helper_script import good_helper
from tests.rig.agent import REGISTRY_AGENT
from tests.rig.files import of_threads
from tests.rig.needs import need, need_root
from tests.rig.terminal import ControllingTerminal
from tests.rig.waiting import PATIENCE_S, until

pytestmark = pytest.mark.timeout(300)  # each test runs several commands until they end
ROLE: Final = "arn:aws:iam::210987654321:role/pull"
TEAM: Final = {"aws": {"profile": "team"}}


@pytest.fixture
def terminal() -> Iterator[ControllingTerminal]:
    with ControllingTerminal() as terminal:
        yield terminal


def command(world: World, *args: str) -> subprocess.CompletedProcess[str]:
    """Run another command on its own terminal, on which nothing may appear."""
    with ControllingTerminal() as terminal:
        process = subprocess.Popen(
            world.here.args([REGISTRY_AGENT, *args]),
            env=world.agent.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **terminal.popen,
        )
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{args} does not end; on the terminal: {terminal.written()!r}") from None
        finally:
            process.kill()
            process.wait()
        assert terminal.written() == ""
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_a_profile_with_mfa_does_not_block_the_agent(world: World, terminal: ControllingTerminal) -> None:
    """The status always answers, the warning names what is needed, and renew, doctor and --once end."""
    aws = world.aws()
    door = world.ecr(aws)
    Profiles(world, aws).mfa()
    world.prepare(TEAM).start(terminal)
    warning = world.raised("aws_credentials_missing", door.hostname)
    assert warning["message"] == f"profile team needs an MFA code from {DEVICE}"
    assert warning["needs"] == "user"
    config = ("--config", str(world.settings_file))
    renewed = command(world, "renew", door.hostname)
    assert (renewed.returncode, "MFA code" in renewed.stdout) == (2, True), renewed
    examined = command(world, "doctor", "--json", *config, door.hostname)
    (chain,) = json.loads(examined.stdout)["registries"]
    (link,) = [link for link in chain["links"] if link["name"] == "aws identity"]
    assert (link["code"], link["needs"], "MFA code" in link["seen"]) == ("aws_credentials_missing", "user", True)
    world.nothing_stopped()
    assert world.agent.end() == 0
    assert command(world, "run", "--once", *config).returncode == 2
    assert terminal.written() == ""


def test_the_hint_about_mfa_works(world: World) -> None:
    """After the command of the hint, run with the real aws CLI and a typed code, the agent logs in."""
    need("aws")
    aws = world.aws()
    door = world.ecr(aws)
    Profiles(world, aws).nested_mfa()
    world.start({**TEAM, "retry": {"first_wait_s": 600, "max_wait_s": 600}})
    hint = world.raised("aws_credentials_missing", door.hostname)["hint"]
    given, renew = hint.split("`")[1:4:2]
    with ControllingTerminal() as terminal:
        # The agent has a fake aws that prints only its version. This is the real one.
        env = {**world.agent.env, "AWS_PAGER": "", "PATH": os.environ["PATH"]}
        process = subprocess.Popen(
            ["sh", "-c", given], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **terminal.popen
        )
        until("the prompt", lambda: "Enter MFA code" in terminal.written())
        terminal.type("123456\n")
        out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, out
    _, *args = renew.split()
    assert command(world, *args).returncode == 0
    world.agent.wait_logged_in(door.hostname)


class Observers:
    """Programs that record how they were called before they do their work, as `name|arguments|stdin|tty|...`."""

    def __init__(self, world: World) -> None:
        self._notes: Final = world.home / "notes"
        self._notes.mkdir()
        self.directory: Final = world.sources.directory / "bin"
        self.directory.mkdir()

    def add(self, name: str, work: str, *, reads: bool = True) -> Path:
        """Add a program. With `reads`, it tries to read a line from standard input; others get their input there."""
        read = "if read line; then read=typed; else read=nothing; fi" if reads else "read=work"
        note = 'echo "$(basename $0) $*|$(readlink /proc/self/fd/0)|$tty|$read|${GPG_TTY-}${SSH_TTY-}${DISPLAY-}"'
        tty = "if (exec 3<>/dev/tty) 2>/dev/null; then tty=open; else tty=none; fi"
        script(self.directory / name, tty, read, f"{note} >{self._notes}/{name}.$$", work)
        return self.directory / name

    def seen(self) -> dict[str, tuple[str, ...]]:
        """How each program was called, by its name and arguments."""
        lines = (path.read_text().strip() for path in self._notes.iterdir())
        return {words[0]: tuple(words[1:]) for words in (line.split("|") for line in lines) if len(words) > 1}


def _hold(seen: dict[str, tuple[str, ...]], expected: set[str]) -> None:
    """Check that each program in `expected` was started, and that none had a terminal."""
    for words, (stdin, tty, read, names) in seen.items():
        assert stdin.startswith(("pipe:", "socket:", "/dev/null")), (words, stdin)
        assert (tty, read in ("nothing", "work"), names) == ("none", True, ""), words
    missing = {name for name in expected if not any(words.startswith(name) for words in seen)}
    assert not missing, f"{missing} were not started, but {sorted(seen)}"


def test_no_child_has_a_terminal(world: World, terminal: ControllingTerminal) -> None:
    """Programs that the agent, doctor and support-bundle start have no /dev/tty, and an empty or prepared stdin."""
    need_root("to see the descriptors of a process that nobody may debug")
    observers = Observers(world)
    good_helper(observers.directory, "good")
    observers.add("docker-credential-stub", 'exec "${0%stub}good" "$@"', reads=False)
    observers.add("docker", f'exec {shutil.which("docker")} "$@"', reads=False)
    observers.add("aws", "echo aws-cli/2.0.0")
    for name in ("podman", "systemctl", "systemd-detect-virt", "journalctl"):
        observers.add(name, "exit 1")
    aws = world.aws()
    token = world.sources.secret("web identity", PLAIN)
    aws.web_identities[token] = "workspace"
    token_command = observers.add("idp-token", f"echo '{token}'")
    keys = aws.add_user("ci")
    document = {"Version": 1, "AccessKeyId": keys.access_key_id, "SecretAccessKey": keys.secret_access_key}
    process = observers.add("keys", f"echo '{json.dumps(document)}'")
    nested = observers.add("nested-keys", f"echo '{json.dumps(document)}'")
    profiles = Profiles(world, aws)
    role = f"role_arn = {ROLE}\nsource_profile = base\n[profile base]\ncredential_process = {nested}"
    profiles.write(f"credential_process = {process}")
    (world.agent.docker / "config.json").write_text(json.dumps({"credsStore": "stub"}))
    by_token, by_profile = world.ecr(aws, "by-token", role_arn=ROLE), world.ecr(aws, "by-profile")
    names = {"GPG_TTY": terminal.name, "SSH_TTY": terminal.name, "SSH_ASKPASS": "/bin/false", "DISPLAY": ":0"}
    engine = world.home / "engine.sock"
    settings = {"aws": {"profile": "team", "identity_token_command": [str(token_command)]}}
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(engine))
        silent.listen(64)
        agent = world.prepare(
            settings, PATH=f"{observers.directory}:{world.agent.env['PATH']}", DOCKER_HOST=f"unix://{engine}", **names
        )
        agent.start(terminal)
        until("the engine's child", lambda: _ttys_of_children(world.pid, "docker.from_env"))
        assert _ttys_of_children(world.pid, "docker.from_env") <= {"0"}
    agent.wait_logged_in(by_token.hostname, by_profile.hostname)
    profiles.write(role)
    assert command(world, "renew", by_profile.hostname).returncode == 0
    started = {"docker --version", "docker --config", "aws --version", "idp-token", "keys", "nested-keys"}
    _hold(observers.seen(), started | {f"docker-credential-stub {action}" for action in ("get", "store")})
    assert Path(f"/proc/{world.pid}/fd/0").readlink() == Path("/dev/null")
    command(world, "doctor", "--config", str(world.settings_file))
    bundle = command(world, "support-bundle", "-o", str(world.home / "bundle.tar.gz"))
    assert bundle.returncode == 0, bundle
    _hold(observers.seen(), started | {"podman --version", "systemctl", "systemd-detect-virt", "journalctl"})
    assert terminal.written() == ""


def _ttys_of_children(pid: int, words: str) -> set[str]:
    """The controlling terminals (0: none) of the children of `pid` whose command line contains `words`."""
    found = set()
    for _, children in of_threads(pid, "children"):
        for number in children.split():
            try:
                if words in Path(f"/proc/{number}/cmdline").read_text():
                    found.add(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[4])
            except OSError:
                continue
    return found
