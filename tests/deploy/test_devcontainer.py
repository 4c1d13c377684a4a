"""The dev container feature in real dev containers of the reference implementation. The agent inside really logs in."""

import json
import re
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from agent import __version__
from agent.settings import SecretsSettings, StatusSettings
from tests.deploy.dev_container import PARTS, START, Container, DevContainers, bind, docker_program, make_workspace
from tests.prepare.steps import DEBIAN_11, DEBIAN_12, FEATURE
from tests.rig.distribution import Distribution
from tests.rig.engine import Engine
from tests.rig.machine import Machine
from tests.rig.namespace import environment
from tests.rig.needs import need, prepared
from tests.rig.waiting import until

pytestmark = pytest.mark.engine

SOURCE: Final = Path(__file__).parents[2] / "deploy/devcontainer"
REGISTRY: Final = "registry.example.test"
SECOND: Final = "second.example.test"
PASSWORDS: Final = {"alice": "password-of-alice", "bob": "password-of-bob"}
BASE: Final = "base:bookworm"
OLD_BASE: Final = "base:bullseye"
"""The oldest Debian that mirrors still serve. Neither base has Python."""
ARCHIVE: Final = "registry-agent-linux-{}.tar.gz"
OWN_SETTINGS: Final = "/etc/registry-agent/config.toml"
COMPLETIONS: Final = (
    "bash-completion/completions/registry-agent",
    "zsh/site-functions/_registry-agent",
    "fish/vendor_completions.d/registry-agent.fish",
)

