"""Where the status is served."""

import asyncio
import contextlib
import socket
import stat
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from agent.settings import StatusSettings
from agent.web.sockets import bind_unix
from tests.rig.waiting import PATIENCE_S
from tests.web.serving import Serving, serving, until


def codes(rig: Serving) -> list[tuple[str, str]]:
    return [warning.key for warning in rig.board.snapshot.warnings]


async def test_the_socket_is_for_its_group() -> None:
    """Mode 0660, and gone after the end."""
    async with serving() as rig:
        assert stat.S_IMODE(rig.socket.stat().st_mode) == 0o660
        assert [fields["address"] for _, event, fields in rig.log.events if event == "status.listening"] == [
            f"unix:{rig.socket}",
            f"127.0.0.1:{rig.port}",
        ]
        path = rig.socket
    assert not path.exists()


def test_who_sees_the_socket_file_gets_through(tmp_path: Path) -> None:
    """From its first moment: a script may wait for the file, and another agent must not take it for a dead one's."""
    with closing(bind_unix(tmp_path / "agent.sock")), closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(tmp_path / "agent.sock"))


@pytest.mark.parametrize("path", ["/livez", "/v1/status"])
async def test_who_says_no_more_still_gets_an_answer(path: str) -> None:
    """As with `socat` and `nc -N`, which end their side behind the request; and then the connection is closed."""
    async with serving() as rig:
        reader, writer = await asyncio.open_unix_connection(rig.socket)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"}")
        writer.close()


@pytest.mark.parametrize("turns", range(5))
async def test_who_comes_as_the_server_ends_is_not_left_waiting(turns: int) -> None:
    """However far its connection has got."""
    async with serving() as rig:
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.connect(str(rig.socket))
            for _ in range(turns):
                await asyncio.sleep(0)
            await rig.server.close()
            client.setblocking(False)  # what is still open would now be waited for
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""


async def test_a_dead_agents_socket_is_replaced() -> None:
    """What a kill -9 left behind is in nobody's way."""
    with tempfile.TemporaryDirectory(prefix="ra-") as directory:
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(f"{directory}/agent.sock")
        dead.close()
        async with serving(directory=Path(directory)) as rig, rig.on_socket() as unix:
            assert (await unix.get("/livez")).status == 200


async def test_a_living_agents_socket_is_left_alone() -> None:
    """A second agent says so, serves TCP, and takes the socket over once the first has gone."""
    async with serving() as first, serving(directory=first.directory) as second:
        assert codes(second) == [("status_listen_failed", str(first.socket))]
        async with first.on_socket() as unix, second.on_tcp() as tcp:
            assert (await unix.get("/livez")).status == (await tcp.get("/livez")).status == 200
        await first.server.close()
        retries = asyncio.create_task(second.server.run())
        await second.clock.advance(31)
        await until(lambda: not codes(second))
        async with second.on_socket() as unix:
            assert (await unix.get("/livez")).status == 200
        retries.cancel()


async def test_what_is_not_a_socket_is_not_deleted(tmp_path: Path) -> None:
    """Something else in the way stays; TCP goes on."""
    (tmp_path / "agent.sock").write_text("mine")
    async with serving(directory=tmp_path) as rig, rig.on_tcp() as tcp:
        assert (await tcp.get("/livez")).status == 200
        assert codes(rig) == [("status_listen_failed", str(rig.socket))]
    assert (tmp_path / "agent.sock").read_text() == "mine"


async def test_a_taken_port_is_reported_once_and_tried_again() -> None:
    """The socket goes on meanwhile; the warning goes when the port is free."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with serving(StatusSettings(listen=f"127.0.0.1:{port}")) as rig, rig.on_socket() as unix:
            assert codes(rig) == [("status_listen_failed", "status.listen")]
            assert (await unix.get("/livez")).status == 200
            retries = asyncio.create_task(rig.server.run())
            await rig.clock.advance(65)
            assert rig.board.snapshot.warnings[0].count == 1
            taken.close()
            await rig.clock.advance(30)
            await until(lambda: not codes(rig))
            assert rig.port == port
            retries.cancel()


@pytest.mark.parametrize("listen", ["no-such-host.invalid:0", "a..b:0", "192.0.2.1:0"])
async def test_an_address_that_is_not_here_is_reported(listen: str) -> None:
    """A name that does not resolve or cannot be one, an address of another machine: the socket goes on."""
    async with serving(StatusSettings(listen=listen)) as rig, rig.on_socket() as unix:
        assert codes(rig) == [("status_listen_failed", "status.listen")]
        assert (await unix.get("/livez")).status == 200


async def test_an_inherited_socket_is_used() -> None:
    """Systemd's socket serves, and its file is systemd's to remove."""
    with tempfile.TemporaryDirectory(prefix="ra-") as directory:
        given = socket.socket(socket.AF_UNIX)
        given.bind(f"{directory}/agent.sock")
        given.listen()
        rig = Serving(Path(directory), StatusSettings(listen=""), inherited=given)
        await rig.server.start()
        async with rig.on_socket() as unix:
            assert (await unix.get("/livez")).status == 200
        await rig.server.close()
        assert rig.socket.exists()


async def test_a_removed_socket_file_comes_back() -> None:
    """Somebody cleaned the runtime directory: within half a minute the commands find the agent again."""
    async with serving() as rig:
        rig.socket.unlink()
        retries = asyncio.create_task(rig.server.run())
        await rig.clock.advance(31)
        await until(lambda: rig.log.names().count("status.listening") == 3)
        retries.cancel()
        async with rig.on_socket() as unix:
            assert (await unix.get("/livez")).status == 200


async def test_rebind_follows_the_settings() -> None:
    """Off, and on again elsewhere, while the socket stays; localhost means each address that it has here."""
    async with serving() as rig, rig.on_socket() as unix:
        rig.status = StatusSettings(listen="")
        await rig.server.rebind()
        assert rig.server.tcp_addresses == []
        rig.status = StatusSettings(listen="localhost:0")
        await rig.server.rebind()
        async with rig.on_tcp() as tcp:
            assert (await tcp.get("/livez")).status == (await unix.get("/livez")).status == 200


async def test_ipv6_is_written_in_brackets() -> None:
    """[::1]:PORT listens on IPv6's loopback."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    async with serving(StatusSettings(listen="[::1]:0")) as rig:
        assert rig.server.tcp_addresses == [("::1", rig.port)]


async def test_the_end_does_not_wait_for_open_requests() -> None:
    """A held answer and a stream are cut after a moment's grace."""
    async with serving() as rig, rig.on_tcp() as tcp:
        held = asyncio.create_task(tcp.get("/v1/status?since=0&wait=60"))
        stream = await tcp.get("/v1/events")
        async with asyncio.timeout(30):
            await rig.server.close()
        stream.close()
        await asyncio.wait([held])
        assert held.exception() is not None


async def test_a_token_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """TCP then refuses everybody, and the status on the socket says why, until the file is there."""
    token = tmp_path / "token"
    async with serving(StatusSettings(listen="127.0.0.1:0", token_file=token)) as rig:
        assert codes(rig) == [("settings_invalid", "status.token_file")]
        token.write_text("secret-token\n")
        await rig.server.rebind()
        assert codes(rig) == []
