"""One real registry (Debian's docker-registry) behind many ports, each with a given network delay.

`python -m bench.registries UPSTREAM COUNT ROUND_TRIP_S` is the proxy that adds the delay. It runs until its standard
input ends. It is a separate process, so its work does not count in the measurements.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from bench.bench import free_port, scratch

_CHUNK: Final = 1 << 16
_BACKLOG: Final = 256
_PATIENCE_S: Final = 15.0
_BCRYPT_COST: Final = "4"  # the minimum: a slow registry would hide the differences between the programs


@contextmanager
def registries(count: int, round_trip_s: float, users: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield the `host:port` of each, on loopback, where Docker accepts plain HTTP. All accept these `users`."""
    with ExitStack() as stack:
        upstream = stack.enter_context(_distribution(stack.enter_context(scratch()), users))
        command = [sys.executable, "-m", "bench.registries", str(upstream), str(count), str(round_trip_s)]
        way = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        assert way.stdout is not None  # noqa: S101 - a pipe was requested
        stack.callback(way.communicate)
        yield tuple(json.loads(way.stdout.readline()))


@contextmanager
def _distribution(directory: Path, users: Mapping[str, str]) -> Iterator[int]:
    """Start the registry and yield its port."""
    passwords, port = directory / "htpasswd", free_port()
    passwords.touch()
    for user, password in users.items():
        add = ["htpasswd", "-i", "-B", "-C", _BCRYPT_COST, str(passwords), user]
        subprocess.run(add, input=password.encode(), check=True, capture_output=True)
    settings = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "made up"},
        "auth": {"htpasswd": {"realm": "bench", "path": str(passwords)}},
    }
    config = directory / "config.yml"
    config.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML too
    with (directory / "log").open("wb") as log:
        command = ["docker-registry", "serve", str(config)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _await_port(port)
        yield port
    finally:
        process.kill()
        process.wait()


def _await_port(port: int) -> None:
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.02)
        else:
            return


async def _serve(upstream: int, count: int, round_trip_s: float) -> None:
    way = _Way(upstream, round_trip_s)
    servers = [await asyncio.start_server(way.carry, "127.0.0.1", 0, backlog=_BACKLOG) for _ in range(count)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print(json.dumps([f"127.0.0.1:{port}" for port in ports]), flush=True)
    await asyncio.to_thread(os.read, sys.stdin.fileno(), 1)
    sys.stdout.flush()
    os._exit(0)  # open connections need no clean end


class _Way:
    """Delivers each chunk after half a round trip. The first one waits until a real handshake would be over."""

    def __init__(self, upstream: int, round_trip_s: float) -> None:
        self._upstream: Final = upstream
        self._round_trip_s: Final = round_trip_s

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected = asyncio.get_running_loop().time() + self._round_trip_s
        with closing(writer), suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            with closing(far_writer):
                there = asyncio.create_task(self._pump(reader, far_writer, connected))
                back = asyncio.create_task(self._pump(far_reader, writer, connected))
                await asyncio.wait((there, back))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, not_before: float) -> None:
        """Keep reading while earlier chunks are on their way: the distance adds delay, but costs no throughput."""
        loop = asyncio.get_running_loop()
        travelling: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.create_task(_deliver(travelling, writer))
        data = b"-"
        while data:
            with suppress(OSError):
                data = await reader.read(_CHUNK)
            await travelling.put((max(loop.time(), not_before) + self._round_trip_s / 2, data))
        await delivering


async def _deliver(travelling: "asyncio.Queue[tuple[float, bytes]]", writer: asyncio.StreamWriter) -> None:
    while True:
        arrives, data = await travelling.get()
        await asyncio.sleep(arrives - asyncio.get_running_loop().time())
        with suppress(OSError, RuntimeError):
            if not data:
                writer.write_eof()
                return
            writer.write(data)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
