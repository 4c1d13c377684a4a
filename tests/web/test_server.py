"""The sockets that serve the status: opening, retrying, rebinding and closing them."""

import asyncio
import contextlib
import socket
import stat
import tempfile
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from agent.model.problems.environment import StatusListenFailed
from agent.settings import StatusSettings
from agent.web.sockets import bind_unix
from tests.rig.waiting import PATIENCE_S, eventually
from tests.web.serving import Serving, serving


def codes(rig: Serving) -> list[tuple[str, str]]:
    return [warning.key for warning in rig.board.snapshot.warnings]


async def test_the_socket_is_accessible_to_its_group() -> None:
    """Its mode is 0660, and the file is removed at the end."""
    async with serving() as rig:
        assert stat.S_IMODE(rig.socket.stat().st_mode) == 0o660
        assert [fields["address"] for _, event, fields in rig.log.events if event == "status.listening"] == [
            f"unix:{rig.socket}",
            f"127.0.0.1:{rig.port}",
        ]
        path = rig.socket
    assert not path.exists()


def test_the_socket_accepts_connections_as_soon_as_its_file_exists(tmp_path: Path) -> None:
    """A script may wait for the file, and another agent must not take it for a stale one."""
    with closing(bind_unix(tmp_path / "agent.sock")), closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(tmp_path / "agent.sock"))


@pytest.mark.parametrize("path", ["/livez", "/v1/status"])
async def test_a_half_closed_connection_still_gets_its_answer(path: str) -> None:
    """`socat` and `nc -N` close their sending side after the request. The server then closes the connection."""
    async with serving() as rig:
        reader, writer = await asyncio.open_unix_connection(rig.socket)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b"}")
        writer.close()


@pytest.mark.parametrize("turns", range(5))
async def test_a_client_that_connects_during_shutdown_does_not_hang(turns: int) -> None:
    """This holds for every stage of its connection."""
    async with serving() as rig:
        with closing(socket.socket(socket.AF_UNIX)) as client:
            client.connect(str(rig.socket))
            for _ in range(turns):
                await asyncio.sleep(0)
            await rig.server.close()
            client.setblocking(False)  # a connection that is still open would block here
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""


async def test_a_dead_agents_socket_is_replaced() -> None:
    """A socket file that is left after `kill -9` does not prevent a start."""
    with tempfile.TemporaryDirectory(prefix="ra-") as directory:
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(f"{directory}/agent.sock")
        dead.close()
        async with serving(directory=Path(directory)) as rig, rig.on_socket() as unix:
            assert (await unix.get("/livez")).status == 200


async def test_a_running_agents_socket_is_not_replaced() -> None:
    """A second agent reports it, serves TCP, and takes over the socket when the first has ended."""
    async with serving() as first, serving(directory=first.directory) as second:
        assert codes(second) == [("status_listen_failed", str(first.socket))]
        async with first.on_socket() as unix, second.on_tcp() as tcp:
            assert (await unix.get("/livez")).status == (await tcp.get("/livez")).status == 200
        await first.server.close()
        retries = asyncio.create_task(second.server.run())
        await second.clock.advance(31)
        await eventually(lambda: not codes(second))
        async with second.on_socket() as unix:
            assert (await unix.get("/livez")).status == 200
        retries.cancel()


@pytest.mark.parametrize("other", ["file", "directory"])
async def test_a_file_that_is_not_a_socket_is_not_deleted(tmp_path: Path, other: str) -> None:
    """It stays, the hint says what to do with it, and TCP works."""
    path = tmp_path / "agent.sock"
    path.mkdir() if other == "directory" else path.touch()
    async with serving(directory=tmp_path) as rig, rig.on_tcp() as tcp:
        assert (await tcp.get("/livez")).status == 200
        (warning,) = rig.board.snapshot.warnings
        assert warning.key == ("status_listen_failed", str(rig.socket))
        assert warning.hint.startswith("rename this file or directory")
    assert path.is_dir() if other == "directory" else path.is_file()


async def test_a_path_that_is_too_long_for_a_socket_is_reported(tmp_path: Path) -> None:
    """The hint names the variable that changes it."""
    async with serving(directory=tmp_path / ("long" * 30)) as rig:
        (warning,) = rig.board.snapshot.warnings
        assert warning.message.endswith("a socket's path must not be longer than 107 bytes")
        assert warning.hint == "set RUNTIME_DIRECTORY to a directory with a shorter path"


async def test_a_taken_port_is_reported_once_and_retried() -> None:
    """The socket works meanwhile, and the warning is cleared when the port is free."""
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
            await eventually(lambda: not codes(rig))
            assert rig.port == port
            retries.cancel()


@pytest.mark.parametrize("listen", ["no-such-host.invalid:0", "a..b:0", "192.0.2.1:0"])
async def test_an_unusable_address_is_reported(listen: str) -> None:
    """A name that does not resolve, an invalid name, or another machine's address. The socket still works."""
    async with serving(StatusSettings(listen=listen)) as rig, rig.on_socket() as unix:
        assert codes(rig) == [("status_listen_failed", "status.listen")]
        assert (await unix.get("/livez")).status == 200


async def test_inherited_sockets_are_used() -> None:
    """The server uses all of systemd's sockets, does not remove their files, and reports what it may not serve."""
    with tempfile.TemporaryDirectory(prefix="ra-") as directory:
        given = [bind_unix(Path(directory, name)) for name in ("agent.sock", "second.sock")]
        refused = StatusListenFailed("descriptor 5", "descriptor 5 is not a socket")
        rig = Serving(Path(directory), StatusSettings(listen=""), inherited=given, not_inherited=[refused])
        await rig.server.start()
        for each in given:
            connector = aiohttp.UnixConnector(each.getsockname())
            async with aiohttp.ClientSession("http://localhost", connector=connector) as unix:
                assert (await unix.get("/livez")).status == 200
        assert codes(rig) == [refused.key]
        await rig.server.close()
        assert {path.name for path in Path(directory).iterdir()} == {"agent.sock", "second.sock"}


async def test_a_deleted_socket_file_is_created_again() -> None:
    """If somebody cleans the runtime directory, the commands find the agent again within half a minute."""
    async with serving() as rig:
        rig.socket.unlink()
        retries = asyncio.create_task(rig.server.run())
        await rig.clock.advance(31)
        await eventually(lambda: rig.log.names().count("status.listening") == 3)
        retries.cancel()
        async with rig.on_socket() as unix:
            assert (await unix.get("/livez")).status == 200


async def test_rebind_follows_the_settings() -> None:
    """TCP can be turned off, and on again at another address. `localhost` means each of its addresses here."""
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


async def test_shutdown_does_not_wait_for_open_requests() -> None:
    """A long poll and a stream are cut after a short grace period."""
    async with serving() as rig, rig.on_tcp() as tcp:
        held = asyncio.create_task(tcp.get("/v1/status?since=0&wait=60"))
        stream = await tcp.get("/v1/events")
        async with asyncio.timeout(30):
            await rig.server.close()
        stream.close()
        await asyncio.wait([held])
        assert held.exception() is not None


async def test_an_unreadable_token_file_is_reported(tmp_path: Path) -> None:
    """Until the file can be read, TCP refuses every request, and the status on the socket shows why."""
    token = tmp_path / "token"
    async with serving(StatusSettings(listen="127.0.0.1:0", token_file=token)) as rig:
        assert codes(rig) == [("settings_invalid", "status.token_file")]
        token.write_text("secret-token\n")
        await rig.server.rebind()
        assert codes(rig) == []
