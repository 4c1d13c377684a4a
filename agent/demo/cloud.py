"""The demo's cloud: an AWS with short-lived tokens, and five registries, two of which have a fault on purpose."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from agent.demo.aws import DemoAws
from agent.demo.listener import Listener
from agent.demo.registries import Auth, BasicAuth, LoginRegistry, TokenAuth
from agent.demo.tls import server_context

_REGION: Final = "eu-west-1"
_USER: Final = "robot"


@dataclass(frozen=True, slots=True)
class DemoRegistry:
    """One registry of the demo: its secret, its listener, and a description of its purpose."""

    secret: Mapping[str, Any]
    registry: LoginRegistry
    listener: Listener
    description: str

    @property
    def hostname(self) -> str:
        return str(self.secret["hostname"])


@dataclass(frozen=True, slots=True)
class DemoCloud:
    """All servers of the demo."""

    aws: DemoAws
    aws_url: str
    basic: DemoRegistry
    token: DemoRegistry
    ecr: DemoRegistry
    rejecting: DemoRegistry
    outage: DemoRegistry

    @property
    def registries(self) -> tuple[DemoRegistry, ...]:
        return (self.basic, self.token, self.ecr, self.rejecting, self.outage)


@asynccontextmanager
async def demo_cloud(token_life_s: float) -> AsyncIterator[DemoCloud]:
    """Start all servers, except the registry that is down at first."""
    async with AsyncExitStack() as stack:

        def registry(name: str, description: str, auth: Auth, **login: str) -> DemoRegistry:
            server = LoginRegistry(auth)
            listener = Listener(server.handle, tls=server_context())
            stack.push_async_callback(listener.close)
            secret = {"name": name, "hostname": f"localhost:{listener.port}", "username": _USER, **login}
            return DemoRegistry(secret, server, listener, description)

        password = secrets.token_urlsafe(12)
        users = BasicAuth({_USER: password})
        aws = DemoAws(token_life_s)
        ecr = {"username": "runner-native", "kind": "ecr", "region": _REGION}
        cloud = DemoCloud(
            aws,
            (await stack.enter_async_context(Listener(aws.handle))).url,
            basic=registry("basic-auth", "user name and password", users, password=password),
            token=registry(
                "token-auth", "login with a token, as on Docker Hub", TokenAuth(users.users), password=password
            ),
            ecr=registry("ecr", f"ECR with an instance role, {token_life_s:.0f} s tokens", aws.login, **ecr),
            rejecting=registry(
                "wrong-password", "fault 1: the password in its secret is wrong", users, password="not-" + password
            ),
            outage=registry("outage", "fault 2: down at first, comes back later", users, password=password),
        )
        # `outage` stays down until the agent has noticed it.
        for part in (cloud.basic, cloud.token, cloud.ecr, cloud.rejecting):
            await part.listener.up()
        yield cloud
