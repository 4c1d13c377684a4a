"""Tests of requests through a SOCKS5 proxy, with real proxies and servers."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web

from agent.edge.http import HttpClient
from agent.edge.socks_proxy import SocksError
from tests.rig.socks_proxy import SocksProxy

# Only the proxy resolves this name.
NAME = "only-the-proxy-knows.example"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@asynccontextmanager
async def server(tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async def answer(request: web.BaseRequest) -> web.Response:
        body = "x" * 200_000 + (await request.text())
        return web.Response(text=body, headers={"X-Login": request.headers.get("Proxy-Authorization", "none")})

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
@pytest.mark.parametrize("login", ["", "robot:open sesame"])
async def test_sends_a_request_through_the_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str, login: str
) -> None:
    """With TLS and without. The proxy resolves the name, and the server gets no password of a proxy."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(NAME).configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    user = f"{login.replace(' ', '%20')}@" if login else ""
    for tls, url in ((context, f"https://{NAME}/"), (None, f"http://{NAME}/")):
        async with server(tls) as port:
            with SocksProxy(login, target=("127.0.0.1", port)) as proxy:
                for variable in ("HTTP_PROXY", "HTTPS_PROXY"):
                    monkeypatch.setenv(variable, f"{scheme}://{user}{proxy.address}")
                reply = await HttpClient().request("POST", url, body=b"hi", timeout=30, ca_files=[tmp_path / "ca.pem"])
                assert (len(reply.body), reply.headers["X-Login"]) == (200_002, "none")
                assert proxy.requested == [(NAME, 443 if tls else 80)]


@pytest.mark.parametrize(
    ("settings", "user", "says"),
    [
        ({"login": "robot:right"}, "robot:wr0ng@", "it refused the user name or password"),
        ({"login": "robot:right"}, "", "it requires a user name and password"),
        ({"refusal": 2}, "", "its rules do not allow the connection"),
        ({"refusal": 4}, "", "it reports that the host is unreachable"),
        ({"refusal": 9}, "", "it answered with SOCKS error 9"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_reports_why_the_proxy_refuses(
    monkeypatch: pytest.MonkeyPatch, scheme: str, settings: dict[str, Any], user: str, says: str
) -> None:
    """It names the proxy, never its password."""
    with SocksProxy(**settings) as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"socks5://{user}{proxy.address}")
        with pytest.raises(SocksError, match=f"did not allow the connection: {says}") as caught:
            await HttpClient().request("GET", f"{scheme}://{NAME}/", timeout=30)
        assert f"the proxy {proxy.address}" in str(caught.value)
        assert "wr0ng" not in str(caught.value)


async def test_reports_a_proxy_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens there, or its name does not resolve. The default port is 1080."""
    for host, says in (("127.0.0.1:1", "connection refused"), ("no-proxy.invalid", "its name does not resolve")):
        monkeypatch.setenv("HTTPS_PROXY", f"socks5://me:hunter2@{host}")
        address = host if ":" in host else f"{host}:1080"
        with pytest.raises(SocksError, match=f"the proxy {address} cannot be reached: {says}"):
            await HttpClient().request("GET", f"https://{NAME}/", timeout=30)


async def test_reports_a_proxy_that_does_not_speak_socks(monkeypatch: pytest.MonkeyPatch) -> None:
    """For example an HTTP proxy on that port."""

    async def http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    other = await asyncio.start_server(http, "127.0.0.1", 0)
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://127.0.0.1:{other.sockets[0].getsockname()[1]}")
    with pytest.raises(SocksError, match="its answer is not SOCKS5"):
        await HttpClient().request("GET", f"https://{NAME}/", timeout=30)
    other.close()


async def test_a_silent_proxy_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like every other server."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            pass
        writer.transport.abort()

    silent = await asyncio.start_server(wait, "127.0.0.1", 0)
    monkeypatch.setenv("HTTPS_PROXY", f"socks5://127.0.0.1:{silent.sockets[0].getsockname()[1]}")
    with pytest.raises(TimeoutError):
        await HttpClient().request("GET", f"https://{NAME}/", timeout=0.3)
    silent.close()
