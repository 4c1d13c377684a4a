"""Tests of name lookups in threads of their own."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest

from agent.edge import secret_files
from agent.edge.name_resolver import NameResolver, look_up
from agent.edge.token_file import read_token
from agent.services import secret_sources
from agent.services.secret_sources import DirectorySource

PATIENCE_S = 30.0


async def test_resolves_a_name() -> None:
    """An address is a name too, and needs no name server."""
    (found,) = await NameResolver().resolve("127.0.0.1", 443)
    assert (found["hostname"], found["host"], found["port"]) == ("127.0.0.1", "127.0.0.1", 443)


async def test_silent_names_delay_neither_secrets_nor_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More names than there are threads get no answer. A changed secret and the token of the status are still read."""
    answers = threading.Event()

    def silent(*_: object, **__: object) -> list[object]:
        answers.wait(PATIENCE_S)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    token, secrets = tmp_path / "token", DirectorySource(tmp_path / "secrets", secret_files)
    token.write_text("s3cret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "ghcr.json").write_text(
        '{"name": "team", "hostname": "ghcr.io", "username": "bot", "password": "long enough"}'
    )
    monkeypatch.setattr(secret_sources, "_PATIENCE_S", PATIENCE_S)
    lookups = [asyncio.create_task(look_up(f"silent-{number}.invalid", 443)) for number in range(70)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert (await read_token(token)).reveal() == "s3cret"
            await secrets.check()
        assert [secret.name for secret in secrets.secrets] == ["team"]
        assert not any(lookup.done() for lookup in lookups)
    finally:
        answers.set()
    results = await asyncio.gather(*lookups, return_exceptions=True)
    assert all(isinstance(result, socket.gaierror) for result in results)
