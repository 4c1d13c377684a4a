"""Time from the start to the first ECR login, compared with the two commands that AWS's documentation gives for it."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.aws_side import AwsSide, aws_side
from bench.bench import Bench
from bench.figure import Figure
from bench.stage import seconds_of, stage, start_to_logins
from tests.prepare.steps import AWS_2

_LOGIN: Final = ("docker", "login", "--username", "AWS", "--password-stdin")
_WEB: Final = "import asyncio, aiohttp.web\n"
_SDK: Final = """
from aiobotocore.session import get_session
async def token():
    async with get_session().create_client("ecr") as ecr:
        return (await ecr.get_authorization_token())["authorizationData"][0]["authorizationToken"]
answer = asyncio.run(token())
"""
_DOCKER: Final = """
import base64, subprocess, sys
subprocess.run(sys.argv[1:], input=base64.b64decode(answer).partition(b":")[2], check=True)
"""
_FLOOR: Final = (
    ("Python with aiohttp's server, loaded", 2.5, _WEB),
    ("the same, and a token through aiobotocore", 1.4, _WEB + _SDK),
    ("the same, and one docker login", 1.25, _WEB + _SDK + _DOCKER),
)
"""The minimum for an agent that serves its status with aiohttp and gets its token with aiobotocore."""


def measure(bench: Bench) -> list[Figure]:
    with aws_side(1) as side:
        login, python = (*_LOGIN, side.registries[0]), str(bench.python)
        pipes = [
            _figure(bench, side, f"{version} | docker login", 0.75, ["sh", "-c", f"{aws} | {shlex.join(login)}"])
            for version, aws in _aws_programs()
        ]
        floors = [
            _figure(bench, side, beside, reach, [python, "-c", program, *login]) for beside, reach, program in _FLOOR
        ]
    return [*pipes, *floors]


def _figure(bench: Bench, side: AwsSide, beside: str, reach: float, command: Sequence[str]) -> Figure:
    def theirs() -> float:
        with stage() as own:
            return seconds_of(command, own.environment({**side.environment, **side.keys}))[0]

    turns = bench.turns(lambda: start_to_logins(bench, [side.secret], side.environment), theirs)
    return Figure("start to first ECR login", beside, "s", reach, turns)


def _aws_programs() -> Iterator[tuple[str, str]]:
    """Yield the version and the command of each aws CLI: this machine's, and Debian 13's in a separate tree."""
    commands = [[str(_aws_program())]]
    if AWS_2.is_made:
        commands.append(["chroot", str(AWS_2.result), "/usr/bin/aws"])
    for command in commands:
        version = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True).stdout
        yield version.partition(" ")[0].replace("aws-cli/", "aws "), shlex.join([*command, "ecr", "get-login-password"])


def _aws_program() -> Path:
    """Return the aws CLI itself. A version manager's shim is a script that searches for it, and doubles the time.

    Raises:
        FileNotFoundError: the aws CLI is not installed.
    """
    found = shutil.which("aws")
    if found is None:
        raise FileNotFoundError("aws")
    manager = shutil.which("pyenv")
    if manager is not None and Path(found).parent.name == "shims":
        found = subprocess.run([manager, "which", "aws"], check=True, capture_output=True, text=True).stdout.strip()
    return Path(found).resolve()
