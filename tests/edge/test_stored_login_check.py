"""The check of a stored login, against registries that want a password, a bearer token, or an identity token."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.edge.http import HttpClient
from agent.edge.registry_answers import basic_header
from agent.edge.registry_client import RegistryClient
from agent.model.credential import Credential
from agent.model.docker_config import Entry
from agent.model.docker_results import ProbeResult
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive

BOB: Final = Entry("bob", Sensitive("right"))
DEAD: Final = Entry("bob", Sensitive("dead"))
TOKEN: Final = Entry("", Sensitive("refresh"), identity_token=True)
DEAD_TOKEN: Final = Entry("", Sensitive("dead"), identity_token=True)
BASIC: Final = basic_header(Credential("bob", BOB.secret))

Answer = Callable[[web.Request], web.Response]


@dataclass
class Site:
    """A registry with a token server. `pings` is its answer to `/v2/` without a login, `tokens` that to `/token`."""

    address: str = ""
    bearer: bool = True
    realm: str = ""
    pings: int = 401
    tokens: Answer | None = None
    asked: list[web.Request] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        given = request.headers.get("Authorization", "")
        if request.path == "/token":
            return self.tokens(request) if self.tokens else await self._token(request, given)
        if given == ("Bearer good" if self.bearer else BASIC):
            return web.json_response({})
        if given:
            return web.Response(status=401)
        realm = self.realm or f"http://{self.address}/token"
        challenge = f'Bearer realm="{realm}",service="here"' if self.bearer else "Basic realm=x"
        return web.Response(status=self.pings, headers={"WWW-Authenticate": challenge})

    async def _token(self, request: web.Request, given: str) -> web.Response:
        form = await request.post()
        wanted = ("refresh_token", "refresh", "here", "docker")
        refreshed = tuple(form.get(key) for key in ("grant_type", "refresh_token", "service", "client_id")) == wanted
        return web.json_response({"token": "good"}) if given == BASIC or refreshed else web.Response(status=401)

    async def check(self, entry: Entry) -> ProbeResult:
        client = RegistryClient(HttpClient(), lambda: datetime.now(UTC))
        return await client.check(Registry(self.address), entry, 5.0)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site, app = Site(), web.Application()
    app.router.add_route("*", "/{path:.*}", site.handle)
    async with TestServer(app) as server:
        site.address = f"127.0.0.1:{server.port}"
        yield site


@pytest.mark.parametrize("bearer", [True, False], ids=["bearer", "basic"])
async def test_a_password_is_accepted_or_refused(site: Site, bearer: bool) -> None:
    """It is sent once."""
    site.bearer = bearer
    accepted = await site.check(BOB)
    assert (accepted.status, accepted.refused) == (200, False)
    site.asked.clear()
    assert (await site.check(DEAD)).refused
    assert sum("Authorization" in request.headers for request in site.asked) == 1


async def test_an_identity_token_is_exchanged_by_post(site: Site) -> None:
    """It is in the body, not in the URL, which servers write to their logs."""
    assert not (await site.check(TOKEN)).refused
    assert (await site.check(DEAD_TOKEN)).refused
    assert all("refresh" not in str(request.url) for request in site.asked)


@pytest.mark.parametrize(
    ("answer", "refused"),
    [
        (lambda _: web.Response(status=403, text="denied"), True),
        (lambda _: web.json_response({"error": "invalid_grant"}, status=400), True),
        (lambda _: web.Response(status=400), False),
        (lambda _: web.Response(status=429), False),
        (lambda _: web.Response(status=503), False),
        (lambda _: web.Response(text="<html>"), False),
        (lambda _: web.json_response({"token": "for nobody"}), True),
    ],
    ids=["403", "invalid grant", "400", "429", "503", "a page", "a token that opens nothing"],
)
async def test_only_a_refusal_of_the_login_counts(site: Site, answer: Answer, refused: bool) -> None:
    """A token server that is down, busy or broken says nothing about the login."""
    site.tokens = answer
    assert (await site.check(DEAD)).refused is refused


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_an_answer_to_everybody_says_nothing_about_the_login(site: Site, status: int) -> None:
    """An address that is not allowed, for example. The login is not sent."""
    site.pings = status
    assert not (await site.check(DEAD)).refused
    assert all("Authorization" not in request.headers for request in site.asked)


@pytest.mark.parametrize("realm", ["http://registry.example/token", "https://169.254.169.254/token", "ftp://x/"])
@pytest.mark.parametrize("entry", [BOB, TOKEN], ids=["password", "identity token"])
async def test_a_login_is_not_sent_to_a_suspicious_realm(site: Site, realm: str, entry: Entry) -> None:
    """In plain text, or to a cloud's metadata service."""
    site.realm = realm
    assert not (await site.check(entry)).refused
    assert [request.path for request in site.asked] == ["/v2/"]


async def test_the_answer_is_not_repeated(site: Site) -> None:
    """A server may repeat the password, and a person's password is not known to the redaction."""
    site.tokens = lambda _: web.Response(status=403, text="bob:dead is not welcome")
    assert (await site.check(DEAD)).detail == ""


async def test_a_registry_that_is_down_refuses_nothing() -> None:
    gone = await Site(address="127.0.0.1:1").check(BOB)
    assert (gone.refused, gone.fault is not None) == (False, True)
