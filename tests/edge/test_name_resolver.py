"""Tests of name lookups in threads of their own."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from agent.edge.name_resolver import NameResolver, look_up

PATIENCE_S = 30.0


async def test_resolves_a_name() -> None:
    """An address is a name too, and needs no name server."""
    (found,) = await NameResolver().resolve("127.0.0.1", 443)
    assert (found["hostname"], found["host"], found["port"]) == ("127.0.0.1", "127.0.0.1", 443)


async def test_silent_names_do_not_delay_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More names than there are threads get no answer, and a file is still read at once."""
    answers = threading.Event()

    def silent(*_: object, **__: object) -> list[object]:
        answers.wait(PATIENCE_S)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    file = tmp_path / "file"
    file.write_text("here")
    lookups = [asyncio.create_task(look_up(f"silent-{number}.invalid", 443)) for number in range(70)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await asyncio.to_thread(file.read_text) == "here"
        assert not any(lookup.done() for lookup in lookups)
    finally:
        answers.set()
    results = await asyncio.gather(*lookups, return_exceptions=True)
    assert all(isinstance(result, socket.gaierror) for result in results)
