"""Requests to a registry: where the credential is sent."""

from datetime import UTC, datetime

import pytest
from aiohttp import web

from agent.demo.listener import Listener
from agent.demo.registries import TokenAuth, errors
from agent.edge.http import HttpClient
from agent.edge.registry_client import RegistryClient, RegistryRequest
from agent.model.credential import Credential
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive

CREDENTIAL = Credential("robot", Sensitive("open-sesame"))
MANIFEST = RegistryRequest("/v2/org/app/manifests/1", CREDENTIAL, "HEAD")


def requests() -> RegistryClient:
    return RegistryClient(HttpClient(), lambda: datetime.now(UTC))


@pytest.mark.parametrize("realm", ["http://169.254.169.254/token", "http://registry.invalid/token", "ftp://x/"])
async def test_does_not_send_a_credential_to_an_unsafe_realm(realm: str) -> None:
    """If the realm is a metadata service, plain HTTP on another host or no HTTP, no second request is made."""
    headers: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        headers.append(request.headers.get("Authorization", ""))
        return errors(401, "UNAUTHORIZED", "who are you", {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'})

    async with Listener(handle) as door:
        answer = await requests().ask(Registry(door.address), MANIFEST, 5.0)
    assert (answer.probe.status, answer.probe.refused) == (401, True)
    assert set(headers) == {""}


async def test_requests_a_token_with_the_scope() -> None:
    """As a pull does. The registry itself receives only the token."""
    tokens = TokenAuth({"robot": "open-sesame"})
    received: list[tuple[str, str]] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        kind = request.headers.get("Authorization", "").partition(" ")[0]
        received.append((request.path, kind))
        if request.path == "/token":
            assert request.query["scope"] == "repository:org/app:pull"
            return await tokens.token(request)
        if kind == "Bearer":
            return web.Response()
        realm = f'Bearer realm="http://{request.host}/token",service="x",scope="repository:org/app:pull"'
        return errors(401, "UNAUTHORIZED", "who are you", {"WWW-Authenticate": realm})

    async with Listener(handle) as door:
        answer = await requests().ask(Registry(door.address), MANIFEST, 5.0)
    assert answer.probe.status == 200
    assert received[-3:] == [(MANIFEST.path, ""), ("/token", "Basic"), (MANIFEST.path, "Bearer")]


@pytest.mark.parametrize("body", ["{", "[]", '{"token": 7}', '{"token": "a\\r\\nb"}', "[" * 100000])
async def test_survives_any_answer_of_the_token_server(body: str) -> None:
    """No part of an invalid answer gets into a header."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/token":
            return web.Response(text=body)
        realm = f'Bearer realm="http://{request.host}/token",service="x"'
        return errors(401, "UNAUTHORIZED", "who are you", {"WWW-Authenticate": realm})

    async with Listener(handle) as door:
        answer = await requests().ask(Registry(door.address), MANIFEST, 5.0)
    assert answer.probe.refused
