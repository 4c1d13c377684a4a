"""Tests of the agent's own HTTP requests, with real servers, a real proxy and a real CA."""

import asyncio
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
from aiohttp import web

from agent.edge.ca_certificates import CaFileError
from agent.edge.http import BodyTooLarge, HttpClient, ProxyUnusable

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
# An address that needs no DNS and is not loopback, for requests through a proxy or a Unix socket.
ELSEWHERE = "http://192.0.2.1"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
            monkeypatch.delenv(name)


@asynccontextmanager
async def server(answer: Answer, tls: ssl.SSLContext | None = None, unix: Path | None = None) -> AsyncIterator[int]:
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.UnixSite(runner, unix) if unix else web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    yield 0 if unix else runner.addresses[0][1]
    await runner.cleanup()


async def echo(request: web.BaseRequest) -> web.Response:
    body = (await request.read()).decode()
    return web.Response(status=201, text=f"{request.method} {request.path_qs} {body}", headers={"X-Seen": "1"})


async def test_sends_a_request_and_returns_the_answer() -> None:
    """It sends method, path and body, and returns status, headers and body, whatever the status."""
    async with server(echo) as port:
        reply = await HttpClient().request("POST", f"http://127.0.0.1:{port}/a?b=c", body=b"hi", timeout=5)
        assert (reply.status, reply.headers["x-seen"], reply.body) == (201, "1", b"POST /a?b=c hi")


async def test_does_not_follow_redirects() -> None:
    """A token must not be sent to the target of a redirect."""
    paths = []

    async def redirect(request: web.BaseRequest) -> web.Response:
        paths.append(request.path)
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    async with server(redirect) as port:
        assert (await HttpClient().request("GET", f"http://127.0.0.1:{port}/", timeout=5)).status == 302
        assert paths == ["/"]


async def test_stops_reading_a_body_over_the_limit() -> None:
    """An endless answer causes an error before it fills the memory."""

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65536)

    async with server(endless) as port:
        with pytest.raises(BodyTooLarge, match="longer than 1048576"):
            await HttpClient().request("GET", f"http://127.0.0.1:{port}/", timeout=5)


async def test_a_silent_server_ends_at_the_deadline() -> None:
    """The timeout is for the whole request."""

    async def silent(_request: web.BaseRequest) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with server(silent) as port:
        with pytest.raises(TimeoutError):
            await HttpClient().request("GET", f"http://127.0.0.1:{port}/", timeout=0.1)


async def test_each_fault_has_its_own_class() -> None:
    """Callers can distinguish a refused connection, a closed connection and an unknown name."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(aiohttp.ClientConnectorError) as refused:
        await HttpClient().request("GET", f"http://127.0.0.1:{port}/", timeout=5)
    assert isinstance(refused.value.os_error, ConnectionRefusedError)
    with pytest.raises(aiohttp.ClientConnectorDNSError):
        await HttpClient().request("GET", "http://no-such-host.invalid/", timeout=5)

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    for name in ("a..b", "a" * 64 + ".example"):
        with pytest.raises(aiohttp.InvalidURL):
            await HttpClient().request("GET", f"http://{name}/", timeout=5)
    closing = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = closing.sockets[0].getsockname()[1]
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await HttpClient().request("GET", f"http://127.0.0.1:{port}/", timeout=5)
    closing.close()


@pytest.mark.parametrize("through", ["ca_files", "SSL_CERT_FILE", "AWS_CA_BUNDLE"])
async def test_trusts_a_private_ca_that_is_configured(
    through: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An extra CA file, SSL_CERT_FILE and AWS_CA_BUNDLE all work. Without them, the certificate is refused."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path / "ca.crt"
    authority.cert_pem.write_to_path(str(path))
    async with server(echo, context) as port:
        url = f"https://127.0.0.1:{port}/"
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await HttpClient().request("GET", url, timeout=5)
        if through != "ca_files":
            monkeypatch.setenv(through, str(path))
        reply = await HttpClient().request("GET", url, timeout=5, ca_files=[path] if through == "ca_files" else [])
        assert reply.status == 201


async def test_a_changed_ca_file_takes_effect_at_the_next_request(tmp_path: Path) -> None:
    """The TLS context is cached between requests, but only while the files are the same."""
    path = tmp_path / "ca.crt"
    trustme.CA().cert_pem.write_to_path(str(path))
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    client = HttpClient()
    async with server(echo, context) as port:
        url = f"https://127.0.0.1:{port}/"
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await client.request("GET", url, timeout=5, ca_files=[path])
        path.unlink()
        authority.cert_pem.write_to_path(str(path))
        assert (await client.request("GET", url, timeout=5, ca_files=[path])).status == 201


async def test_names_an_invalid_ca_file(tmp_path: Path) -> None:
    """The error contains the path of the file."""
    (tmp_path / "ca.crt").write_text("not a certificate")
    with pytest.raises(CaFileError, match=r"ca\.crt"):
        await HttpClient().request("GET", "https://127.0.0.1:1/", timeout=5, ca_files=[tmp_path / "ca.crt"])


async def test_connects_to_a_unix_socket() -> None:
    """The host of the URL is only used for the Host header."""
    with tempfile.TemporaryDirectory(prefix="ra-") as directory:
        path = Path(directory, "secrets.sock")
        async with server(echo, unix=path):
            reply = await HttpClient().request("GET", "http://localhost/v1/secrets", timeout=5, unix_socket=path)
            assert reply.body == b"GET /v1/secrets "


async def test_checks_the_certificate_of_a_tls_proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It uses the configured CAs, even for a plain HTTP request."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with server(echo, tls=context) as port:
        monkeypatch.setenv("HTTP_PROXY", f"https://127.0.0.1:{port}")
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert (await HttpClient().request("GET", f"{ELSEWHERE}/x", timeout=5)).status == 201


async def test_uses_the_environments_proxy_with_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain HTTP goes to the proxy, TLS uses CONNECT. Both send the user name and password from the proxy URL."""
    requests = []

    async def proxy(request: web.BaseRequest) -> web.Response:
        requests.append((request.method, request.raw_path, request.headers.get("Proxy-Authorization")))
        return web.Response(status=407)

    async with server(proxy) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:p%40ss@127.0.0.1:{port}")
        monkeypatch.setenv("https_proxy", f"me:p%40ss@127.0.0.1:{port}")
        assert (await HttpClient().request("GET", f"{ELSEWHERE}/x", timeout=5)).status == 407
        with pytest.raises(aiohttp.ClientHttpProxyError) as refused:
            await HttpClient().request("GET", "https://192.0.2.1/x", timeout=5)
    authorization = aiohttp.encode_basic_auth("me", "p@ss")
    assert requests == [("GET", f"{ELSEWHERE}/x", authorization), ("CONNECT", "192.0.2.1:443", authorization)]
    assert all("p@ss" not in text and "p%40ss" not in text for text in (str(refused.value), repr(refused.value)))


