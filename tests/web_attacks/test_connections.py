"""Which connection is dropped when all places are taken, and which because its client never reads."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from agent.web import server
from agent.web.connections import ConnectionLimiter
from tests.rig.waiting import PATIENCE_S
from tests.web.serving import Serving, serving

PLACES = 32
STREAM = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
ASK = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
HELD = b"GET /v1/status?since=0&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n"
STATUS = b"GET /v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n"
LOGS = b"GET /v1/logs HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def _few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ConnectionLimiter", lambda: ConnectionLimiter(PLACES, patience_s=0.3))


@pytest.fixture
async def connections() -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Collect connections, and close them at the end."""
    opened: list[asyncio.StreamWriter] = []
    yield opened
    for writer in opened:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def enter(rig: Serving, connections: list[asyncio.StreamWriter], data: bytes) -> asyncio.StreamReader:
    reader, writer = await asyncio.open_unix_connection(str(rig.socket))
    connections.append(writer)
    writer.write(data)
    return reader


async def receives(reader: asyncio.StreamReader, what: bytes) -> bool:
    """Return whether `what` arrives before the end of the connection."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await reader.readuntil(what)
    except (asyncio.IncompleteReadError, ConnectionError):
        return False
    return True


async def test_idle_connections_give_way_to_new_ones(connections: list[asyncio.StreamWriter]) -> None:
    """An event stream keeps its place among many idle connections. Of the idle ones, the newest stay."""
    async with serving() as rig:
        stream = await enter(rig, connections, STREAM)
        assert await receives(stream, b"event: status")
        silent = [await enter(rig, connections, b"") for _ in range(5 * PLACES)]
        assert await receives(await enter(rig, connections, ASK), b'{"live": true}')
        assert not await receives(silent[0], b"x")
        connections[-2].write(ASK)
        assert await receives(silent[-1], b'{"live": true}')
        rig.log_in("quay.io")
        assert await receives(stream, b"quay.io")


@pytest.mark.parametrize("asked", [STREAM, HELD], ids=["streams", "held answers"])
async def test_waiting_requests_leave_room_for_new_ones(connections: list[asyncio.StreamWriter], asked: bytes) -> None:
    """Of the requests that wait, the oldest are dropped, and a new request is answered."""
    async with serving() as rig:
        waiting = [await enter(rig, connections, asked) for _ in range(5 * PLACES)]
        assert await receives(await enter(rig, connections, ASK), b'{"live": true}')
        rig.log_in("quay.io")
        assert await receives(waiting[-1], b"quay.io")
        assert not await receives(waiting[0], b"quay.io")


async def test_event_streams_outrank_idle_connections(connections: list[asyncio.StreamWriter]) -> None:
    """Streams may hold seven eighths of the places, and keep them among many idle connections."""
    async with serving() as rig:
        streams = []
        for _ in range(PLACES * 7 // 8):
            streams.append(await enter(rig, connections, STREAM))
            assert await receives(streams[-1], b"event: status")
        silent = [await enter(rig, connections, b"") for _ in range(5 * PLACES)]
        assert await receives(await enter(rig, connections, ASK), b'{"live": true}')
        assert not await receives(silent[0], b"x")
        rig.log_in("quay.io")
        assert [await receives(stream, b"quay.io") for stream in streams] == [True] * len(streams)


@pytest.mark.parametrize("asked", [LOGS, STATUS], ids=["logs", "the status"])
async def test_a_client_that_never_reads_is_dropped(connections: list[asyncio.StreamWriter], asked: bytes) -> None:
    """Its unread answer is not kept, and the answers to its further requests are not made."""
    async with serving() as rig:
        await enter(rig, connections, asked * 1000)
        writer = connections[-1]
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # its transport is a full one
        async with asyncio.timeout(PATIENCE_S):
            while not writer.transport.is_closing():
                writer.write(b"GET")
                await asyncio.sleep(0.02)


@pytest.mark.parametrize("before", [b"", STREAM], ids=["at first", "behind a request"])
async def test_headers_are_limited_in_total(connections: list[asyncio.StreamWriter], before: bytes) -> None:
    """However many headers there are and however long each is, more than 128 KiB of them drop the connection."""
    async with serving() as rig:
        reader = await enter(rig, connections, before)
        header = b"X: %b\r\n" % (b"x" * 8000)
        connections[-1].write(b"GET /livez HTTP/1.1\r\n" + header * 60)
        assert not await receives(reader, b"never")
