"""`run --once`: it succeeds only if every secret that is meant to be used is logged in."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from agent.model.login_source import AwsDefaults
from agent.model.plan import make_plan
from agent.model.problems.registry import LoginRejected, RegistryUnreachable
from agent.model.secret import parse_secret
from tests.services.login_fakes import ECR
from tests.services.test_logins import GHCR, HUB, Stage

OTHER: Final = {"name": "other", "hostname": "quay.io", "username": "bob", "password": "other-password"}
KEY_ID: Final = "AKIAIOSFODNN7EXAMPLE"


def works(stage: Stage) -> None:
    assert stage.docker_login.answer("x") is None


def refuses(stage: Stage) -> None:
    stage.docker_login.answer = lambda password: (
        LoginRejected("quay.io", "no") if password == "other-password" else None
    )


def is_down(stage: Stage) -> None:
    stage.docker_login.answer = lambda password: (
        RegistryUnreachable("quay.io", "down") if password == "other-password" else None
    )


def has_no_docker(stage: Stage) -> None:
    stage.docker.docker_ready.clear()


@pytest.mark.parametrize(
    ("secret", "world", "expected"),
    [
        (OTHER, works, True),
        (OTHER, refuses, False),
        (OTHER, is_down, False),
        (OTHER, has_no_docker, False),
        ({**OTHER, "enabled": False}, works, True),
        ({**OTHER, "hostname": "excluded.example"}, works, True),
        ({**OTHER, "username": "runner-native"}, works, False),
        ({**OTHER, "username": KEY_ID}, works, False),
        ({**OTHER, "hostname": ECR, "role_arn": "arn:aws:iam::123456789012:role/pull"}, works, False),
        ({**OTHER, "hostname": "vpce.example", "kind": "ecr", "username": KEY_ID}, works, False),
    ],
)
@pytest.mark.parametrize("others", [(), (GHCR, HUB)], ids=["alone", "next to good ones"])
async def test_one_pass_succeeds_only_with_every_usable_secret(
    secret: Mapping[str, Any],
    world: Callable[[Stage], None],
    expected: bool,
    others: tuple[Mapping[str, Any], ...],
) -> None:
    """A secret that cannot be used fails the pass, even if all others are logged in. A person's choice does not."""
    once = Stage()
    world(once)
    secrets = [parse_secret(fields, "test", "[0]") for fields in (*others, secret)]
    plan = make_plan(secrets, ("excluded.example",), AwsDefaults())
    assert await once.logins.once(plan) is expected


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("[]", 0),
        ('[{"name": "off", "hostname": "ghcr.io", "username": "u", "password": "p", "enabled": false}]', 0),
        ('[{"name": "one", "hostname": "ghcr.io", "username": "u"}]', 2),
        ('[{"name": "one", "hostname": "ghcr.io", "username": "runner-native"}]', 2),
        ("{", 2),
    ],
)
def test_the_command_fails_if_a_secret_is_unusable(tmp_path: Path, content: str, code: int) -> None:
    """Whether the agent cannot read it or cannot use it."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "all.json").write_text(content)
    environ = {"RUNTIME_DIRECTORY": f"{tmp_path}/run", "STATE_DIRECTORY": f"{tmp_path}/state", "HOME": str(tmp_path)}
    environ |= {"PATH": "/nowhere", "REGISTRY_AGENT_SECRETS_DIRECTORIES": f'["{secrets}"]'}
    command = [sys.executable, "-m", "agent", "run", "--once"]
    ended = subprocess.run(
        command, env=environ, cwd=Path(__file__).parents[2], capture_output=True, timeout=120, check=False
    )
    assert ended.returncode == code, ended.stdout
