"""The demo's cloud: an AWS with short-lived tokens, and five registries, two of which have a fault on purpose."""

import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from agent.demo.aws import PretendAws
from agent.demo.listener import Listener
from agent.demo.registries import BasicAuth, EcrAuth, PretendRegistry, TokenAuth
from agent.demo.tls import server_context

REGION: Final = "eu-west-1"

_USER: Final = "robot"


@dataclass(frozen=True, slots=True)
class DemoRegistry:
    """One registry of the demo: its secret, its listener, and a description of its purpose."""

    secret: Mapping[str, Any]
    registry: PretendRegistry
    listener: Listener
    description: str

    @property
    def hostname(self) -> str:
        return str(self.secret["hostname"])


class DemoCloud:
    """Reserves its ports at once. `async with` starts all servers, except the registry that is down at first."""

    def __init__(self, token_life_s: float) -> None:
        password = secrets.token_urlsafe(12)
        users = {_USER: password}
        login = {"username": _USER, "password": password}
        self.aws: Final = PretendAws(token_life_s=token_life_s, region=REGION)
        self.aws_listener: Final = Listener(self.aws.handle)
        self.basic: Final = _registry("basic-auth", PretendRegistry(BasicAuth(users)), login, "user name and password")
        self.token: Final = _registry(
            "token-auth", PretendRegistry(TokenAuth(users)), login, "login with a token, as on Docker Hub"
        )
        self.ecr: Final = _registry(
            "ecr",
            PretendRegistry(EcrAuth(self.aws, REGION)),
            {"username": "runner-native", "kind": "ecr", "region": REGION},
            f"ECR with an instance role, {token_life_s:.0f} s tokens",
        )
        self.rejecting: Final = _registry(
            "wrong-password",
            PretendRegistry(BasicAuth(users)),
            {**login, "password": "not-" + password},
            "fault 1: the password in its secret is wrong",
        )
        self.outage: Final = _registry(
            "outage", PretendRegistry(BasicAuth(users)), login, "fault 2: down at first, comes back later"
        )
        self._stack: Final = AsyncExitStack()

    @property
    def parts(self) -> tuple[DemoRegistry, ...]:
        return (self.basic, self.token, self.ecr, self.rejecting, self.outage)

    async def __aenter__(self) -> Self:
        for listener in (self.aws_listener, *(part.listener for part in self.parts)):
            self._stack.push_async_callback(listener.close)
            if listener is not self.outage.listener:
                await listener.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()


def _registry(name: str, registry: PretendRegistry, login: Mapping[str, str], description: str) -> DemoRegistry:
    listener = Listener(registry.handle, tls=server_context())
    return DemoRegistry(
        {"name": name, "hostname": f"localhost:{listener.port}", **login}, registry, listener, description
    )
