"""A refusal is remembered across restarts, for exactly the secret that was refused."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.edge.state_file import StateFile
from agent.model.problem import RetryClass
from agent.model.problems.aws import AwsAccessDenied
from agent.model.problems.registry import LoginRejected, RegistryRateLimited
from agent.services.rejections import Rejections, chain_inputs
from agent.settings import AwsSettings
from tests.fakes import EPOCH
from tests.services.login_fakes import ECR, native, plan


async def test_a_refusal_survives_a_restart(tmp_path: Path) -> None:
    """Code, message, hint and time are restored. Nothing of the secret is stored on disk."""
    config = tmp_path / "docker"
    state_file = StateFile.loaded(tmp_path / "state", config)
    secret = {"name": "team", "hostname": "ghcr.io", "username": "bob", "password": "hunter2-secret"}
    login, other = plan(secret).logins[0], plan({**secret, "password": "another"}).logins[0]
    until = EPOCH + timedelta(minutes=30)
    Rejections(state_file, lambda: EPOCH).record(login, LoginRejected("ghcr.io", "it said no", hint="ask"), until)
    await state_file.flush()

    again = Rejections(StateFile.loaded(tmp_path / "state", config), lambda: EPOCH)
    active = again.active(login)
    assert active is not None
    problem, not_before = active
    assert (problem.code, problem.message, problem.hint, problem.retry_class) == (
        "login_rejected",
        "it said no",
        "ask",
        RetryClass.REJECTED,
    )
    assert not_before == until
    assert again.active(other) is None
    assert again.active(native()) is None
    assert "hunter2" not in (tmp_path / "state" / "state.json").read_text()
    much_later = Rejections(StateFile.loaded(tmp_path / "state", config), lambda: until)
    assert much_later.active(login) is None
    again.clear(login)
    assert again.active(login) is None


async def test_a_rate_limit_is_not_a_refusal_after_a_restart(tmp_path: Path) -> None:
    """It is retried soon after its wait has ended. State files of older versions hold only refusals, without a pace."""
    state_file = StateFile.loaded(tmp_path, tmp_path)
    rejections = Rejections(state_file, lambda: EPOCH)
    rejections.record(native(), RegistryRateLimited(ECR, "slow down"), EPOCH + timedelta(minutes=30))
    await state_file.flush()
    file = tmp_path / "state.json"
    state = json.loads(file.read_text())
    assert retry_class_after_a_restart(tmp_path) is RetryClass.SOON
    del state["rejections"][ECR]["pace"]
    file.write_text(json.dumps(state))
    assert retry_class_after_a_restart(tmp_path) is RetryClass.REJECTED


def retry_class_after_a_restart(state: Path) -> RetryClass:
    active = Rejections(StateFile.loaded(state, state), lambda: EPOCH).active(native())
    assert active is not None
    return active[0].retry_class


@pytest.mark.parametrize(
    ("setting", "variable"),
    [
        ({"profile": "other"}, None),
        ({"identity_token_file": Path("/other")}, None),
        ({"identity_token_command": ("other",)}, None),
        ({"identity_token_command": ("gp", "other")}, None),
        ({}, "AWS_ACCESS_KEY_ID"),
        ({}, "AWS_SECRET_ACCESS_KEY"),
        ({}, "AWS_PROFILE"),
        ({}, "AWS_ROLE_ARN"),
        ({}, "AWS_WEB_IDENTITY_TOKEN_FILE"),
    ],
)
async def test_a_changed_identity_of_the_aws_chain_is_tried_at_once(
    tmp_path: Path, setting: dict[str, Any], variable: str | None
) -> None:
    """Reloaded settings, or a changed environment at the next start, may select an identity that AWS never refused."""
    settings, environ = AwsSettings(identity_token_command=("gp",)), {"AWS_PROFILE": "first"}
    state_file, login = StateFile.loaded(tmp_path / "state", tmp_path / "docker"), native()
    rejections = Rejections(state_file, lambda: EPOCH, chain=lambda _: chain_inputs(settings, environ))
    until = EPOCH + timedelta(minutes=30)
    rejections.record(login, AwsAccessDenied(login.registry.hostname, "AWS said no"), until)
    before = settings, environ
    settings, environ = replace(settings, **setting), environ | ({variable: "other"} if variable else {})
    assert rejections.active(login) is None
    settings, environ = before
    assert rejections.active(login) is not None
