"""Tests of the web identity token: its sources, and the messages if there is none."""

import os
from pathlib import Path

import pytest

from agent.edge.aws.web_identity import web_identity_token
from agent.model.problems.aws import AwsIdentityUnavailable
from agent.model.sensitive import Sensitive
from agent.settings import AwsSettings
from tests.problems import raises_problem

TOKEN = "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"


async def from_file(path: Path) -> Sensitive | None:
    return await web_identity_token(AwsSettings(identity_token_file=path, call_timeout_s=2), {})


async def from_command(*args: str, timeout: float = 5, path: str | None = None) -> Sensitive | None:
    environ = {"PATH": path or os.environ["PATH"], "REGISTRY_AGENT_SECRETS": TOKEN}
    return await web_identity_token(AwsSettings(identity_token_command=args, call_timeout_s=timeout), environ)


async def test_without_a_source_there_is_no_token() -> None:
    """The default chain is then the base identity."""
    assert await web_identity_token(AwsSettings(), {}) is None


async def test_reads_the_file_each_time(tmp_path: Path) -> None:
    """The platform rotates the token. White space around it is removed."""
    path = tmp_path / "token"
    for token in (TOKEN, "another"):
        path.write_text(f"{token}\n")
        assert await from_file(path) == Sensitive(token)


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "no such file"), (b" \n", "is empty"), (b"x" * 20_001, "longer than"), (b"two words", "not a token")],
)
async def test_reports_why_a_file_has_no_token(tmp_path: Path, content: bytes | None, fault: str) -> None:
    """The message names the file and the reason, and never the content."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with raises_problem(AwsIdentityUnavailable, match=fault) as caught:
        await from_file(path)
    assert f"aws.identity_token_file {path}" in caught.value.message
    assert "two words" not in caught.value.message


async def test_a_fifo_or_a_directory_does_not_block(tmp_path: Path) -> None:
    """Reading them would block, or fail without a clear reason."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path):
        with raises_problem(AwsIdentityUnavailable, match=r"not a regular file|is a directory"):
            await from_file(path)


async def test_a_command_prints_the_token_and_sees_no_secret(tmp_path: Path) -> None:
    """The command is found on PATH and runs without the agent's own secrets."""
    program = tmp_path / "give-token"
    program.write_text(f'#!/bin/sh\necho "{TOKEN}.$2.${{REGISTRY_AGENT_SECRETS:-none}}"\n')
    program.chmod(0o755)
    token = await from_command("give-token", "--audience", "sts", path=f"{tmp_path}:{os.environ['PATH']}")
    assert token == Sensitive(f"{TOKEN}.sts.none")


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("exit 3", "exited with status 3; run it by hand"),
        ("echo 'two words' >&2; exit 1", "exited with status 1; run it by hand"),
        ("echo 'two words' >&2; kill -9 $$", "was killed by signal 9; run it by hand"),
        ("sleep 60", "no end after 0.5 s"),
        ("true", "is empty"),
        ("echo two words", "is not a token"),
    ],
)
async def test_reports_why_a_command_has_no_token(script: str, fault: str) -> None:
    """The message never shows the output or the arguments, because they may hold a secret."""
    with raises_problem(AwsIdentityUnavailable, match=fault) as caught:
        await from_command("/bin/sh", "-c", script, "an-argument", timeout=0.5)
    assert "aws.identity_token_command /bin/sh" in caught.value.message
    assert "two words" not in caught.value.message
    assert "an-argument" not in caught.value.message


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/program", "/etc/passwd"])
async def test_reports_why_a_command_cannot_run(name: str) -> None:
    """The command does not exist or is not executable."""
    with raises_problem(AwsIdentityUnavailable, match=r"cannot be run: (not found on PATH|no such file|permission)"):
        await from_command(name)
