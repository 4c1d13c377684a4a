"""A Debian tree with the agent installed by `make install`, and machines booted from it."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from tests.prepare.steps import DEBIAN_12_AGENT, DEBIAN_12_ENABLED
from tests.rig.booted import USER, Booted
from tests.rig.distribution import Distribution
from tests.rig.machine import Machine
from tests.rig.needs import need, prepared
from tests.rig.waiting import until

PRIVATE: Final = "registry.example.test"
SILENT: Final = "silent.example.test"
SILENT_ECR: Final = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
SILENT_AWS: Final = ("api.ecr.eu-west-1.amazonaws.com", "sts.eu-west-1.amazonaws.com")
PASSWORD: Final = "password-of-ada"
SERVICE: Final = f"registry-agent@{USER}.service"
SOCKET: Final = f"registry-agent@{USER}.socket"
SOCKET_PATH: Final = f"/run/registry-agent/{USER}/agent.sock"
SECRETS: Final = "/run/secrets/registries"
DROP_INS: Final = f"/etc/systemd/system/{SERVICE}.d"
_NAMES: Final = count(1)

Boot: TypeAlias = Callable[..., Booted]


@pytest.fixture(scope="session")
def installed() -> Path:
    """A tree with the agent installed but not enabled."""
    need("systemd-nspawn", "nsenter", "ip")
    return prepared(DEBIAN_12_AGENT)


@pytest.fixture(scope="session")
def enabled() -> Path:
    """The tree of `installed` after `systemctl enable`."""
    need("systemd-nspawn", "nsenter", "ip")
    return prepared(DEBIAN_12_ENABLED)


@pytest.fixture(scope="session")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The network of the machines. Nothing answers there until a test starts a server."""
    need("ip", "nsenter", "update-ca-certificates")
    machine = Machine(tmp_path_factory.mktemp("outside"), [(PRIVATE,), (SILENT, SILENT_ECR, *SILENT_AWS)])
    yield machine
    machine.close()


@pytest.fixture(scope="session")
def registry(outside: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry at `PRIVATE`, with the user ada."""
    need("docker-registry", "htpasswd")
    tls = outside.authority.files(PRIVATE)
    directory = tmp_path_factory.mktemp("registry") / "run"
    users = {USER: PASSWORD}
    distribution = Distribution(outside.namespace, directory, outside.address(PRIVATE), 443, tls=tls, users=users)
    yield PRIVATE
    distribution.close()


@contextmanager
def booting(outside: Machine, scratch: Path) -> Iterator[Boot]:
    """Boot machines that know the host names of `outside` and trust its authority. Stop them at the end."""
    with ExitStack() as ends:

        def boot(tree: Path, *options: str, binds: dict[str, Path] | None = None, **more: Any) -> Booted:
            known = {
                "/etc/hosts": Path("/etc/hosts"),  # as the namespace of `outside` shows it
                "/etc/ssl/certs/ca-certificates.crt": outside.authority.bundle,
            }
            log = scratch / f"console{next(_NAMES)}"
            booted = Booted(outside.namespace, tree, log, binds={**known, **(binds or {})}, options=options, **more)
            ends.callback(booted.close)
            return booted

        yield boot


@pytest.fixture
def boot(outside: Machine, tmp_path: Path) -> Iterator[Boot]:
    with booting(outside, tmp_path) as boot:
        yield boot


@pytest.fixture(scope="session")
def watched(outside: Machine, enabled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booted]:
    """A machine whose agent started at boot, for tests that change nothing.

    It has its own network, because it runs next to other machines whose agents listen on the same port.
    """
    with booting(outside, tmp_path_factory.mktemp("watched")) as boot:
        yield boot(enabled, "--private-network").wait_for_boot().wait_for(SERVICE)


@pytest.fixture
def machine(boot: Boot, enabled: Path) -> Booted:
    """A machine whose agent started at boot and reported that it is ready."""
    return boot(enabled).wait_for_boot().wait_for(SERVICE)


def secret(hostname: str, password: str = PASSWORD, name: str = "team-registry") -> dict[str, str]:
    return {"name": name, "hostname": hostname, "username": USER, "password": password}


def start_by_hand(machine: Booted, user: str, docker_config: str, **given: str) -> str:
    """Start an agent of a user without systemd, and wait for its login. Return the path of the configuration."""
    file = f"{docker_config}/config.json"
    environ = {"REGISTRY_AGENT_STATUS_LISTEN": "", "DOCKER_CONFIG": docker_config, **given}
    assigned = [f"{name}={value}" for name, value in environ.items()]
    machine.must("env", *assigned, "sh", "-c", "registry-agent run >/dev/null 2>&1 &", user=user)
    hostname = json.loads(given["REGISTRY_AGENT_SECRETS"])[0]["hostname"]
    until(f"the login in {file}", lambda: hostname in machine.run("cat", file).stdout)
    return file
