"""Access control over TCP."""

from pathlib import Path

import pytest

from agent.settings import StatusSettings
from tests.web.serving import raw, serving

LISTEN = "127.0.0.1:0"
RIGHT = {"Authorization": "Bearer s3cret"}
WRONG = {"Authorization": "Bearer guess"}


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9:1", "localhost:8719", "LOCALHOST.", "[::1]:80", "my.box", "8719-x.dev.example:443"]
)
async def test_answers_requests_for_allowed_hosts(host: str) -> None:
    """Names of the loopback address and those in status.allow_hosts are allowed, with any port."""
    status = StatusSettings(listen=LISTEN, allow_hosts=("my.box", "*.dev.example"))
    async with serving(status) as rig, rig.on_tcp() as tcp:
        assert (await tcp.get("/v1/status", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "dev.example", "127.0.0.1.evil.example", "localhost@evil", "[::1", ""]
)
async def test_a_rebound_name_is_refused(host: str) -> None:
    """Another site's name that resolves to loopback gets 403 and no data. The error names the setting."""
    status = StatusSettings(listen=LISTEN, allow_hosts=("my.box", "*.dev.example"))
    async with serving(status) as rig:
        answer = await raw(rig, f"GET /v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert answer.split()[1] in (b"400", b"403")
        assert b"registries" not in answer
        if host == "evil.example":
            assert b"status.allow_hosts" in answer


async def test_two_host_headers_or_none_are_refused() -> None:
    """Such a request cannot be checked."""
    async with serving() as rig:
        for hosts in ("", "Host: localhost\r\nHost: evil.example\r\n"):
            answer = await raw(rig, f"GET /v1/status HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
            assert answer.split()[1] in (b"400", b"403")


async def test_probes_need_neither_name_nor_token() -> None:
    """/livez and /readyz answer every client, with any Host header."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        assert (await tcp.get("/livez", headers={"Host": "10.0.0.7"})).status == 200
        assert (await tcp.get("/readyz", headers={"Host": "10.0.0.7"})).status == 503


async def test_all_other_paths_require_a_configured_token() -> None:
    """No token or a wrong one gets 401 with a challenge. The right one allows any Host. The socket needs none."""
    async with serving() as rig, rig.on_tcp() as tcp, rig.on_socket() as unix:
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        for path in ("/v1/status", "/v1/events", "/v1/logs", "/metrics", "/openapi.json", "/nothing"):
            for headers in ({}, WRONG, {"Authorization": "Basic s3cret"}, {"Authorization": "Bearer"}):
                refused = await tcp.get(path, headers=headers)
                assert (refused.status, refused.headers["WWW-Authenticate"][:6]) == (401, "Bearer"), (path, headers)
        assert (await tcp.get("/v1/status", headers={**RIGHT, "Host": "anything.example"})).status == 200
        assert (await unix.get("/v1/status")).status == 200


async def test_a_changed_token_applies_at_once() -> None:
    """The file is read for each request, so the old token no longer works."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        assert (await tcp.get("/v1/status", headers=RIGHT)).status == 200
        rig.use_token("new")
        assert (await tcp.get("/v1/status", headers=RIGHT)).status == 401


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"a\nb"])
async def test_an_unusable_token_file_allows_nothing(content: bytes | None, tmp_path: Path) -> None:
    """If it is missing, empty or no token, every request that needs the token is refused, also an empty Bearer."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    async with serving(StatusSettings(listen=LISTEN, token_file=path)) as rig, rig.on_tcp() as tcp:
        for headers in ({}, RIGHT, {"Authorization": "Bearer "}):
            assert (await tcp.get("/v1/status", headers=headers)).status in (401, 503)
            assert (await tcp.post("/v1/renew", headers=headers)).status in (401, 503)
        assert rig.renewals.asked == []


async def test_renew_over_tcp_needs_a_configured_token() -> None:
    """Without a configured token it is 403, with a wrong one 401, with the right one 202."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.log_in()
        assert (await tcp.post("/v1/renew", headers=RIGHT)).status == 403
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        assert (await tcp.post("/v1/renew", headers=WRONG)).status == 401
        assert rig.renewals.asked == []
        assert (await tcp.post("/v1/renew", headers=RIGHT)).status == 202


