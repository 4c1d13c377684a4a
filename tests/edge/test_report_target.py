"""Tests of one status push, and of how its failures are reported."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from agent.edge.http import HttpClient
from agent.edge.report_target import ReportTarget
from agent.model.problems.stored_login import ReportFailed
from tests.problems import raises_problem


@dataclass
class Dashboard:
    """Answers each push with `status`, or never if it is None."""

    status: int | None = 204
    received: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)
    port: int = 0

    async def answer(self, request: web.BaseRequest) -> web.Response:
        token = request.headers.get("Authorization")
        self.received.append((request.method, request.path_qs, token, await request.read()))
        if self.status is None:
            await asyncio.Event().wait()
        return web.Response(status=self.status or 0, headers={"Location": "/elsewhere"})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"


@asynccontextmanager
async def dashboard(status: int | None = 204) -> AsyncIterator[Dashboard]:
    board = Dashboard(status)
    runner = web.ServerRunner(web.Server(board.answer), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    board.port = runner.addresses[0][1]
    yield board
    await runner.cleanup()


def target() -> ReportTarget:
    return ReportTarget(HttpClient(), timeout_s=0.3)


async def test_sends_the_document_with_the_token(tmp_path: Path) -> None:
    """It is a POST with the token of the file as bearer token. Any 2xx is success."""
    (tmp_path / "token").write_text("s3cret\n")
    for status in (200, 202, 204):
        async with dashboard(status) as board:
            await target().send(f"{board.url}?key=1", tmp_path / "token", b"{}")
            assert board.received == [("POST", "/in?key=1", "Bearer s3cret", b"{}")]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (503, "503 Service Unavailable"),
        (401, "401 Unauthorized"),
        (302, "302, and redirects are not"),
        (None, "no answer within 0.3 s"),
    ],
)
async def test_anything_but_2xx_is_a_failure(status: int | None, words: str) -> None:
    """The message shows the answer. A redirect is not followed, and the push is not repeated."""
    async with dashboard(status) as board:
        with raises_problem(ReportFailed, match=words):
            await target().send(board.url, None, b"{}")
        assert len(board.received) == 1


async def test_reports_why_a_target_is_unreachable() -> None:
    """A refused connection, and a name that does not resolve."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with raises_problem(ReportFailed, match="connection refused"):
        await target().send(f"http://127.0.0.1:{port}/", None, b"{}")
    with raises_problem(ReportFailed, match="does not resolve"):
        await ReportTarget(HttpClient()).send("https://no-such-host.invalid/", None, b"{}")


async def test_never_shows_a_secret_of_the_url() -> None:
    """Subject and message contain neither the user name nor the query."""
    async with dashboard(500) as board:
        url = f"http://me:hunter2@127.0.0.1:{board.port}/in?key=hunter3"
        with raises_problem(ReportFailed) as failed:
            await target().send(url, None, b"{}")
        assert failed.value.subject == board.url
        assert "hunter" not in failed.value.message


async def test_never_sends_a_token_in_plain_text(tmp_path: Path) -> None:
    """Plain http to another machine fails before anything is sent. So does a token that cannot be read."""
    (tmp_path / "token").write_text("s3cret\n")
    with raises_problem(ReportFailed, match="not sent over plain http"):
        await target().send("http://192.0.2.1/in", tmp_path / "token", b"{}")
    async with dashboard() as board:
        with raises_problem(ReportFailed, match=r"token file .*missing cannot be read"):
            await target().send(board.url, tmp_path / "missing", b"{}")
        assert board.received == []
