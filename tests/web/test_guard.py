"""Who may ask over TCP."""

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
async def test_names_that_are_ours_are_answered(host: str) -> None:
    """Loopback's own names and those of status.allow_hosts, with any port."""
    status = StatusSettings(listen=LISTEN, allow_hosts=("my.box", "*.dev.example"))
    async with serving(status) as rig, rig.on_tcp() as tcp:
        assert (await tcp.get("/v1/status", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "dev.example", "127.0.0.1.evil.example", "localhost@evil", "[::1", ""]
)
async def test_a_rebound_name_is_refused(host: str) -> None:
    """Another site's name that was pointed at loopback gets 403, which names the setting, and no data."""
    status = StatusSettings(listen=LISTEN, allow_hosts=("my.box", "*.dev.example"))
    async with serving(status) as rig:
        answer = await raw(rig, f"GET /v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert answer.split()[1] in (b"400", b"403")
        assert b"registries" not in answer
        if host == "evil.example":
            assert b"status.allow_hosts" in answer


async def test_two_host_headers_or_none_are_refused() -> None:
    """What names nobody, or two, cannot be checked."""
    async with serving() as rig:
        for hosts in ("", "Host: localhost\r\nHost: evil.example\r\n"):
            answer = await raw(rig, f"GET /v1/status HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n".encode())
            assert answer.split()[1] in (b"400", b"403")


async def test_probes_need_neither_name_nor_token() -> None:
    """/livez and /readyz answer whoever asks, by whatever name."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        assert (await tcp.get("/livez", headers={"Host": "10.0.0.7"})).status == 200
        assert (await tcp.get("/readyz", headers={"Host": "10.0.0.7"})).status == 503


async def test_a_configured_token_is_wanted_for_the_rest() -> None:
    """401 with a challenge without it and with a wrong one; with the right one any Host; the socket needs none."""
    async with serving() as rig, rig.on_tcp() as tcp, rig.on_socket() as unix:
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        for path in ("/v1/status", "/v1/events", "/v1/logs", "/metrics", "/openapi.json", "/nothing"):
            for headers in ({}, WRONG, {"Authorization": "Basic s3cret"}, {"Authorization": "Bearer"}):
                refused = await tcp.get(path, headers=headers)
                assert (refused.status, refused.headers["WWW-Authenticate"][:6]) == (401, "Bearer"), (path, headers)
        assert (await tcp.get("/v1/status", headers={**RIGHT, "Host": "anything.example"})).status == 200
        assert (await unix.get("/v1/status")).status == 200


async def test_a_changed_token_holds_at_once() -> None:
    """The file is read anew, so yesterday's token is worth nothing."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        assert (await tcp.get("/v1/status", headers=RIGHT)).status == 200
        rig.use_token("new")
        assert (await tcp.get("/v1/status", headers=RIGHT)).status == 401


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"a\nb"])
async def test_a_token_file_that_gives_none_opens_nothing(content: bytes | None, tmp_path: Path) -> None:
    """Missing, empty, or not a token: everything that needs it is refused, an empty Bearer too."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    async with serving(StatusSettings(listen=LISTEN, token_file=path)) as rig, rig.on_tcp() as tcp:
        for headers in ({}, RIGHT, {"Authorization": "Bearer "}):
            assert (await tcp.get("/v1/status", headers=headers)).status in (401, 503)
            assert (await tcp.post("/v1/renew", headers=headers)).status in (401, 503)
        assert rig.renewals.asked == []


async def test_renew_over_tcp_needs_a_configured_token() -> None:
    """None configured: 403; wrong: 401; right: 202."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.log_in()
        assert (await tcp.post("/v1/renew", headers=RIGHT)).status == 403
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        assert (await tcp.post("/v1/renew", headers=WRONG)).status == 401
        assert rig.renewals.asked == []
        assert (await tcp.post("/v1/renew", headers=RIGHT)).status == 202


async def test_what_nothing_takes_is_told_as_such() -> None:
    """A token would not help; where one is configured, it comes first."""
    async with serving() as rig, rig.on_tcp() as tcp:
        assert [(await tcp.post(path)).status for path in ("/v1/status", "/nope")] == [405, 404]
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        assert [(await tcp.post(path)).status for path in ("/v1/status", "/nope")] == [401, 401]


@pytest.mark.parametrize(("token", "status"), [(None, b"403"), ("s3cret", b"401")])
async def test_refused_before_the_body_is_read(token: str | None, status: bytes) -> None:
    """A body that never comes delays no refusal, and 100 Continue is not sent to whom it is refused."""
    async with serving() as rig:
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token(token) if token else None)
        head = b"POST /v1/renew HTTP/1.1\r\nHost: localhost\r\nContent-Length: 12000\r\n"
        for extra in (b"", b"Expect: 100-continue\r\n"):
            assert (await raw(rig, head + extra + b"\r\n")).startswith(b"HTTP/1.1 " + status)


async def test_continue_is_sent_to_whom_it_is_allowed() -> None:
    """With the right token a client that waits for 100 Continue gets it, and then its answer."""
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
    """An exact origin gets CORS headers, on refusals and streams too; another, or one that only looks alike, none."""
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


async def test_preflight_is_for_allowed_origins() -> None:
    """It lets the Authorization header through, and asks for no token, since browsers send none with it."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    async with serving() as rig, rig.on_tcp() as tcp:
        token_file = rig.use_token("s3cret")
        rig.status = StatusSettings(listen=LISTEN, allow_origins=("https://dash.example",), token_file=token_file)
        good = await tcp.options("/v1/renew", headers={"Origin": "https://dash.example", **asked})
        assert (good.status, good.headers["Access-Control-Allow-Origin"]) == (204, "https://dash.example")
        assert "Authorization" in good.headers["Access-Control-Allow-Headers"]
        bad = await tcp.options("/v1/renew", headers={"Origin": "https://evil.example", **asked})
        assert bad.status == 401
        assert "Access-Control-Allow-Origin" not in bad.headers


async def test_a_foreign_page_cannot_renew() -> None:
    """A simple POST from another origin is refused; with the right token whoever sent it was allowed to."""
    async with serving() as rig, rig.on_tcp() as tcp:
        rig.log_in()
        foreign = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
        assert (await tcp.post("/v1/renew", headers=foreign)).status == 403
        rig.status = StatusSettings(listen=LISTEN, token_file=rig.use_token("s3cret"))
        assert (await tcp.post("/v1/renew", headers=foreign)).status == 401
        assert rig.renewals.asked == []
        assert (await tcp.post("/v1/renew", headers={**foreign, **RIGHT})).status == 202
