"""A simulated registry answers HTTP clients and the docker CLI as real registries do."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.demo.listener import Listener
from agent.demo.registries import Auth, BasicAuth, TokenAuth
from agent.demo.tls import AUTHORITY, server_context
from agent.edge.programs import find_program
from agent.model.docker_output import read_stderr
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.faults import CAPTIVE_PORTAL, Answer, Broken, Fault
from tests.fakecloud.registries import ECR_EXPIRED, EcrAuth, PretendRegistry
from tests.fakecloud.upstream import Upstream

DOCKER = find_program("docker", os.environ.get("PATH"))
USERS = {"robot": "right"}
MANY = 8 * 1024 * 1024


def basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(username, password)}


async def docker_login(directory: Path, address: str, username: str, password: str) -> str:
    """Log in with the real docker CLI. Returns its message."""
    assert DOCKER is not None
    authority = directory / "authority.pem"
    authority.write_text(AUTHORITY)
    child = await asyncio.create_subprocess_exec(
        *(str(DOCKER), "--config", str(directory), "login", "--username", username, "--password-stdin", address),
        env={"DOCKER_HOST": f"unix://{directory}/none", "HOME": str(directory), "SSL_CERT_FILE": str(authority)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate(password.encode())
    return out.decode().strip() if child.returncode == 0 else read_stderr(err).text


@pytest.mark.skipif(DOCKER is None, reason="there is no docker CLI")
@pytest.mark.parametrize(
    ("auth", "refusal"),
    [
        (BasicAuth(USERS), "failed with status: 401 Unauthorized"),
        (TokenAuth(USERS), "unauthorized: incorrect username or password"),
    ],
)
async def test_docker_logs_in_and_reports_a_wrong_password(auth: Auth, refusal: str, tmp_path: Path) -> None:
    """Each login sends one request with a password, so the count of wrong passwords is exact."""
    registry = PretendRegistry(auth)
    async with Listener(registry.handle, tls=server_context()) as listener:
        assert await docker_login(tmp_path, f"localhost:{listener.port}", "robot", "right") == "Login Succeeded"
        assert (await docker_login(tmp_path, f"localhost:{listener.port}", "robot", "wrong")).endswith(refusal)
    assert registry.logins == {"robot": 1}
    assert registry.wrong == {"robot": 1}


async def test_ecr_answers_differently_to_expired_foreign_and_wrong_tokens() -> None:
    """403 with ECR's message, 400 without a body, and 401."""
    aws = PretendAws()
    later = aws.now() + timedelta(hours=1)
    good, ended, foreign = (
        aws.tokens.issue("arn", region, end).password
        for region, end in (("eu-west-1", later), ("eu-west-1", aws.now()), ("eu-west-2", later))
    )
    registry = PretendRegistry(EcrAuth(aws.valid, "eu-west-1"))
    async with Listener(registry.handle) as listener, aiohttp.ClientSession(listener.url) as client:

        async def login(password: str) -> tuple[int, str]:
            async with client.get("/v2/", headers=basic("AWS", password)) as answer:
                return answer.status, await answer.text()

        assert (await login(good))[0] == 200
        status, body = await login(ended)
        assert (status, ECR_EXPIRED in body) == (403, True)
        assert await login(foreign) == (400, "")
        assert (await login("nonsense"))[0] == 401
        aws.tokens.end_all()
        assert (await login(good))[0] == 403


@pytest.mark.parametrize(
    ("fault", "status"), [(Answer(429, headers={"Retry-After": "7"}), 429), (CAPTIVE_PORTAL, 200), (Answer(500), 500)]
)
async def test_a_fault_answers_instead_of_the_registry_until_it_is_removed(fault: Fault, status: int) -> None:
    """No login is accepted while it lasts."""
    registry = PretendRegistry(None)
    registry.fault = fault
    async with Listener(registry.handle) as listener, aiohttp.ClientSession(listener.url) as client:
        async with client.get("/v2/") as answer:
            assert answer.status == status
            assert "Docker-Distribution-Api-Version" not in answer.headers
        registry.fault = None
        async with client.get("/v2/") as answer:
            assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


