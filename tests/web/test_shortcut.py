"""Only the plain status request takes the fast path around the framework."""

import asyncio
import re

import pytest

from agent.settings import StatusSettings
from agent.web.shortcut import Shortcut
from tests.web.serving import Serving, raw, serving

PLAIN = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
LISTEN = "127.0.0.1:0"


class Passed:
    """Counts the requests that took the normal path, through the framework."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        made = Shortcut.__init__

        def watched(shortcut: Shortcut, *args: object) -> None:
            *before, ordinary = args

            async def counted(request: object) -> object:
                self.number += 1
                return await ordinary(request)  # type: ignore[operator]  # it is the last of its arguments

            made(shortcut, *before, counted)  # type: ignore[call-arg, arg-type]  # they are its own

        monkeypatch.setattr(Shortcut, "__init__", watched)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> Passed:
    return Passed(monkeypatch)


async def answered(rig: Serving, request: bytes) -> bytes:
    """Return the answer without the time in its `Date` header."""
    return re.sub(rb"Date: [^\r]+", b"Date:", await raw(rig, request))


async def test_both_paths_answer_the_same_bytes(passed: Passed) -> None:
    """This includes the status line, the order of the headers, and the document."""
    async with serving() as rig:
        rig.log_in("bücher.example")
        plain = await answered(rig, PLAIN)
        assert passed.number == 0
        ordinary = await answered(rig, PLAIN.replace(b"/status", b"/status?"))
        assert passed.number == 1
        assert plain == ordinary
        assert plain.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    ("request_", "first"),
    [
        (PLAIN.replace(b"GET", b"HEAD"), b"200"),
        (PLAIN.replace(b"GET", b"POST"), b"405"),
        (PLAIN.replace(b"1.1", b"1.0"), b"200"),
        (PLAIN.replace(b"status", b"status?since=9&wait=1"), b"200"),
        (PLAIN.replace(b"\r\n\r\n", b'\r\nIf-None-Match: W/"start-0"\r\n\r\n'), b"304"),
        (PLAIN.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"), b"100"),
        (PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), b"200"),
        (PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n{}"), b"200"),
        (PLAIN.replace(b"localhost", b"evil.example"), b"403"),
        (PLAIN.replace(b"\r\n\r\n", b"\r\nHost: evil.example\r\n\r\n"), b"400"),
    ],
    ids=lambda value: value.decode() if len(value) == 3 else "",
)
async def test_other_requests_take_the_normal_path(passed: Passed, request_: bytes, first: bytes) -> None:
    """Also directly after a plain request with the same host name, which the guard remembers as allowed."""
    async with serving() as rig:
        assert (await raw(rig, PLAIN)).startswith(b"HTTP/1.1 200")
        answer = await raw(rig, request_)
        assert answer.split()[1] == first, answer
        assert passed.number == (0 if first == b"400" else 1)  # a request with two Host headers is rejected before


@pytest.mark.parametrize("status", ["token", "origins"])
async def test_requests_that_the_guard_must_check_take_the_normal_path(passed: Passed, status: str) -> None:
    """If a token or origins are configured while a connection is open, its next request is not plain."""
    async with serving() as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
        writer.write(PLAIN)
        assert (await reader.readuntil(b"\r\n")).split()[1] == b"200"
        token = {"token_file": rig.use_token("s3cret")}
        rig.status = StatusSettings(
            listen=LISTEN, **(token if status == "token" else {"allow_origins": ("https://a.example",)})
        )
        answer = await raw(rig, PLAIN)
        assert answer.split()[1] == (b"401" if status == "token" else b"200")
        assert b"WWW-Authenticate" in answer or b"Vary: Origin" in answer
        assert passed.number == 1
        writer.close()


async def test_a_host_name_removed_from_the_settings_is_refused_at_once() -> None:
    """The guard's memory of an allowed `Host` is valid only for the settings that allowed it."""
    async with serving(StatusSettings(listen=LISTEN, allow_hosts=("my.box",))) as rig:
        named = PLAIN.replace(b"localhost", b"my.box")
        assert (await raw(rig, named)).split()[1] == b"200"
        rig.status = StatusSettings(listen=LISTEN)
        assert (await raw(rig, named)).split()[1] == b"403"