async def test_an_unknown_path_is_404_even_without_a_token() -> None:
    """A token would not help there. If one is configured, it is checked first."""
    async with serving() as rig, rig.on_tcp() as tcp:
        assert [(await tcp.post(path)).status for path in ("/v1/status", "/nope")] == [405, 404]
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        assert [(await tcp.post(path)).status for path in ("/v1/status", "/nope")] == [401, 401]


@pytest.mark.parametrize(("token", "status"), [(None, b"403"), ("s3cret", b"401")])
async def test_refused_before_the_body_is_read(token: str | None, status: bytes) -> None:
    """A body that never arrives does not delay the refusal, and a refused client gets no 100 Continue."""
    async with serving() as rig:
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token(token) if token else None)
        head = b"POST /v1/renew HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12000\r\n"
        for extra in (b"", b"Expect: 100-continue\r\n"):
            assert (await raw(rig, head + extra + b"\r\n")).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize("expect", ["secret-tok", "100-continue, secret-tok", "a\xffb"])
async def test_an_unknown_expectation_is_neither_quoted_nor_a_way_around_the_guard(expect: str) -> None:
    """Without a route, aiohttp answers this header before any check, so the answer must not depend on anything."""
    async with serving() as rig:
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        for target, statuses in (
            ("GET /v1/status", [b"403"]),
            ("POST /v1/renew", [b"403"]),
            ("GET /nope", [b"417", b"400"]),
        ):
            head = f"{target} HTTP/1.1\r\nHost: evil.example\r\nExpect: {expect}\r\nConnection: close\r\n\r\n"
            answer = await raw(rig, head.encode("latin-1"))
            assert answer.split()[1] in statuses, answer
            assert b"secret-tok" not in answer
            assert b'{"error": {"code"' in answer


async def test_an_allowed_client_gets_100_continue() -> None:
    """With the right token, a client that waits for 100 Continue gets it, and then its answer."""
    async with serving() as rig:
        rig.log_in()
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        answer = await raw(
            rig,
            b"POST /v1/renew HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer s3cret\r\n"
            b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        )
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202")


async def test_pages_of_allowed_origins_may_read() -> None:
    """An exact origin gets CORS headers, on errors and streams, too. Any other origin, even a similar one, does not."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.status = StatusSettings(listen=LISTEN, allow_origins=("https://dash.example",))
        for path in ("/v1/status", "/v1/events", "/nothing"):
            answer = await tcp.get(path, headers={"Origin": "https://dash.example"})
            assert answer.headers["Access-Control-Allow-Origin"] == "https://dash.example"
            assert answer.headers["Vary"] == "Origin"
            answer.close()
        for origin in ("https://dash.example.evil.example", "http://dash.example", "null"):
            answer = await tcp.get("/v1/status", headers={"Origin": origin})
            assert "Access-Control-Allow-Origin" not in answer.headers
            assert answer.headers["Vary"] == "Origin"


async def test_answers_preflight_requests_of_allowed_origins() -> None:
    """It allows the Authorization header, on every path, and needs no token: browsers send none with a preflight."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with serving() as rig, rig.on_tcp() as tcp:
        token_file = rig.use_token("s3cret")
        rig.status = StatusSettings(listen=LISTEN, allow_origins=("https://dash.example",), token_file=token_file)
        for path in ("/v1/renew", "/livez", "/readyz", "/"):
            good = await tcp.options(path, headers={"Origin": "https://dash.example", **asked})
            assert (good.status, good.headers["Access-Control-Allow-Origin"]) == (204, "https://dash.example")
            assert "Authorization" in good.headers["Access-Control-Allow-Headers"]
        bad = await tcp.options("/v1/renew", headers={"Origin": "https://evil.example", **asked})
        assert bad.status == 401
        assert "Access-Control-Allow-Origin" not in bad.headers


async def test_a_page_of_another_origin_cannot_renew() -> None:
    """A simple POST from another origin is refused, unless it has the right token."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.log_in()
        foreign = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
        assert (await tcp.post("/v1/renew", headers=foreign)).status == 403
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        assert (await tcp.post("/v1/renew", headers=foreign)).status == 401
        assert rig.renewals.asked == []
        assert (await tcp.post("/v1/renew", headers={**foreign, **RIGHT})).status == 202
