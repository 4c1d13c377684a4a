"""The agent's own look at a registry: what it follows, whose certificate it believes, and whom it blames."""

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Final

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.edge.http import HttpClient
from agent.edge.registry_client import RegistryClient
from agent.edge.registry_requests import RegistryRequest, RegistryRequests
from agent.model.credential import Credential
from agent.model.docker_errors import Fault, ProbeResult
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive

ELSEWHERE: Final = "0.0.0.0"  # noqa: S104 - reaches this machine, and docker does not take it for loopback
BOB: Final = Credential("bob", Sensitive("wrong"))
CHALLENGE: Final = {"WWW-Authenticate": "Basic realm=x"}


class Host:
    """One host with two ports; `answers` by path, anything else is a page."""

    def __init__(self) -> None:
        self.registry = Registry("")
        self.other = ""
        self.asked: Final[list[web.Request]] = []
        self.answers: Final[dict[str, Callable[[], web.Response]]] = {}

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        made = self.answers.get(request.path)
        return made() if made else web.Response(text="<html>Sign in</html>", content_type="text/html")

    def redirects(self, location: str, path: str = "/v2/") -> None:
        self.answers[path] = lambda: web.Response(status=302, headers={"Location": location})


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host, first, second = Host(), web.Application(), web.Application()
    for app in (first, second):
        app.router.add_get("/{path:.*}", host.answer)
    async with TestServer(first) as one, TestServer(second) as other:
        host.registry, host.other = Registry(f"127.0.0.1:{one.port}"), f"127.0.0.1:{other.port}"
        yield host


async def look(registry: Registry, credential: Credential | None = None) -> ProbeResult:
    return await RegistryClient(HttpClient(), lambda: datetime.now(UTC)).probe(registry, credential, 5.0)


@pytest.mark.parametrize(
    "location", ["/users/sign_in", "sign_in", "http://{host}/sign_in", "http://bob:x@{host}/sign_in", "//{other}/x"]
)
async def test_a_page_behind_a_redirect_on_the_same_host_is_no_registry(host: Host, location: str) -> None:
    """Docker follows it and takes the page for a yes; no credential goes along, nor a user name of the redirect."""
    host.redirects(location.format(host=host.registry, other=host.other))
    seen = await look(host.registry, BOB)
    assert (seen.status, seen.registry) == (200, False)
    assert all("Authorization" not in request.headers for request in host.asked)
    questions = RegistryRequests(HttpClient(), lambda: datetime.now(UTC))
    assert not (await questions.ask(host.registry, RegistryRequest(), 5.0)).probe.registry, (
        "the doctor's word is another"
    )


async def test_a_registry_behind_a_redirect_is_one(host: Host) -> None:
    """Its last answer is judged, however it is reached."""
    host.redirects("/v2/there")
    host.redirects(f"http://{host.registry}/v2/there/", "/v2/there")
    host.answers["/v2/there/"] = lambda: web.Response(status=401, headers=CHALLENGE)
    seen = await look(host.registry, BOB)
    assert (seen.status, seen.registry, seen.refused) == (401, True, False)


async def test_a_redirect_to_another_host_is_not_followed(host: Host) -> None:
    """Whatever it says, it is not the registry."""
    host.redirects(f"http://localhost:{host.other.partition(':')[2]}/v2/")
    seen = await look(host.registry)
    assert (seen.status, seen.registry, len(host.asked)) == (302, False, 1)


async def test_a_redirect_without_end_is_left(host: Host) -> None:
    """After a few."""
    host.redirects("/v2/")
    assert (await look(host.registry)).status == 302
    assert len(host.asked) < 10


@pytest.fixture
async def secure() -> AsyncIterator[Host]:
    """A registry with a certificate that nobody vouches for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("other.example").configure_cert(context)
    host, app = Host(), web.Application()
    app.router.add_get("/{path:.*}", host.answer)
    server = TestServer(app, scheme="https", host=ELSEWHERE)
    await server.start_server(ssl=context)
    host.registry = Registry(f"127.0.0.1:{server.port}")
    host.answers["/v2/"] = lambda: web.Response(status=401, headers=CHALLENGE)
    yield host
    await server.close()


async def test_a_redirect_from_tls_to_plain_http_is_not_followed(host: Host, secure: Host) -> None:
    """Whoever stands in between could answer there in the registry's place."""
    secure.redirects(f"http://{host.registry}/v2/")
    seen = await look(secure.registry)
    assert (seen.status, seen.tls) == (302, True)
    assert host.asked == []


async def test_on_loopback_any_certificate_will_do(secure: Host) -> None:
    """As to Docker, which takes what is on this machine for insecure and tries TLS before plain HTTP all the same."""
    for name in ("127.0.0.1", "localhost"):
        registry = Registry(f"{name}:{secure.registry.port}")
        seen = await look(registry)
        assert (seen.fault, seen.status, seen.tls) == (None, 401, True)
        assert (await look(registry, BOB)).refused


async def test_elsewhere_a_certificate_must_hold(secure: Host) -> None:
    """No password goes to whoever answers there."""
    seen = await look(Registry(f"{ELSEWHERE}:{secure.registry.port}"), BOB)
    assert (seen.fault, seen.status, seen.tls) == (Fault.TLS, None, False)
    assert secure.asked == []


async def test_plain_http_is_told_from_tls(host: Host) -> None:
    """On loopback, where both may be spoken."""
    assert not (await look(host.registry)).tls


def _closed() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize(
    ("proxy", "why"), [("proxy.invalid:3128", "its name does not resolve"), ("127.0.0.1:{closed}", "refused")]
)
async def test_a_proxy_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str, why: str) -> None:
    """It is no fault of the registry's name; its user name and password stay out."""
    where = proxy.format(closed=_closed())
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, f"http://robot:open-sesame@{where}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    seen = await look(Registry("registry.example"))
    assert seen.fault is Fault.UNREACHABLE
    assert f"the proxy {where} cannot be reached" in seen.detail
    assert why in seen.detail
    assert "robot" not in seen.detail
    assert "sesame" not in seen.detail
