"""One agent with default settings, and four logins with tokens that expire: ECR, Google, Azure, and a command's."""

import hmac
import json
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from agent.demo.registries import Refusal, basic, errors
from tests.e2e.conftest import COMMANDED, IMAGE, MakeAgent
from tests.fakecloud import azure, google, jwt
from tests.rig.agent import Agent
from tests.rig.cloud import ECR, NATIVE, Cloud
from tests.rig.engine import Engine
from tests.rig.machine import Machine
from tests.rig.needs import need
from tests.rig.other_clouds import ACR, GAR, azure_on, google_on, registry_on

LIVES: Final = 3
HOSTS: Final = (ECR, GAR, ACR, COMMANDED)
IMAGES: Final = tuple(f"{host}/{IMAGE}" for host in HOSTS)
PRINCIPAL: Final = f"principal:{google.AUDIENCE.partition('/providers/')[0]}/subject/environment-1"

# It shares `key` with the registry, like a program of a platform.
_COMMAND: Final = """#!{python}
import hmac, json, time
end = str(time.time() + {life_s})
signature = hmac.new(b"{key}", end.encode(), "sha256").hexdigest()
print(json.dumps({{"password": end + ":" + signature, "expires_in": {life_s}}}))
"""


@dataclass
class Commanded:
    """Accepts the passwords that the command prints, until they expire."""

    key: str = field(default_factory=secrets.token_hex)
    accepted: set[str] = field(default_factory=set)

    async def __call__(self, request: web.BaseRequest) -> str:
        username, password = basic(request) or ("", "")
        end, _, signature = password.partition(":")
        right = hmac.new(self.key.encode(), end.encode(), "sha256").hexdigest()
        if signature != right or float(end) < time.time():
            challenge = {"WWW-Authenticate": f'Basic realm="{request.host}"'}
            raise Refusal(errors(401, "UNAUTHORIZED", "authentication required", challenge), username or None)
        self.accepted.add(password)
        return username

    def program(self, path: Path, life_s: float) -> Path:
        path.write_text(_COMMAND.format(python=sys.executable, key=self.key, life_s=life_s))
        path.chmod(0o755)
        return path


@dataclass(frozen=True)
class Platform:
    """A machine at AWS. Its platform gives it an identity token, which Google and Azure accept."""

    machine: Machine
    home: Path
    cloud: Cloud
    google: google.PretendGoogle
    azure: azure.PretendAzure
    commanded: Commanded

    @property
    def issued(self) -> dict[str, int]:
        """The number of tokens that each source has issued. For the command, those that its registry has accepted."""
        counts = (len(self.cloud.aws.tokens.issued), self.google.calls["sts"], self.azure.calls["exchange"])
        return dict(zip(HOSTS, (*counts, len(self.commanded.accepted)), strict=True))

    def live_for(self, life_s: float) -> None:
        self.cloud.aws.token_life_s = self.google.token_life_s = self.azure.token_life_s = life_s

    def variables(self) -> Mapping[str, str]:
        """Return what the platform puts into the environment, like AKS and Google's own federation setup."""
        token = jwt.make({"sub": "environment-1"})
        self.google.subjects[token] = "environment-1"
        self.google.readers.add(PRINCIPAL)
        self.azure.assertions[token] = azure.CLIENT
        self.azure.readers.add(azure.OBJECT)
        (self.home / "identity-token").write_text(token)
        account = {
            "type": "external_account",
            "audience": google.AUDIENCE,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"file": str(self.home / "identity-token")},
        }
        (self.home / "google.json").write_text(json.dumps(account))
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.home / "google.json"),
            "AZURE_CLIENT_ID": azure.CLIENT,
            "AZURE_TENANT_ID": azure.TENANT,
            "AZURE_FEDERATED_TOKEN_FILE": str(self.home / "identity-token"),
        }

    def podman_pull(self, image: str, agent: Agent) -> None:
        """Pull into a separate store. podman accepts only a short path for its runtime files."""
        store = ("--root", self.home / "podman", "--runroot", "/run/podman", "--storage-driver", "vfs")
        done = self.machine.namespace.run("podman", *store, "pull", image, env=agent.env)
        assert done.returncode == 0, f"podman pull {image}: {done.stdout}{done.stderr}"


@pytest.fixture
def platform(machine: Machine, images: str, cloud: Cloud, tmp_path: Path) -> Iterator[Platform]:
    commanded = Commanded()
    with ExitStack() as stack:
        stack.enter_context(registry_on(machine, images, COMMANDED, commanded))
        googles = stack.enter_context(google_on(machine, images, metadata=False))
        azures = stack.enter_context(azure_on(machine, images, metadata=False))
        yield Platform(machine, tmp_path, cloud, googles, azures, commanded)


@pytest.mark.engine
@pytest.mark.parametrize(
    "life_s",
    [12.0, pytest.param(600.0, marks=[pytest.mark.torture, pytest.mark.timeout(7200)])],
    ids=["short", "long"],
)
def test_no_pull_fails_while_four_kinds_of_tokens_come_and_go(
    make_agent: MakeAgent, engine: Engine, platform: Platform, life_s: float
) -> None:
    """Docker and podman pull from all registries, through three lifetimes of each token. Only notices are reported."""
    need("podman")
    platform.live_for(life_s)
    agent = make_agent(**platform.variables())
    program = platform.commanded.program(platform.home / "issue-password", life_s)
    agent.give("team-ecr", ECR, **NATIVE)
    agent.give("team-gar", GAR, username="runner-native")
    agent.give("team-acr", ACR, username="runner-native")
    agent.give("team-tokens", COMMANDED, username="robot", password_command=[str(program)])
    rows = {row["hostname"]: row for row in agent.start().wait_logged_in(*HOSTS)["registries"]}
    assert [rows[host]["kind"] for host in HOSTS] == ["ecr", "gar", "acr", "basic"]
    assert rows[GAR]["identity"] == PRINCIPAL
    assert azure.OBJECT in rows[ACR]["identity"]
    begun, first, rounds = time.monotonic(), platform.issued, 0

    engine.make_image(IMAGES[0])
    for image in IMAGES:
        engine.must("tag", IMAGES[0], image, config=agent.docker)
        engine.must("push", image, config=agent.docker)
    while rounds <= LIVES or time.monotonic() < begun + LIVES * life_s:
        engine.must("rmi", *IMAGES, config=agent.docker)
        for image in IMAGES:
            engine.must("pull", image, config=agent.docker)
            platform.podman_pull(image, agent)
        rounds += 1

    renewals = {host: count - first[host] for host, count in platform.issued.items()}
    assert min(renewals.values()) >= LIVES, renewals
    status = agent.status()
    assert status["condition"] == "healthy"
    assert [warning for warning in status["cleared"] if warning["severity"] != "notice"] == []
