"""Tests of the registry probe: which redirects it follows, which certificates it trusts, and what it blames."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.edge import ca_certificates, registry_client
from agent.edge.http import HttpClient
from agent.edge.registry_client import RegistryClient, RegistryRequest
from agent.model.credential import Credential
from agent.model.docker_results import Fault, ProbeResult
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.observe.redaction import Scrubber
from tests.rig.hanging import HangingDirectory
from tests.rig.waiting import PATIENCE_S

ELSEWHERE: Final = "0.0.0.0"  # noqa: S104 - reaches this machine, and docker does not take it for loopback
BOB: Final = Credential("bob", Sensitive("wrong"))
CHALLENGE: Final = {"WWW-Authenticate": "Basic realm=x"}


class Host:
    """One host with two ports. `answers` holds answers by path. Any other path returns a web page."""

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


async def probe(registry: Registry, credential: Credential | None = None) -> ProbeResult:
    return await RegistryClient(HttpClient(), lambda: datetime.now(UTC)).probe(registry, credential, 5.0)


@pytest.mark.parametrize(
    "location", ["/users/sign_in", "sign_in", "http://{host}/sign_in", "http://bob:x@{host}/sign_in", "//{other}/x"]
)
async def test_a_page_behind_a_redirect_on_the_same_host_is_not_a_registry(host: Host, location: str) -> None:
    """Docker follows it and takes the page for success. The probe sends no credential and no user name along."""
    host.redirects(location.format(host=host.registry, other=host.other))
    result = await probe(host.registry, BOB)
    assert (result.status, result.registry) == (200, False)
    assert all("Authorization" not in request.headers for request in host.asked)
    requests = RegistryClient(HttpClient(), lambda: datetime.now(UTC))
    assert not (await requests.ask(host.registry, RegistryRequest(), 5.0)).probe.registry, "the doctor disagrees"


async def test_a_registry_behind_a_redirect_is_a_registry(host: Host) -> None:
    """The last answer counts, however many redirects lead to it."""
    host.redirects("/v2/there")
    host.redirects(f"http://{host.registry}/v2/there/", "/v2/there")
    host.answers["/v2/there/"] = lambda: web.Response(status=401, headers=CHALLENGE)
    result = await probe(host.registry, BOB)
    assert (result.status, result.registry, result.refused) == (401, True, False)


async def test_does_not_follow_a_redirect_to_another_host(host: Host) -> None:
    """The answer of another host is not the answer of the registry."""
    host.redirects(f"http://localhost:{host.other.partition(':')[2]}/v2/")
    result = await probe(host.registry)
    assert (result.status, result.registry, len(host.asked)) == (302, False, 1)


async def test_stops_following_endless_redirects(host: Host) -> None:
    """It stops after a few."""
    host.redirects("/v2/")
    assert (await probe(host.registry)).status == 302
    assert len(host.asked) < 10


@pytest.fixture
async def secure() -> AsyncIterator[Host]:
    """A registry with a certificate that no trusted CA has signed."""
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


async def test_does_not_follow_a_redirect_from_tls_to_plain_http(host: Host, secure: Host) -> None:
    """A machine in between could answer instead of the registry."""
    secure.redirects(f"http://{host.registry}/v2/")
    result = await probe(secure.registry)
    assert (result.status, result.tls) == (302, True)
    assert host.asked == []


async def test_accepts_any_certificate_on_loopback(secure: Host) -> None:
    """Docker treats local registries as insecure: it tries TLS without a check, and then plain HTTP."""
    for name in ("127.0.0.1", "localhost"):
        registry = Registry(f"{name}:{secure.registry.port}")
        result = await probe(registry)
        assert (result.fault, result.status, result.tls) == (None, 401, True)
        assert (await probe(registry, BOB)).refused


async def test_checks_the_certificate_of_any_other_host(secure: Host) -> None:
    """A server with a bad certificate gets no password."""
    result = await probe(Registry(f"{ELSEWHERE}:{secure.registry.port}"), BOB)
    assert (result.fault, result.status, result.tls) == (Fault.TLS, None, False)
    assert secure.asked == []


async def test_reports_plain_http(host: Host) -> None:
    """A registry on loopback may use either TLS or plain HTTP."""
    assert not (await probe(host.registry)).tls


def _closed() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize(
    ("proxy", "why"), [("proxy.invalid:3128", "its name does not resolve"), ("127.0.0.1:{closed}", "refused")]
)
async def test_names_a_proxy_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, proxy: str, why: str) -> None:
    """The message blames the proxy and not the registry's name, and hides the user name and password."""
    where = proxy.format(closed=_closed())
    for variable in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(variable, f"http://robot:open-sesame@{where}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    result = await probe(Registry("registry.example"))
    assert result.fault is Fault.UNREACHABLE
    assert f"the proxy {where} cannot be reached" in result.detail
    assert why in result.detail
    assert "robot" not in result.detail
    assert "sesame" not in result.detail


async def test_a_certificate_that_hangs_stops_only_its_registry(
    host: Host, hanging: HangingDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure names the file. However many probes wait for it, other registries are probed at once."""
    monkeypatch.setattr(ca_certificates, "_DEADLINE_S", 0.2)
    certificate = tmp_path / "certs" / "dead.example" / "ca.crt"
    certificate.parent.mkdir(parents=True)
    certificate.symlink_to(hanging.path / "ca.crt")
    client = RegistryClient(HttpClient(), lambda: datetime.now(UTC), certs=tmp_path / "certs")
    dead = [asyncio.create_task(client.probe(Registry("dead.example"), None, PATIENCE_S)) for _ in range(40)]
    for result in await asyncio.gather(*dead):
        assert (result.fault, result.detail) == (
            Fault.TLS,
            f"CA file {certificate} cannot be read: its file system does not answer",
        )
    monkeypatch.setattr(ca_certificates, "_DEADLINE_S", PATIENCE_S)
    assert (await client.probe(host.registry, None, PATIENCE_S)).status == 200


async def test_a_directory_of_certificates_that_hangs_is_named(
    hanging: HangingDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's directory of a registry may be on a network file system."""
    monkeypatch.setattr(registry_client, "_CERTS_S", 0.05)
    client = RegistryClient(HttpClient(), lambda: datetime.now(UTC), certs=hanging.path)
    result = await client.probe(Registry("dead.example"), None, PATIENCE_S)
    assert result.detail == f"{hanging.path / 'dead.example'} cannot be read: its file system does not answer"


@pytest.mark.parametrize("password", ["login", " begins-with-a-blank", "2026"])
async def test_an_answer_that_repeats_a_password_is_masked_where_it_enters(host: Host, password: str) -> None:
    """Also a password that the agent's own messages contain, which the log and the status do not mask."""
    scrubber = Scrubber()
    scrubber.protect([password])
    text = f"your password {password.strip()} is wrong"
    host.answers["/v2/"] = lambda: web.Response(status=403, text=text)
    client = RegistryClient(HttpClient(), lambda: datetime.now(UTC), scrub=scrubber.scrub)
    assert (await client.probe(host.registry, None, 60.0)).detail == "your password [redacted] is wrong"
