"""From nothing to the first ECR login, beside the two commands that AWS's own documentation names for it."""

import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Final

from bench.aws_names import NAMES, aws_names
from bench.aws_side import REGION, AwsSide, aws_side
from bench.bench import Bench, scratch
from bench.figure import Figure
from bench.stage import seconds_of, stage, start_to_logins

_LOGIN: Final = "docker login --username AWS --password-stdin {host} <{password}"
_WEB: Final = "import asyncio, aiohttp.web\n"
_SDK: Final = """
from aiobotocore.session import get_session
async def token():
    async with get_session().create_client("ecr") as ecr:
        await ecr.get_authorization_token()
asyncio.run(token())
"""
_COMMANDS: Final = "{aws} ecr get-login-password | docker login --username AWS --password-stdin {host}"


def measure(bench: Bench) -> list[Figure]:
    with aws_side(1) as side:
        host = side.registries[0]
        secret = {
            "name": "bench",
            "hostname": host,
            "kind": "ecr",
            "region": REGION,
            "username": side.access_key_id,
            "password": side.secret_access_key,
        }
        commands = ["sh", "-c", _COMMANDS.format(aws=shlex.quote(str(aws_program())), host=host)]
        turns = bench.turns(
            lambda: start_to_logins(bench, [secret], side.environment), lambda: _seconds(commands, side)
        )
        floor = _floor(bench, side, host)
    figure = Figure("start to first ECR login", "aws | docker login", "s", 0.75, turns, notes=(floor, _helper(bench)))
    return [figure]


def _floor(bench: Bench, side: AwsSide, host: str) -> str:
    """What an agent with a status by aiohttp and a token by aiobotocore cannot be without, each by itself."""
    keys = {"AWS_ACCESS_KEY_ID": side.access_key_id, "AWS_SECRET_ACCESS_KEY": side.secret_access_key}
    with stage() as own:
        env = own.environment({**side.environment, **keys})
        web, sdk = (_median(bench, [str(bench.python), "-c", program], env) for program in (_WEB, _WEB + _SDK))
        token = subprocess.run([aws_program(), "ecr", "get-login-password"], env=env, check=True, capture_output=True)
        password = own.root / "password"
        password.write_bytes(token.stdout)
        login = _median(bench, ["sh", "-c", _LOGIN.format(host=host, password=password)], env)
    return (
        f"minimum: interpreter and aiohttp's server take {web * 1000:.0f} ms, a token through aiobotocore "
        f"{(sdk - web) * 1000:.0f} ms more, one docker login {login * 1000:.0f} ms"
    )


def _median(bench: Bench, command: list[str], env: Mapping[str, str]) -> float:
    return median(seconds_of(command, env)[0] for _ in range(bench.runs))


def _helper(bench: Bench) -> str:
    """Debian's amazon-ecr-credential-helper, asked as Docker asks it, without its cache; it logs in to nothing."""
    with scratch() as directory, aws_names(directory, [443]) as (machine, _):
        more = {**machine.trust, "AWS_EC2_METADATA_DISABLED": "false", "AWS_ECR_DISABLE_CACHE": "true"}
        taken = []
        for _ in range(bench.runs):
            with stage() as own:
                begun = time.perf_counter()
                get = machine.namespace.run(
                    "docker-credential-ecr-login", "get", env=own.environment(more), stdin=NAMES[0]
                )
                taken.append(time.perf_counter() - begun)
                if get.returncode:
                    raise RuntimeError(f"docker-credential-ecr-login: {get.stdout}{get.stderr}")
    return f"docker-credential-ecr-login takes {median(taken) * 1000:.0f} ms at every pull to give Docker a token"


def aws_program() -> Path:
    """The aws CLI itself: a version manager's shim is a script that searches for it first, and costs as much again.

    Raises:
        FileNotFoundError: there is none.
    """
    found = shutil.which("aws")
    if found is None:
        raise FileNotFoundError("aws")
    manager = shutil.which("pyenv")
    if manager is not None and Path(found).parent.name == "shims":
        found = subprocess.run([manager, "which", "aws"], check=True, capture_output=True, text=True).stdout.strip()
    return Path(found).resolve()


def _seconds(commands: list[str], side: AwsSide) -> float:
    keys = {"AWS_ACCESS_KEY_ID": side.access_key_id, "AWS_SECRET_ACCESS_KEY": side.secret_access_key}
    with stage() as own:
        seconds, _ = seconds_of(commands, own.environment({**side.environment, **keys}))
        assert own.logins(), "docker login saved nothing"  # noqa: S101 - a bench that measures a failure is none
    return seconds
