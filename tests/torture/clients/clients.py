"""The clients: where each comes from, and a request of it that needs a login."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.prepare.step import Step
from tests.prepare.steps import DEBIAN_12_CLIENTS, DEBIAN_13_CLIENTS, DEV_CONTAINER_CLI, DOCKER_CLIS, TESTCONTAINERS

_CLIS: Final = DOCKER_CLIS.result
_DEV_CONTAINER: Final = f"{DEV_CONTAINER_CLI.result}/node_modules/@devcontainers/cli/devcontainer.js"
_AUTHORITIES: Final = "/etc/ssl/certs/ca-certificates.crt"
_DOCKER_PY: Final = """
import docker
docker.from_env().images.pull("{repository}", tag="{tag}")
"""
_COMPOSE: Final = """
version: "3"
services: {one: {image: "{image}"}}
"""
_TESTCONTAINERS_PYTHON: Final = """
from testcontainers.core.container import DockerContainer
container = DockerContainer("{image}").with_command(["/program", "--version"]).with_kwargs(network_mode="none")
with container:
    pass
"""
_TESTCONTAINERS_NODE: Final = """
const { GenericContainer, Wait } = require("testcontainers");
// With the host name, it looks for the key `docker.io`, and finds no login.
new GenericContainer("{image}".replace(/^docker[.]io[/]/, ""))
    .withCommand(["/program", "--version"])
    .withNetworkMode("none")
    .withWaitStrategy(Wait.forOneShotStartup())
    .start();
"""
# Ryuk removes containers after a crash, and is an image of its own.
_NO_RYUK: Final = {"TESTCONTAINERS_RYUK_DISABLED": "true"}
_STARTED: Final = "a container of the private image"
_STORAGE: Final = {"STORAGE_DRIVER": "vfs"}  # works on any file system


@dataclass(frozen=True, slots=True)
class Client:
    """One program in one version.

    Attributes:
        name: the name in the table.
        tree: the Debian in which it runs. Without one, it runs on this machine.
        version: the command that prints its version.
        command: the request. `{image}`, `{repository}` and `{tag}` stand for the private image.
        stdin: what the command reads, with the same placeholders.
        env: its variables, apart from HOME and PATH.
        after: the set-up steps that it needs as well.
        module: the Python package that it needs as well.
        ignores: the kinds of login that it does not use from the file.
        gives_no_reason: whether it hides why the agent gives no login.
        remark: what a reader of the table needs to know.
    """

    name: str
    tree: Step | None
    version: tuple[str, ...]
    command: tuple[str, ...]
    stdin: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    after: tuple[Step, ...] = ()
    module: str = ""
    ignores: frozenset[str] = frozenset()
    gives_no_reason: bool = False
    remark: str = ""

    def uses(self, login: str, store: str) -> bool:
        """Return whether it uses this kind of login from this store."""
        return store == "helper" or login not in self.ignores


def _docker(suite: str, release: str) -> Client:
    program = f"{_CLIS}/{suite}/docker"
    return Client(
        f"docker, {release}",
        DEBIAN_13_CLIENTS,
        (program, "--version"),
        (program, "pull", "{image}"),
        after=(DOCKER_CLIS,),
    )


def _podman_family(tree: Step, release: str) -> tuple[Client, ...]:
    requests = {
        "podman": ("pull", "{image}"),
        "buildah": ("pull", "{image}"),
        "skopeo": ("inspect", "docker://{image}"),
    }
    return tuple(
        Client(f"{program}, {release}", tree, (program, "--version"), (program, *request), env=_STORAGE)
        for program, request in requests.items()
    )


def _docker_py(tree: Step | None, release: str, python: str = "python3") -> Client:
    version = (python, "-c", "import docker; print(docker.__version__)")
    return Client(f"docker-py, {release}", tree, version, (python, "-"), stdin=_DOCKER_PY)


def _compose(tree: Step, name: str, *program: str) -> Client:
    """A service of the project has the private image."""
    command = (*program, "--project-name=client", "--file=-", "pull")
    return Client(name, tree, (*program, "version"), command, stdin=_COMPOSE)


CLIENTS: Final = (
    _docker("bookworm", "Debian 12"),
    _docker("trixie", "Debian 13"),
    _docker("sid", "Debian sid"),
    *_podman_family(DEBIAN_12_CLIENTS, "Debian 12"),
    *_podman_family(DEBIAN_13_CLIENTS, "Debian 13"),
    _docker_py(DEBIAN_12_CLIENTS, "Debian 12"),
    _docker_py(DEBIAN_13_CLIENTS, "Debian 13"),
    _docker_py(None, "PyPI", sys.executable),
    _compose(DEBIAN_12_CLIENTS, "compose 1", "docker-compose"),
    _compose(DEBIAN_13_CLIENTS, "compose 2", "docker", "compose"),
    Client(
        "buildx",
        DEBIAN_13_CLIENTS,
        ("docker", "buildx", "version"),
        ("docker", "buildx", "build", "--pull", "-"),
        stdin="FROM {image}",
        remark="a build from the private image",
    ),
    Client(
        "Testcontainers for Python",
        None,
        (sys.executable, "-c", "from importlib.metadata import version; print(version('testcontainers'))"),
        (sys.executable, "-"),
        stdin=_TESTCONTAINERS_PYTHON,
        env=_NO_RYUK,
        module="testcontainers",
        remark=_STARTED,
    ),
    Client(
        "Testcontainers for Node.js",
        DEBIAN_13_CLIENTS,
        ("node", "-p", "require('testcontainers/package.json').version"),
        ("node", "-"),
        stdin=_TESTCONTAINERS_NODE,
        env={**_NO_RYUK, "NODE_PATH": f"{TESTCONTAINERS.result}/node_modules"},
        after=(TESTCONTAINERS,),
        gives_no_reason=True,
        remark="a container of the private image; for Docker Hub, its name must not begin with `docker.io/`",
    ),
    Client("oras", DEBIAN_13_CLIENTS, ("oras", "version"), ("oras", "manifest", "fetch", "{image}")),
    Client(
        "@devcontainers/cli",
        DEBIAN_13_CLIENTS,
        ("node", _DEV_CONTAINER, "--version"),
        ("node", _DEV_CONTAINER, "features", "info", "manifest", "{repository}:feature"),
        env={"NODE_EXTRA_CA_CERTS": _AUTHORITIES},
        after=(DEV_CONTAINER_CLI,),
        ignores=frozenset({"Docker Hub"}),
        gives_no_reason=True,
        remark="a feature instead of an image; for Docker Hub, it looks for the key `docker.io`",
    ),
)