async def test_faults_below_http_reset_the_connection_or_never_answer() -> None:
    """The client gets a reset connection, or no answer."""
    registry = PretendRegistry(None)
    async with Listener(registry.handle) as listener, aiohttp.ClientSession(listener.url) as client:
        registry.fault = Broken.RESET
        with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
            await client.get("/v2/")
        registry.fault = Broken.SILENT
        with pytest.raises(TimeoutError):
            await client.get("/v2/", timeout=aiohttp.ClientTimeout(total=0.2))


async def test_an_outage_refuses_connections_and_keeps_the_port() -> None:
    """From the start or later. It also closes open connections. Afterwards the port is the same."""
    registry = PretendRegistry(None)
    listener = Listener(registry.handle)
    async with aiohttp.ClientSession(listener.url) as client:
        for _ in range(2):
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.get("/v2/")
            await listener.up()
            assert (await client.get("/v2/")).status == 200
            await listener.down()
    await listener.close()


class Distribution:
    """Simulates the registry behind the proxy: accepts uploads, and returns URLs with the host from `Host`."""

    def __init__(self) -> None:
        self.uploaded = hashlib.sha256()
        self.requests: list[web.BaseRequest] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        if request.method == "PATCH":
            async for chunk in request.content.iter_any():
                self.uploaded.update(chunk)
        location = f"{request.headers['X-Forwarded-Proto']}://{request.headers['Host']}/v2/next?_state=a%2Bb%3D%3D"
        if request.method == "GET":
            return web.Response(body=b"x" * MANY, headers={"Docker-Content-Digest": "sha256:abc"})
        return web.Response(status=202, headers={"Location": location})


async def pieces() -> AsyncIterator[bytes]:
    for number in range(64):
        yield bytes([number]) * (MANY // 64)


async def test_streams_accepted_requests_to_the_upstream_registry_and_back() -> None:
    """Uploads without a length, URLs that lead back to the front, exact query strings, and no password upstream."""
    distribution = Distribution()
    async with Listener(distribution.handle) as back, Upstream(back.url) as upstream:
        registry = PretendRegistry(BasicAuth(USERS), upstream=upstream)
        async with Listener(registry.handle) as front, aiohttp.ClientSession(front.url) as client:
            right = basic("robot", "right")
            assert (await client.patch("/v2/up?_state=a%2Bb%3D%3D", data=b"x")).status == 401
            assert distribution.requests == []
            async with client.patch("/v2/up?_state=a%2Bb%3D%3D", data=pieces(), headers=right) as answer:
                assert (answer.status, answer.headers["Location"]) == (202, f"{front.url}/v2/next?_state=a%2Bb%3D%3D")
            async with client.get("/v2/blob", headers=right) as answer:
                assert len(await answer.read()) == MANY
                assert answer.headers["Docker-Content-Digest"] == "sha256:abc"
            async with client.head("/v2/blob", headers=right) as answer:
                assert (answer.status, await answer.read()) == (202, b"")
    whole = hashlib.sha256(b"".join([piece async for piece in pieces()]))
    assert distribution.uploaded.hexdigest() == whole.hexdigest()
    assert str(distribution.requests[0].rel_url) == "/v2/up?_state=a%2Bb%3D%3D"
    assert all("Authorization" not in request.headers for request in distribution.requests)


async def test_answers_502_if_the_upstream_registry_is_down() -> None:
    """The registry in front keeps running."""
    back = Listener(Distribution().handle)
    async with Upstream(back.url) as upstream:
        registry = PretendRegistry(None, upstream=upstream)
        async with Listener(registry.handle) as front, aiohttp.ClientSession(front.url) as client:
            assert (await client.get("/v2/")).status == 502
    await back.close()