Run: TypeAlias = Callable[..., Container]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need("ip", "nsenter", "update-ca-certificates", "docker")
    machine = Machine(tmp_path_factory.mktemp("machine"), [(REGISTRY, SECOND)])
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def engine(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    need("dockerd")
    engine = Engine(machine.namespace, tmp_path_factory.mktemp("engine") / "run")
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def authority(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Start a real registry at two names, with TLS, htpasswd and the users of `PASSWORDS`. Yield its authority."""
    need("docker-registry", "htpasswd")
    directory = tmp_path_factory.mktemp("registries") / "run"
    tls = machine.authority.files(REGISTRY, SECOND)
    served = Distribution(machine.namespace, directory, machine.address(REGISTRY), 443, tls=tls, users=PASSWORDS)
    yield machine.authority.bundle
    served.close()


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Docker's configuration on the machine, which is empty."""
    return tmp_path_factory.mktemp("docker-config")


@pytest.fixture(scope="module")
def feature() -> Path:
    """The feature as `make devcontainer-feature` builds it."""
    return prepared(FEATURE) / "registry-agent"


def import_base(engine: Engine, config: Path, directory: Path, image: str, tree: Path) -> str:
    """Import a Debian without Python as an image."""
    archive = directory / "tree.tar"
    subprocess.run(["tar", "-C", str(tree), "-cf", str(archive), "."], check=True)
    engine.must("import", archive, image, config=config)
    archive.unlink()
    return image


@pytest.fixture(scope="module")
def base(engine: Engine, config: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A typical base image: a Debian with a user of the usual name, and without Python."""
    directory = tmp_path_factory.mktemp("base")
    bare = import_base(engine, config, directory, f"bare-{BASE}", prepared(DEBIAN_12))
    (directory / "Dockerfile").write_text(
        f"FROM {bare}\nRUN ! command -v python3 && useradd --create-home --shell /bin/bash vscode\n"
    )
    classic = {"DOCKER_BUILDKIT": "0"}
    engine.must("build", "--network=host", f"--tag={BASE}", directory, config=config, env=classic)
    return BASE


@pytest.fixture(scope="module")
def dev_containers(machine: Machine, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> DevContainers:
    need("node", "npm")
    return DevContainers(machine.namespace, engine, tmp_path_factory.mktemp("cli"))


@pytest.fixture(scope="module")
def workspace(authority: Path, base: str, feature: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project for a dev container of user vscode. The feature's option sets its secrets directory."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "registry-secrets").mkdir()
    secret = {"name": "second", "hostname": SECOND, "username": "bob", "password": PASSWORDS["bob"]}
    (directory / "registry-secrets/second.json").write_text(json.dumps(secret))
    for path in (directory / "registry-secrets", *directory.glob("registry-secrets/*")):
        path.chmod(0o755)  # like bind mounts of a project: vscode in the container reads them
    mounts = [
        bind(authority, "/authority.pem"),
        bind(docker_program(), "/usr/local/bin/docker"),
        bind(directory / "registry-secrets", "/mnt/registry-secrets"),
    ]
    properties = {
        "image": base,
        "remoteUser": "vscode",
        "containerEnv": {"SSL_CERT_FILE": "/authority.pem"},
        # Editors pass on the host's like this: to lifecycle commands, not to every terminal.
        "remoteEnv": {"XDG_RUNTIME_DIR": "/run/user/1234"},
        "mounts": mounts,
    }
    return make_workspace(directory, feature, properties, {"secretsDirectory": "/mnt/registry-secrets"})


@pytest.fixture(scope="module")
def secrets_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Registry secrets with the names of Codespaces. Only lifecycle commands get them."""
    file = tmp_path_factory.mktemp("secrets") / "secrets.json"
    name = "TEAM_CONTAINER_REGISTRY"
    secret = {f"{name}_SERVER": REGISTRY, f"{name}_USER": "alice", f"{name}_PASSWORD": PASSWORDS["alice"]}
    file.write_text(json.dumps(secret))
    return file


@pytest.fixture(scope="module")
def open_(dev_containers: DevContainers, workspace: Path, secrets_file: Path) -> Callable[[], Container]:
    """Return a function that opens the project, and may be called repeatedly."""
    return lambda: dev_containers.up(workspace, "--secrets-file", secrets_file)


@pytest.fixture(scope="module")
def up(open_: Callable[[], Container]) -> Container:
    return open_()


def started(engine: Engine, config: Path, image: str, *options: str, user: str = "root") -> Container:
    """Start a plain container that runs until it is removed."""
    args = ("run", "--detach", "--network=none", *options, image, "sleep", "infinity")
    name = engine.must(*args, config=config).strip()
    return Container(engine, config, name, user)


@pytest.fixture
def run(engine: Engine, config: Path) -> Iterator[Run]:
    """Return a function that starts plain containers. They end with the test."""
    with ExitStack() as ends:

        def make(image: str, *options: str, user: str = "root") -> Container:
            container = started(engine, config, image, *options, user=user)
            ends.callback(engine.docker, "rm", "--force", container.name, config=config)
            return container

        yield make


@pytest.fixture(scope="module")
def bare(engine: Engine, config: Path, base: str, feature: Path) -> Container:
    """A container with the feature's files, but not installed. It ends with the engine."""
    return started(engine, config, base, lend(feature, "/feature"))


def lend(source: Path, target: str) -> str:
    return f"--mount={bind(source, target)}"


@pytest.fixture
def supervised(run: Run, base: str, tmp_path: Path) -> Callable[[str], Container]:
    """Return a function that starts a container in which a script of the test replaces the agent."""

    def make(agent: str, *options: str) -> Container:
        program = tmp_path / "agent"
        program.write_text(f"#!/bin/sh\n{agent}\n")
        program.chmod(0o755)
        parts = lend(SOURCE, PARTS)
        return run(base, parts, lend(program, "/opt/registry-agent/bin/registry-agent"), *options, user="vscode")

    return make


def test_after_up_the_remote_user_is_logged_in(up: Container) -> None:
    """`devcontainer up` is enough: the agent runs as the remote user, with the lifecycle's secrets and the option's."""
    status = up.status()

    assert up.user == "vscode"
    assert status["environment"]["user"] == "vscode"
    assert status["condition"] == "healthy", status["warnings"]
    assert {row["hostname"]: row["state"] for row in status["registries"]} == dict.fromkeys(
        (REGISTRY, SECOND), "logged_in"
    )
    auths = json.loads(up.must("cat ~/.docker/config.json"))["auths"]
    assert set(auths) == {REGISTRY, SECOND}
    assert up.must("stat --format=%U ~/.docker/config.json").strip() == "vscode"


def test_no_password_is_anywhere_but_where_it_belongs(up: Container, engine: Engine, config: Path) -> None:
    """Neither the image, nor the container's description, nor a command line, nor the log contains a password."""
    up.status()
    image = engine.docker("inspect", "--format={{.Image}}", up.name, config=config).stdout.strip()
    places = {
        "container": engine.docker("inspect", up.name, config=config).stdout,
        "image": engine.docker("inspect", image, config=config).stdout,
        "history": engine.docker("history", "--no-trunc", image, config=config).stdout,
        "command lines": "\n".join(up.processes().values()),
        "log": up.log(),
    }
    assert all(places.values())
    assert [name for name, text in places.items() for word in PASSWORDS.values() if word in text] == []


def test_killed_it_comes_back(up: Container) -> None:
    """After SIGKILL, another agent starts and is logged in."""
    before = up.the_agent()
    up.must(f"kill -KILL {before}")
    until("another agent", lambda: set(up.agents()) - {before})
    until("its status", lambda: up.sh("registry-agent status").returncode == 0)
    assert up.registry(REGISTRY)["state"] == "logged_in"


def test_a_second_start_does_not_make_two(up: Container) -> None:
    """However often the hook runs, there is one supervisor (a loop, and a process for its log) and one agent."""
    agent = up.the_agent()
    supervisors = up.supervisors()
    up.must(START)
    up.must(f"{PARTS}/supervise.sh </dev/null >/dev/null 2>&1")  # when it returns, all that it started exists
    assert len(supervisors) == 2
    until("the end of the other start", lambda: up.supervisors() == supervisors)
    assert up.agents() == [agent]


def test_the_container_stops_at_once_and_starts_again(
    up: Container, engine: Engine, config: Path, open_: Callable[[], Container]
) -> None:
    """The agent does not delay the container's stop, and runs again after the next start."""
    up.the_agent()
    began = time.monotonic()
    engine.must("stop", up.name, config=config)
    assert time.monotonic() - began < 10, "docker kills it after 10 s"

    again = open_()
    assert again.name == up.name
    until("its status", lambda: again.sh("registry-agent status").returncode == 0)
    assert again.registry(REGISTRY)["state"] == "logged_in"


def test_it_packs_for_publishing(dev_containers: DevContainers, feature: Path, tmp_path: Path) -> None:
    """`devcontainer features package` accepts the feature, including the agent."""
    out = tmp_path / "out"
    done = dev_containers.run("features", "package", feature, "--output-folder", out)

    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = out.glob("*.tgz")
    with tarfile.open(archive) as packed:
        names = {name.removeprefix("./") for name in packed.getnames()} - {".", ""}
    assert names == {str(path.relative_to(feature)) for path in feature.rglob("*")}
    collection = json.loads((out / "devcontainer-collection.json").read_text())
    assert [(made["id"], made["version"]) for made in collection["features"]] == [("registry-agent", __version__)]


def test_its_defaults_are_the_agents() -> None:
    """An option that is not set changes nothing: its default is the same as the agent's."""
    options = json.loads((SOURCE / "devcontainer-feature.json").read_text())["options"]
    script = (SOURCE / "install.sh").read_text()

    assert options["secretsDirectory"]["default"] == str(*SecretsSettings().directories)
    assert options["statusListen"]["default"] == StatusSettings().listen
    for option, name in (("secretsDirectory", "directory"), ("statusListen", "listen")):
        assert f"default_{name}={options[option]['default']}\n" in script


def test_an_old_base_without_python_will_do(
    run: Run, engine: Engine, config: Path, feature: Path, tmp_path: Path
) -> None:
    """On an older Debian without network, Python or docker, it installs and runs as root. A warning names docker."""
    old = run(import_base(engine, config, tmp_path, OLD_BASE, prepared(DEBIAN_11)), lend(feature, "/feature"))
    old.must("! command -v python3")
    old.must("/feature/install.sh")
    old.must(START)

    until("its status", lambda: old.sh("registry-agent status").returncode == 0)
    assert old.status()["environment"]["user"] == "root"
    expected = {"docker_cli_missing": "warning", "engine_unreachable": "notice"}
    until("its warnings", lambda: {each["code"]: each["severity"] for each in old.status()["warnings"]} == expected)


def test_installing_twice_is_installing_once(run: Run, base: str, feature: Path) -> None:
    """A second install changes no file. Options apply until an install no longer sets them."""
    container = run(base, lend(feature, "/feature"))
    files = "find /opt /usr/local /etc -xdev ! -type d -exec sha256sum {} + -o -type d -print | sort"
    install = "SECRETSDIRECTORY='~/my secrets' STATUSLISTEN= /feature/install.sh"
    untouched = container.must(files)

    container.must(install)
    once = container.must(files)
    settings = container.must(f"cat {OWN_SETTINGS}")
    container.must(install)
    assert container.must(files) == once != untouched
    assert all(f"/usr/local/share/{file}\n" in once for file in COMPLETIONS)
    assert "directories = ['~/my secrets']" in settings
    assert "listen = ''" in settings

    container.must("/feature/install.sh")
    assert OWN_SETTINGS not in container.must(files)


def test_an_images_own_settings_stay(run: Run, base: str, feature: Path) -> None:
    """A settings file of the image is kept. An option that would change it is refused with a message."""
    container = run(base, lend(feature, "/feature"))
    container.must(f"mkdir {Path(OWN_SETTINGS).parent} && echo '[log]' >{OWN_SETTINGS}")

    container.must("/feature/install.sh")
    refused = container.sh("STATUSLISTEN= /feature/install.sh")
    assert refused.returncode == 1
    assert f"the image has its own {OWN_SETTINGS}: set them there" in refused.stderr
    assert container.must(f"cat {OWN_SETTINGS}") == "[log]\n"


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("status.listen", "STATUSLISTEN=nowhere /feature/install.sh"),
        ("option secretsDirectory must not contain single quotes", 'SECRETSDIRECTORY="/\'" /feature/install.sh'),
        ("install.sh must run as root", "setpriv --reuid=1000 /feature/install.sh"),
        ("there is no agent next to install.sh", "mkdir /new && cp /feature/*.sh /new && /new/install.sh"),
        (
            "only registry-agent-linux-m68k.tar.gz. Run 'make devcontainer-feature' on a machine with that",
            "mkdir /m68k && cp /feature/*.sh /m68k && touch /m68k/registry-agent-linux-m68k.tar.gz && /m68k/install.sh",
        ),
    ],
    ids=["wrong option", "quote", "not root", "source", "architecture"],
)
def test_a_build_that_cannot_work_says_why(bare: Container, said: str, command: str) -> None:
    """The install fails with a message that names what to change."""
    refused = bare.sh(command)
    assert refused.returncode == 1
    assert said in refused.stderr


def test_pauses_grow_to_a_minute(supervised: Callable[..., Container], tmp_path: Path) -> None:
    """An agent that ends at once is started again forever: after 2 s, then twice as long each time, up to 60 s."""
    sleep = tmp_path / "sleep"
    sleep.write_text(
        '#!/bin/sh\n[ "$(wc -l </tmp/slept)" -lt 8 ] || exec /bin/sleep infinity\necho "$1" >>/tmp/slept\n'
    )
    sleep.chmod(0o755)
    container = supervised("exit 3", lend(sleep, "/usr/local/bin/sleep"))
    container.must("touch /tmp/slept")
    container.must(START)

    until("eight pauses", lambda: len(container.must("cat /tmp/slept").split()) == 8)
    assert [int(pause) for pause in container.must("cat /tmp/slept").split()] == [2, 4, 8, 16, 32, 60, 60, 60]
    assert "the agent exited with code 3; it restarts in 2 s" in container.log()


def test_the_log_is_bounded_and_private(supervised: Callable[..., Container]) -> None:
    """Of five million bytes, the last one to two million are kept. Only their owner can read them."""
    container = supervised("seq -f '%099g' 50000; exec sleep infinity")
    container.must(START)
    log = "~/.local/state/registry-agent"
    until("the last line", lambda: container.sh(f"tail -n 1 {log}/log").stdout.lstrip("0") == "50000\n")

    sizes = container.must(f"stat --format='%a %s' {log}/log {log}/log.old").split()
    assert sizes[::2] == ["600", "600"]
    assert 1_000_000 <= sum(map(int, sizes[1::2])) <= 2_000_200


@pytest.mark.parametrize("agent", ["exec sleep infinity", "exit 1"], ids=["hangs", "crashes"])
def test_the_hook_never_waits_and_never_fails(supervised: Callable[..., Container], agent: str) -> None:
    """Whatever the agent does, the hook ends at once, with exit code 0."""
    container = supervised(agent)
    began = time.monotonic()
    container.must(START)
    assert time.monotonic() - began < 60


def test_the_hook_does_not_fail_where_nothing_can_be_written(supervised: Callable[..., Container]) -> None:
    """On a read-only file system the agent runs without a log."""
    container = supervised("exec sleep infinity", "--read-only")
    container.must(START)
    until("the agent", lambda: list(container.processes().values()).count("sleep infinity") == 2)


def test_another_user_cannot_keep_the_agent_out(supervised: Callable[..., Container]) -> None:
    """Any user can read the script, and can therefore hold a lock on it forever."""
    container = supervised("exec sleep infinity")
    container.must(f"setsid flock {PARTS}/supervise.sh sleep 600 >/dev/null 2>&1 &", user="nobody")
    until("the other user's lock", lambda: "sleep 600" in container.processes().values())
    container.must(START)
    until("the agent", lambda: list(container.processes().values()).count("sleep infinity") == 2)


def test_who_ends_the_supervisor_ends_the_agent(supervised: Callable[..., Container]) -> None:
    """SIGTERM to the supervisor reaches the agent, and no process of either is left. Then it can be started again."""
    container = supervised("trap 'echo ended well; exit 0' TERM; echo up; sleep infinity & wait")
    for _ in range(2):
        container.must(START)
        until("the agent", lambda: len(container.agents()) == 1)
        container.must(f"kill {' '.join(map(str, container.supervisors()))}")
        until("the end of all", lambda: len(container.processes()) == 1)
    assert len(re.findall("ended well", container.log())) == 2


def test_a_supervisor_that_was_killed_is_replaced(supervised: Callable[..., Container]) -> None:
    """After SIGKILL to the supervisor, the agent keeps running alone, and does not block the next start."""
    container = supervised("exec sleep infinity")
    container.must(START)
    until("the agent", lambda: list(container.processes().values()).count("sleep infinity") == 2)
    killed = container.supervisors()
    container.must(f"kill -KILL {' '.join(map(str, killed))}")

    container.must(START)
    until("another supervisor", lambda: len(set(container.supervisors()) - set(killed)) == 2)


def test_the_scripts_are_sound() -> None:
    """ShellCheck finds no problem in the scripts, which run on other people's machines."""
    need("shellcheck")
    check = ["shellcheck", *map(str, SOURCE.glob("*.sh"))]
    done = subprocess.run(check, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
