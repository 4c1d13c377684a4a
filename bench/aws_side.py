"""A pretend AWS with ECR registries on loopback. It is a separate process, so it does not count in the measurements.

`python -m bench.aws_side COUNT` serves COUNT registries until its standard input ends.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from agent.demo.listener import Listener
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.registries import EcrAuth, PretendRegistry

REGION: Final = "eu-west-1"
_LIFE_S: Final = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class AwsSide:
    """`url` is that of the API. `registries` are `host:port`. The keys belong to one user, which may get tokens."""

    url: str
    registries: tuple[str, ...]
    access_key_id: str
    secret_access_key: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make the AWS SDKs use this AWS and no other."""
        region = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}  # version 1 of the CLI reads only the second
        return {"AWS_ENDPOINT_URL_ECR": self.url, "AWS_ENDPOINT_URL_STS": self.url, **region}

    @property
    def keys(self) -> dict[str, str]:
        """The user's keys, as the AWS SDKs read them from the environment."""
        return {"AWS_ACCESS_KEY_ID": self.access_key_id, "AWS_SECRET_ACCESS_KEY": self.secret_access_key}

    @property
    def secret(self) -> dict[str, str]:
        """The user's keys, as a secret of the first registry."""
        return {
            "name": "bench",
            "hostname": self.registries[0],
            "kind": "ecr",
            "region": REGION,
            "username": self.access_key_id,
            "password": self.secret_access_key,
        }


@contextmanager
def aws_side(registries: int) -> Iterator[AwsSide]:
    command = [sys.executable, "-m", "bench.aws_side", str(registries)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 - a pipe was requested
        told = json.loads(process.stdout.readline())
        yield AwsSide(told["url"], tuple(told["registries"]), told["access_key_id"], told["secret_access_key"])
        process.communicate()


async def _serve(count: int) -> None:
    aws = PretendAws(region=REGION, token_life_s=_LIFE_S)
    user = aws.add_user("bench")
    doors = [Listener(_registry(aws).handle) for _ in range(count)]
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(Listener(aws.handle))
        for door in doors:
            await stack.enter_async_context(door)
        told = {
            "url": api.url,
            "registries": [door.address for door in doors],
            "access_key_id": user.access_key_id,
            "secret_access_key": user.secret_access_key,
        }
        print(json.dumps(told), flush=True)
        await asyncio.to_thread(os.read, sys.stdin.fileno(), 1)


def _registry(aws: PretendAws) -> PretendRegistry:
    return PretendRegistry(EcrAuth(aws.valid, REGION))


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
