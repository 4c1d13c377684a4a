"""Server-sent events."""

import asyncio
import json
from typing import Any

import aiohttp
from aiohttp import web

from agent.model.problems.registry import LoginRejected
from agent.model.status import Phase
from agent.web.events import EventStream
from tests.rig.waiting import PATIENCE_S
from tests.web.serving import Serving, serving


async def event(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """Read the next event, and return its fields with `data` as the document."""
    fields: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE_S):
        while (line := (await answer.content.readline()).decode().rstrip("\n")) or not fields:
            name, _, value = line.partition(": ")
            fields[name] = json.loads(value) if name == "data" else value
    return fields


async def test_sends_the_document_at_once_and_at_every_change() -> None:
    """Each event is a status with the revision as its id. A slow client gets only the newest change."""
    async with serving() as rig, rig.on_tcp() as tcp, tcp.get("/v1/events") as answer:
        assert answer.content_type == "text/event-stream"
        first = await event(answer)
        assert (first["event"], first["id"], first["data"]["revision"]) == ("status", "0", 0)
        for hostname in ("a.example", "b.example", "c.example"):
            rig.log_in(hostname)
        newest = await event(answer)
        assert (newest["id"], len(newest["data"]["registries"])) == ("3", 3)


async def test_the_stream_ends_when_the_agent_stops() -> None:
    """The last event has the phase `stopping`, then the stream ends."""
    async with serving() as rig, rig.on_socket() as unix, unix.get("/v1/events") as answer:
        await event(answer)
        rig.board.set_phase(Phase.STOPPING)
        assert (await event(answer))["data"]["phase"] == "stopping"
        async with asyncio.timeout(PATIENCE_S):
            assert await answer.content.read() == b""


async def own_stream(rig: Serving, stream: EventStream) -> tuple[web.AppRunner, int]:
    application = web.Application()
    application.router.add_get("/", stream.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    assert rig.board is not None
    return runner, runner.addresses[0][1]


async def test_a_quiet_stream_is_kept_alive() -> None:
    """Comments are sent while nothing changes, so that proxies do not close the stream."""
    async with serving() as rig:
        runner, port = await own_stream(rig, EventStream(rig.board, rig.document, comment_every_s=0.02))
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
            await event(answer)
            async with asyncio.timeout(PATIENCE_S):
                assert (await answer.content.readline()).startswith(b":")
        await runner.cleanup()


async def test_a_client_that_never_reads_is_dropped_and_delays_no_other() -> None:
    """Its own stream ends after the timeout. Others get every change meanwhile."""
    async with serving() as rig:
        ended = asyncio.Event()

        class Watched(EventStream):
            async def answer(self, request: web.Request) -> web.StreamResponse:
                try:
                    return await super().answer(request)
                finally:
                    if request.query_string == "deaf":
                        ended.set()

        runner, port = await own_stream(rig, Watched(rig.board, rig.document, patience_s=0.2))
        _, deaf = await asyncio.open_connection("127.0.0.1", port, limit=1)
        deaf.write(b"GET /?deaf HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/") as answer:
            await event(answer)
            for number in range(400):
                rig.board.report("test", [LoginRejected("ghcr.io", "x" * 500)] * 1)
                rig.log_in(f"{'x' * 60}.{number}.example")
                await event(answer)
                if ended.is_set():
                    break
            async with asyncio.timeout(PATIENCE_S):
                await ended.wait()
        deaf.close()
        await runner.cleanup()
