"""Tests of fetching secrets from a URL, with real servers."""

import asyncio
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from agent.edge import secret_url
from agent.edge.http import HttpClient
from agent.edge.secret_url import SecretUrl, without_secrets
from agent.model.problems.environment import SecretsUnavailable
from tests.problems import raises_problem

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
ONE = {"name": "one", "hostname": "ghcr.io", "username": "bot", "password": "hunter2-hunter2"}


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
            monkeypatch.delenv(name)


@asynccontextmanager
async def server(answer: Answer, tls: ssl.SSLContext | None = None, unix: Path | None = None) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0.1)
    await runner.setup()
    site = web.UnixSite(runner, unix) if unix else web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    scheme = "https" if tls else "http"
    yield f"unix:{unix}" if unix else f"{scheme}://localhost:{runner.addresses[0][1]}/secrets?team=1"
    await runner.cleanup()


def replying(body: str | bytes, status: int = 200, **headers: str) -> Answer:
    async def answer(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    return answer


async def fault(url: str, token_file: Path | None = None) -> SecretsUnavailable:
    with raises_problem(SecretsUnavailable) as caught:
        await SecretUrl(HttpClient()).fetch(url, token_file, None)
    return caught.value


async def test_fetches_all_secrets_and_notices_no_change(tmp_path: Path) -> None:
    """The bearer token is the content of the file. After an answer with an ETag, the request is conditional."""
    asked: list[tuple[str, str | None, str | None]] = []

    async def answer(request: web.BaseRequest) -> web.Response:
        headers = request.headers
        asked.append((request.path_qs, headers.get("Authorization"), headers.get("If-None-Match")))
        if headers.get("If-None-Match") == '"7"':
            return web.Response(status=304)
        return web.Response(text=json.dumps({"secrets": [ONE, {"name": "bad"}]}), headers={"ETag": '"7"'})

    token_file = tmp_path / "token"
    token_file.write_text("s3cret\n")
    async with server(answer) as url:
        first = await SecretUrl(HttpClient()).fetch(url, token_file, None)
        second = await SecretUrl(HttpClient()).fetch(url, token_file, first.etag)
    assert first.parsed is not None
    source = url.removesuffix("?team=1")
    assert [secret.subject for secret in first.parsed.secrets] == [f"{source}#one"]
    assert [problem.subject for problem in first.parsed.problems] == [f"{source}#bad"]
    assert (first.etag, second.parsed, second.etag) == ('"7"', None, '"7"')
    assert asked == [("/secrets?team=1", "Bearer s3cret", etag) for etag in (None, '"7"')]


async def test_requests_v1_secrets_on_a_unix_socket(tmp_path: Path) -> None:
    """Without a token file, the request has no Authorization header."""

    async def answer(request: web.BaseRequest) -> web.Response:
        right = request.path_qs == "/v1/secrets" and "Authorization" not in request.headers
        return web.json_response({"secrets": [ONE]}, status=200 if right else 500)

    async with server(answer, unix=tmp_path / "s.sock") as url:
        parsed = (await SecretUrl(HttpClient()).fetch(url, None, None)).parsed
    assert parsed is not None
    assert [secret.subject for secret in parsed.secrets] == [f"{url}#one"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            replying("", 302, Location="http://localhost:1/"),
            "answered with a redirect (status 302), and redirects are not followed",
        ),
        (replying("", 401), "rejected the token in secrets.token_file (status 401)"),
        (replying("", 403), "rejected the token in secrets.token_file (status 403)"),
        (replying("", 404), "answered with status 404"),
        (replying("", 304), "answered with status 304"),
        (replying("hunter2", 503), "answered with status 503"),
        (replying("<html>hunter2"), "is not JSON (line 1, column 1)"),
        (replying(""), "is empty"),
        (replying(b"\xff"), "not UTF-8"),
        (replying("[]"), 'not of the form {"secrets": [...]}'),
        (replying('{"secrets": {"a": "hunter2"}}'), 'not of the form {"secrets": [...]}'),
        (replying(b" " * (4 * 1024 * 1024 + 1)), "its answer is longer than 4194304 bytes"),
    ],
)
async def test_reports_an_unusable_answer(answer: Answer, words: str) -> None:
    """The subject is the URL without its query. The message does not quote the answer."""
    async with server(answer) as url:
        problem = await fault(url)
    assert words in problem.message
    assert "hunter2" not in problem.message
    assert problem.subject == url.removesuffix("?team=1")
    assert "team=1" not in problem.message


