"""The kinds of login that the agent leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.rig.cloud import ECR, NATIVE

REPOSITORY: Final = "team/hello"
TAG: Final = "1"
USERS: Final = {"alice": "wonderland-of-alice"}
_ALICE: Final = {"username": "alice", "password": USERS["alice"]}


@dataclass(frozen=True, slots=True)
class Login:
    """A secret for one registry. `hosts` are the host names under which programs reach the registry."""

    name: str
    hostname: str
    fields: Mapping[str, str]
    hosts: tuple[str, ...]

    def filled(self, text: str) -> str:
        """Replace the placeholders for the registry's private image in `text`."""
        repository = f"{self.hostname}/{REPOSITORY}"
        image = f"{repository}:{TAG}"
        return text.replace("{image}", image).replace("{repository}", repository).replace("{tag}", TAG)


BASIC: Final = Login("Basic", "registry.example.test", _ALICE, ("registry.example.test",))
AMAZON: Final = Login("ECR", ECR, NATIVE, (ECR,))
TOKEN: Final = Login("token server", "tokens.example.test", _ALICE, ("tokens.example.test",))
HUB: Final = Login("Docker Hub", "docker.io", _ALICE, ("registry-1.docker.io", "index.docker.io", "docker.io"))

LOGINS: Final = (BASIC, AMAZON, TOKEN, HUB)
STORES: Final = ("file", "helper")
"""Where the agent keeps the logins: in Docker's configuration, or in its memory."""
