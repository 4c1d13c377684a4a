"""Single questions to a registry: to whom the credential goes."""

from datetime import UTC, datetime

import pytest
from aiohttp import web

from agent.demo.listener import Listener
from agent.demo.registries import TokenAuth, errors
from agent.edge.http import HttpClient
from agent.edge.registry_requests import RegistryRequest, RegistryRequests
from agent.model.credential import Credential
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive

CREDENTIAL = Credential("robot", Sensitive("open-sesame"))
MANIFEST = RegistryRequest("/v2/org/app/manifests/1", CREDENTIAL, "HEAD")


def questions() -> RegistryRequests:
    return RegistryRequests(HttpClient(), lambda: datetime.now(UTC))


@pytest.mark.parametrize("realm", ["http://169.254.169.254/token", "http://registry.invalid/token", "ftp://x/"])
async def test_a_credential_goes_nowhere_unsafe(realm: str) -> None:
    """A registry that points to a metadata service, or to plain HTTP elsewhere, gets no second request."""
    asked: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.headers.get("Authorization", ""))
        return errors(401, "UNAUTHORIZED", "who are you", {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'})

    async with Listener(handle) as door:
        answer = await questions().ask(Registry(door.address), MANIFEST, 5.0)
    assert (answer.probe.status, answer.probe.refused) == (401, True)
    assert set(asked) == {""}


async def test_a_token_is_asked_for_with_the_scope() -> None:
    """As a pull does; the registry itself sees the token alone."""
    tokens = TokenAuth({"robot": "open-sesame"})
    seen: list[tuple[str, str]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        kind = request.headers.get("Authorization", "").partition(" ")[0]
        seen.append((request.path, kind))
        if request.path == "/token":
            assert request.query["scope"] == "repository:org/app:pull"
            answer = await tokens.own_answer(request)
            assert answer is not None
            return answer
        if kind == "Bearer":
            return web.Response()
        realm = f'Bearer realm="http://{request.host}/token",service="x",scope="repository:org/app:pull"'
        return errors(401, "UNAUTHORIZED", "who are you", {"WWW-Authenticate": realm})

    async with Listener(handle) as door:
        answer = await questions().ask(Registry(door.address), MANIFEST, 5.0)
    assert answer.probe.status == 200
    assert seen[-3:] == [(MANIFEST.path, ""), ("/token", "Basic"), (MANIFEST.path, "Bearer")]


@pytest.mark.parametrize("body", ["{", "[]", '{"token": 7}', '{"token": "a\\r\\nb"}', "[" * 100000])
async def test_a_token_server_that_talks_nonsense(body: str) -> None:
    """Nothing of it gets into a header."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/token":
            return web.Response(text=body)
        realm = f'Bearer realm="http://{request.host}/token",service="x"'
        return errors(401, "UNAUTHORIZED", "who are you", {"WWW-Authenticate": realm})

    async with Listener(handle) as door:
        answer = await questions().ask(Registry(door.address), MANIFEST, 5.0)
    assert answer.probe.refused