async def test_reports_an_unreachable_server(tmp_path: Path) -> None:
    """A name that does not resolve, a closed port, and a socket that does not exist."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert "does not resolve" in (await fault("https://secrets.invalid/")).message
    assert "connection refused" in (await fault(f"http://127.0.0.1:{port}/")).message
    gone = (await fault(f"unix:{tmp_path}/s.sock")).message
    assert gone == f"unix:{tmp_path}/s.sock gives no secrets: no such file or directory"


async def test_reports_a_closed_connection() -> None:
    """The server closes the connection without an answer."""
    server_ = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server_:
        port = server_.sockets[0].getsockname()[1]
        problem = await fault(f"http://127.0.0.1:{port}/")
    assert "closed the connection without an answer" in problem.message


async def test_reports_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the proxy and its status or the system error, and not its password."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:hunter2@127.0.0.1:{port}")
        refused = (await fault("https://secrets.example/")).message
    gone = (await fault("https://secrets.example/")).message
    assert "the proxy answered with status 407; the proxy is set in HTTPS_PROXY" in refused
    assert f"the proxy 127.0.0.1:{port} cannot be reached: connection refused" in gone
    assert "hunter2" not in refused + gone


async def test_a_silent_server_ends_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is ten seconds, shortened here."""
    monkeypatch.setattr(secret_url, "_DEADLINE_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        problem = await fault(f"http://127.0.0.1:{silent.getsockname()[1]}/")
    assert "no answer within 0.1 s" in problem.message


async def test_reports_an_untrusted_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With the right CA, the same server answers. A server without TLS is reported too."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    async with server(replying(json.dumps({"secrets": [ONE]})), tls=context) as url:
        assert "no TLS connection: certificate verify failed: unable to get local issuer" in (await fault(url)).message
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert (await SecretUrl(HttpClient()).fetch(url, None, None)).parsed is not None
    async with server(replying("")) as plain:
        assert "TLS" in (await fault(plain.replace("http:", "https:"))).message


async def test_reports_a_bad_token_file_before_any_request(tmp_path: Path) -> None:
    """The agent never sends a request without its token."""
    problem = await fault("http://127.0.0.1:1/", tmp_path / "token")
    assert str(tmp_path / "token") in problem.message
    assert "secrets.token_file" in problem.hint


@pytest.mark.parametrize(
    "user", ["", "bob:hunter2@", "bob:2026/hunter2@", "bob:/hunter2@", "bob:a?b#hunter2@", "a/b@c@"]
)
def test_shows_a_url_without_its_secrets(user: str) -> None:
    """User name, query and fragment are removed, also if the password is not percent-encoded."""
    assert without_secrets(f"https://{user}h.example:8/a?sig=hunter2#hunter2") == "https://h.example:8/a"


@pytest.mark.parametrize("host", ["secrets.example", "localhost", "127.0.0.1", "[::1]", "a-b.c_d.example"])
@pytest.mark.parametrize("rest", ["/v1/@team/registries", ":8443/v1/@team", "?user=ada@corp", "/v1?by=ada@corp#@x"])
def test_an_at_sign_in_the_path_does_not_hide_the_host(host: str, rest: str) -> None:
    """The host is the source that a warning must name. What follows could still be a password, so it is hidden."""
    assert without_secrets(f"https://{host}{rest}") == f"https://{host}/…"
    assert without_secrets(f"https://ada.corp:hunter2@{host}/v1") == f"https://{host}/v1"
    assert without_secrets("https://ada.corp:a/hunter2@h.example/v1") == "https://h.example/v1"


def test_shows_the_path_of_a_socket_as_it_is() -> None:
    """It has no user name, even if it contains `@`."""
    assert without_secrets("unix:/run/s@1.sock") == "unix:/run/s@1.sock"
