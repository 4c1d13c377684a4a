"""Every docker CLI on this machine logs in to the demo's registries, and the agent understands its errors.

The set-up fetches the CLIs of other Debian releases. docs/docker-versions.md lists the differences.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from agent.demo.listener import Listener
from agent.demo.registries import Auth, BasicAuth, TokenAuth
from agent.demo.tls import AUTHORITY, server_context
from agent.edge.docker_cli import DockerCli
from agent.edge.http import HttpClient
from agent.edge.registry_client import RegistryClient
from agent.model.credential import Credential
from agent.model.problem import ProblemError
from agent.model.sensitive import Sensitive
from agent.services.docker_login import DockerLogin
from tests.fakecloud.faults import Answer, Broken, Fault
from tests.fakecloud.registries import PretendRegistry
from tests.prepare.steps import DOCKER_CLIS
from tests.rig.authority import Authority
from tests.rig.needs import prepared
from tests.services.login_fakes import plan
from tests.services.test_docker_login import Tools

FETCHED: Final = DOCKER_CLIS.result
RELEASES: Final = ("bookworm", "trixie")
ELSEWHERE: Final = "0.0.0.0"  # noqa: S104 - this machine, but not loopback to docker
USERS: Final = {"robot": "right"}
FAULTS: Final[Mapping[str, Fault]] = {
    "registry_refused_request": Answer(400),
    "login_forbidden": Answer(403, "this account is suspended"),
    "registry_rate_limited": Answer(429, headers={"Retry-After": "7"}),
    "registry_error": Answer(503),
    "registry_unreachable": Broken.RESET,
}


def clis() -> list[Path]:
    """The CLIs on PATH, those of each release (even if missing), and that of sid if it is there."""
    found = [(Path(directory) / "docker").resolve() for directory in os.get_exec_path()]
    fetched = [FETCHED / release / "docker" for release in (*RELEASES, "sid")]
    return [path for path in dict.fromkeys((*found, *fetched)) if path.exists() or path.parent.name in RELEASES]


class NoToken(TokenAuth):
    """A registry whose token server answers with half of a document."""

    async def token(self, _request: web.BaseRequest) -> web.Response:
        return web.Response(text='{"token": ', content_type="application/json")


class Site:
    """Registries on one address. One docker CLI logs in to them, and the outcomes are returned."""

    def __init__(
        self, docker: Path, directory: Path, address: str, authority: Authority, stack: AsyncExitStack
    ) -> None:
        environment = {"PATH": os.environ["PATH"], "SSL_CERT_FILE": os.environ["SSL_CERT_FILE"]}
        cli = DockerCli(environment, directory / "run")
        probe = RegistryClient(HttpClient(), lambda: datetime.now(UTC))
        self._docker_login: Final = DockerLogin(cli, probe.probe, Tools(docker), lambda: 40.0)
        self._address: Final = address
        self._tls: Final = server_context() if address != ELSEWHERE else authority.context(address)
        self._stack: Final = stack

    async def login(
        self, password: str, auth: Auth | None = None, fault: Fault | None = None, *, up: bool = True
    ) -> tuple[str, int]:
        """Log in. Returns the warning code, or "logged in", and how often a password was sent."""
        registry = PretendRegistry(auth or BasicAuth(USERS))
        registry.fault = fault
        listener = await self._stack.enter_async_context(Listener(registry.handle, host=self._address, tls=self._tls))
        if not up:
            await listener.down()
        secret = {"name": "team", "hostname": listener.address, "username": "robot", "password": password}
        try:
            await self._docker_login.log_in(plan(secret).logins[0], Credential("robot", Sensitive(password)))
        except ProblemError as error:
            return error.problem.code, registry.wrong.total()
        return "logged in", registry.logins.total()


@pytest.mark.parametrize("address", ["127.0.0.1", ELSEWHERE], ids=["loopback", "elsewhere"])
@pytest.mark.parametrize("docker", clis(), ids=str)
async def test_logins_and_their_errors(
    docker: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right and wrong passwords, HTTP errors, refused connections. Each password is sent only once."""
    if docker.is_relative_to(FETCHED):
        prepared(DOCKER_CLIS)
    environment = {"PATH": os.environ["PATH"]}
    if await DockerCli(environment, tmp_path).version(docker) is None:
        pytest.skip(f"{docker} is not Docker's own CLI")
    authority = Authority(tmp_path)
    with authority.bundle.open("a") as file:
        file.write(AUTHORITY)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.bundle))
    async with AsyncExitStack() as stack:
        site = Site(docker, tmp_path, address, authority, stack)
        faults = await asyncio.gather(*(site.login("right", fault=fault) for fault in FAULTS.values()))
        assert [code for code, _ in faults] == list(FAULTS)
        logins = await asyncio.gather(
            site.login("right"),
            site.login("right", TokenAuth(USERS)),
            site.login("wrong"),
            site.login("wrong", TokenAuth(USERS)),
            site.login("right", up=False),
            site.login("right", NoToken(USERS)),
        )
        assert list(logins) == [
            ("logged in", 1),
            ("logged in", 1),
            ("login_rejected", 1),
            ("login_rejected", 1),
            ("registry_unreachable", 0),
            ("registry_error", 0),
        ]
