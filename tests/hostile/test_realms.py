"""A registry's challenge points to the machine's own metadata service, at its real address."""

import base64
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from tests.rig.agent import Agent
from tests.rig.machine import METADATA_ADDRESS, Machine
from tests.rig.namespace import environment
from tests.rig.needs import need

REGISTRY: Final = "registry.realm.test"
BY_NAME: Final = "metadata.realm.test"
GOOD: Final = "good.realm.test"
LOGIN: Final = {"username": "robot", "password": "password-for-the-registry-alone"}
_BASIC: Final = "Basic " + base64.b64encode(":".join(LOGIN.values()).encode()).decode()
_PATH: Final = "latest/meta-data/iam/security-credentials/"
REALMS: Final = (
    f"http://{METADATA_ADDRESS}/{_PATH}",
    f"https://{METADATA_ADDRESS}/{_PATH}",
    f"https://{METADATA_ADDRESS}:443/{_PATH}",
    f"https://[::ffff:{METADATA_ADDRESS}]/{_PATH}",
    "https://2852039166/",  # the same address as one number
    f"https://{BY_NAME}/{_PATH}",
)
# The agent's own probe, with a login. Arguments: host name, user name, password.
_LOOK: Final = """
import asyncio, sys
from datetime import UTC, datetime
from agent.edge.http import HttpClient
from agent.edge.registry_client import RegistryClient
from agent.model.credential import Credential
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
probe = RegistryClient(HttpClient(), lambda: datetime.now(UTC))
credential = Credential(sys.argv[2], Sensitive(sys.argv[3]))
seen = asyncio.run(probe.probe(Registry(sys.argv[1]), credential, 10))
print(seen.status, seen.fault)
"""


class Everybody:
    """The handlers of the hostile registry, the metadata service (it keeps its requests), and the good registry."""

    def __init__(self) -> None:
        self.realm = ""
        self.at_metadata: Final[list[web.BaseRequest]] = []

    async def registry(self, _: web.BaseRequest) -> web.StreamResponse:
        challenge = f'Bearer realm="{self.realm}",service="registry"'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})

    async def metadata(self, request: web.BaseRequest) -> web.StreamResponse:
        self.at_metadata.append(request)
        return web.Response(status=500, text="role-of-the-machine")

    async def good(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Authorization") == _BASIC:
            return web.json_response({})
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="good"'})

    def by(self, client: str) -> list[str | None]:
        """Return the Authorization of each request to the metadata service whose User-Agent names `client`."""
        asked = (r for r in self.at_metadata if client.lower() in r.headers.get("User-Agent", "").lower())
        return [request.headers.get("Authorization") for request in asked]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need("ip", "nsenter", "update-ca-certificates", "docker")
    directory = tmp_path_factory.mktemp("machine")
    machine = Machine(directory, [(REGISTRY,), (GOOD,), (BY_NAME,)])
    hosts = directory / "hosts"
    hosts.write_text(hosts.read_text().replace(machine.address(BY_NAME), METADATA_ADDRESS))
    yield machine
    machine.close()


@pytest.fixture
def everybody(machine: Machine) -> Iterator[Everybody]:
    everybody = Everybody()
    tls = machine.authority.context(METADATA_ADDRESS, "::ffff:169.254.169.254", BY_NAME)
    with ExitStack() as stack:
        stack.enter_context(machine.serving(everybody.registry, REGISTRY))
        stack.enter_context(machine.serving(everybody.good, GOOD))
        stack.enter_context(machine.listening(everybody.metadata, METADATA_ADDRESS, 80))
        stack.enter_context(machine.listening(everybody.metadata, METADATA_ADDRESS, 443, tls))
        yield everybody


@pytest.mark.parametrize("realm", REALMS)
def test_the_agents_own_look_does_not_go_there(machine: Machine, everybody: Everybody, realm: str) -> None:
    """The service gets no request, and so no password: not even over trusted TLS, by number, or by a name."""
    everybody.realm = realm
    env = environment(**machine.trust)
    done = machine.namespace.run(sys.executable, "-c", _LOOK, REGISTRY, *LOGIN.values(), env=env)
    assert done.stdout == "401 None\n", done.stdout + done.stderr
    assert everybody.at_metadata == []


@pytest.mark.parametrize("host", [GOOD, f"{GOOD}:443"])
def test_the_look_goes_to_an_honest_realm(machine: Machine, everybody: Everybody, host: str) -> None:
    """It sends the password there, over TLS."""
    everybody.realm = f"https://{host}/token"
    env = environment(**machine.trust)
    done = machine.namespace.run(sys.executable, "-c", _LOOK, REGISTRY, *LOGIN.values(), env=env)
    assert done.stdout == "200 None\n", done.stdout + done.stderr


def test_the_agent_leaves_it_to_docker(machine: Machine, everybody: Everybody, tmp_path: Path) -> None:
    """Docker asks any realm that a registry names, with the password: the user chose to log in there.

    The agent itself sends nothing to the realm. The other logins go on.
    """
    everybody.realm = REALMS[0]
    agent = Agent(machine.namespace, tmp_path / "home", {"status": {"listen": ""}}, machine.trust)
    agent.give("pointing", REGISTRY, **LOGIN)
    agent.give("good", GOOD, **LOGIN)
    agent.start()
    try:
        agent.wait_logged_in(GOOD)
        agent.wait_for("its fault", lambda s: REGISTRY in {w["subject"] for w in s["warnings"]})
    finally:
        assert agent.end() == 0, agent.log()
    assert everybody.by("aiohttp") == []
    assert set(everybody.by("docker")) == {_BASIC}
