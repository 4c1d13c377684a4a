"""Tests of files with a bearer token."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from agent.edge import token_file
from agent.edge.token_file import TokenFileError, read_token, read_token_file
from agent.web.token import Bearer, TokenFile
from tests.rig.hanging import HangingDirectory
from tests.rig.waiting import PATIENCE_S


def test_reads_the_token_in_a_token_file(tmp_path: Path) -> None:
    """White space around the token is removed."""
    (tmp_path / "token").write_text(" s3cret\n")
    assert read_token_file(tmp_path / "token").reveal() == "s3cret"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_reads_a_token_file_from_windows(tmp_path: Path, encoding: str) -> None:
    """Editors add a byte order mark, PowerShell writes UTF-16."""
    (tmp_path / "token").write_bytes("s3cret\r\n".encode(encoding))
    assert read_token_file(tmp_path / "token").reveal() == "s3cret"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"a\nb", b"\xff", "t\u00f6ken".encode(), b"x" * 70000])
def test_reports_a_token_file_without_a_token(content: bytes | None, tmp_path: Path) -> None:
    """The error for a missing, empty, multi-line, non-text or too long file contains its path."""
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(TokenFileError, match=str(tmp_path)):
        read_token_file(tmp_path / "token")


def test_a_token_file_must_be_a_regular_file(tmp_path: Path) -> None:
    """A FIFO does not block the agent. A directory or a device gives an error."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path, Path("/dev/zero")):
        with pytest.raises(TokenFileError):
            read_token_file(path)


async def test_a_file_system_that_hangs_costs_one_thread_and_no_other_token(
    hanging: HangingDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many requests wait, each is refused with the reason. Another file is used at once."""
    monkeypatch.setattr(token_file, "_DEADLINE_S", 0.05)
    path = hanging.path / "token"
    token = TokenFile(lambda: path, read_token)
    before = threading.active_count()
    answers = await asyncio.gather(*(token.check("Bearer s3cret") for _ in range(20)))
    assert answers == [Bearer.UNREADABLE] * 20
    assert threading.active_count() <= before + 1
    reason = f"token file {path} cannot be read: its file system does not answer"
    assert await token.unreadable_reason() == reason
    monkeypatch.setattr(token_file, "_DEADLINE_S", PATIENCE_S)
    path = tmp_path / "token"
    path.write_text("s3cret")
    assert await token.check("Bearer s3cret") is Bearer.RIGHT
    assert await token.check("Bearer other") is Bearer.WRONG