@pytest.mark.parametrize("given", ["http://me:hunter2@[oops", "ftp://me:hunter2@127.0.0.1:1", "http://me:hunter2@"])
async def test_an_invalid_proxy_url_does_not_reveal_its_password(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable and not the value. It has no cause that could contain the value."""
    monkeypatch.setenv("HTTP_PROXY", given)
    with pytest.raises(ProxyUnusable, match="HTTP_PROXY") as fault:
        await HttpClient().request("GET", ELSEWHERE, timeout=5)
    assert fault.value.__cause__ is None
    assert "hunter2" not in str(fault.value)


async def test_an_unreachable_proxy_does_not_reveal_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error contains only the address of the proxy."""
    monkeypatch.setenv("HTTP_PROXY", "http://me:hunter2@127.0.0.1:1")
    with pytest.raises(aiohttp.ClientProxyConnectionError) as fault:
        await HttpClient().request("GET", ELSEWHERE, timeout=5)
    assert "hunter2" not in f"{fault.value} {fault.value!r}"


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("", "127.0.0.1", True),
        ("", "192.0.2.1", False),
        ("*", "192.0.2.1", True),
        ("10.0.0.0/8, 192.0.2.0/24", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.2", "192.0.2.1", False),
        ("example", "dash.example", True),
        (".EXAMPLE", "dash.example", True),
        ("*.example", "dash.example", True),
        ("dash.example:80", "dash.example", True),
        ("dash.example:81", "dash.example", False),
        ("ash.example", "dash.example", False),
        ("dash.example", "dash.example", True),
        (".dash.example", "dash.example", False),
        ("*.dash.example", "dash.example", False),
        (".dash.example:80", "a.dash.example", True),
    ],
)
async def test_obeys_no_proxy(no_proxy: str, host: str, direct: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY may hold names, domains, addresses, networks and ports, as in docker. Loopback never uses one."""
    asked = asyncio.Event()

    async def proxy(_request: web.BaseRequest) -> web.Response:
        asked.set()
        return web.Response(status=204)

    async with server(proxy) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", no_proxy)
        try:
            await HttpClient().request("GET", f"http://{host}/", timeout=0.3)
        except (aiohttp.ClientError, TimeoutError):
            assert direct
        assert asked.is_set() is not direct


async def test_names_the_variable_whose_proxy_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Go and therefore in docker, capital letters come first, and an empty variable counts as not set."""

    async def used() -> str:
        with pytest.raises(aiohttp.ClientProxyConnectionError) as fault:
            await HttpClient().request("GET", ELSEWHERE, timeout=5)
        (note,) = fault.value.__notes__
        return f"{fault.value.port}: {note}"

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert await used() == "1: the proxy is set in http_proxy"
    monkeypatch.setenv("HTTP_PROXY", "")
    assert await used() == "1: the proxy is set in http_proxy"
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:2")
    assert await used() == "2: the proxy is set in HTTP_PROXY (http_proxy differs and is not used)"
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:2")
    assert await used() == "2: the proxy is set in HTTP_PROXY"


async def test_an_unknown_authority_is_named() -> None:
    """So people recognize a proxy that intercepts TLS. The server that is not trusted gets no request."""
    requests: list[str] = []

    async def record(request: web.BaseRequest) -> web.Response:
        requests.append(request.path)
        return web.Response()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA(organization_name="Example Proxy").issue_cert("127.0.0.1").configure_cert(context)
    async with server(record, context) as port:
        url, login = f"https://127.0.0.1:{port}/v2/secret", {"Authorization": "Basic x"}
        with pytest.raises(aiohttp.ClientConnectorCertificateError) as caught:
            await HttpClient().request("POST", url, headers=login, body=b"secret", timeout=5)
    assert caught.value.__notes__ == ["the certificate is issued by Example Proxy"]
    assert requests == []
