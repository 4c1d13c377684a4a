"""The web identity token: where it comes from, and what is said where none is to be had."""

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


async def test_without_a_source_there_is_none() -> None:
    """Then the default chain is the base identity."""
    assert await web_identity_token(AwsSettings(), {}) is None


async def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    """The platform rotates it; white space around the token is no part of it."""
    path = tmp_path / "token"
    for token in (TOKEN, "another"):
        path.write_text(f"{token}\n")
        assert await from_file(path) == Sensitive(token)


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "no such file"), (b" \n", "is empty"), (b"x" * 20_001, "longer than"), (b"two words", "not a token")],
)
async def test_a_file_without_a_token_says_why(tmp_path: Path, content: bytes | None, fault: str) -> None:
    """Which file, and what is wrong with it; never what it holds."""
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    with raises_problem(AwsIdentityUnavailable, match=fault) as caught:
        await from_file(path)
    assert f"aws.identity_token_file {path}" in caught.value.message
    assert "two words" not in caught.value.message


async def test_a_fifo_and_a_directory_hold_nothing_up(tmp_path: Path) -> None:
    """Reading either would hang or fail without a reason."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path):
        with raises_problem(AwsIdentityUnavailable, match=r"not a regular file|is a directory"):
            await from_file(path)


async def test_a_command_gives_the_token_and_sees_no_secret(tmp_path: Path) -> None:
    """Found on PATH, run without the agent's own secrets."""
    program = tmp_path / "give-token"
    program.write_text(f'#!/bin/sh\necho "{TOKEN}.$2.${{REGISTRY_AGENT_SECRETS:-none}}"\n')
    program.chmod(0o755)
    token = await from_command("give-token", "--audience", "sts", path=f"{tmp_path}:{os.environ['PATH']}")
    assert token == Sensitive(f"{TOKEN}.sts.none")


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("exit 3", "ended with status 3; run it by hand"),
        ("echo 'two words' >&2; exit 1", "ended with status 1; run it by hand"),
        ("echo 'two words' >&2; kill -9 $$", "was killed by signal 9; run it by hand"),
        ("sleep 60", "had not ended after 0.5 s"),
        ("true", "is empty"),
        ("echo two words", "is not a token"),
    ],
)
async def test_a_command_without_a_token_says_why(script: str, fault: str) -> None:
    """What it prints, on stderr too, is in no message, nor are its arguments: all may hold a secret."""
    with raises_problem(AwsIdentityUnavailable, match=fault) as caught:
        await from_command("/bin/sh", "-c", script, "an-argument", timeout=0.5)
    assert "aws.identity_token_command /bin/sh" in caught.value.message
    assert "two words" not in caught.value.message
    assert "an-argument" not in caught.value.message


@pytest.mark.parametrize("name", ["no-such-program", "/no/such/program", "/etc/passwd"])
async def test_a_command_that_cannot_be_run_says_why(name: str) -> None:
    """Not there, not executable."""
    with raises_problem(AwsIdentityUnavailable, match=r"cannot be run: (not found on path|no such file|permission)"):
        await from_command(name)
