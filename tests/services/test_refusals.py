"""A refusal outlives the agent, for the very secret that was refused."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.edge.ledger import Ledger
from agent.model.problem import Pace
from agent.model.problems.aws import AwsAccessDenied
from agent.model.problems.registry import LoginRejected, RegistryRateLimited
from agent.services.refusals import Refusals, chain_words
from agent.settings import AwsSettings
from tests.fakes import EPOCH
from tests.services.login_parts import ECR, native, plan


async def test_a_refusal_is_there_after_a_restart(tmp_path: Path) -> None:
    """Code, message, hint and moment come back; nothing of the secret is on the disk."""
    config = tmp_path / "docker"
    ledger = Ledger(tmp_path / "state", config)
    secret = {"name": "team", "hostname": "ghcr.io", "username": "bob", "password": "hunter2-secret"}
    login, other = plan(secret).logins[0], plan({**secret, "password": "another"}).logins[0]
    until = EPOCH + timedelta(minutes=30)
    Refusals(ledger, lambda: EPOCH).refused(login, LoginRejected("ghcr.io", "it said no", hint="ask"), until)
    await ledger.flush()

    again = Refusals(Ledger(tmp_path / "state", config), lambda: EPOCH)
    held = again.held_back(login)
    assert held is not None
    problem, not_before = held
    assert (problem.code, problem.message, problem.hint, problem.pace) == (
        "login_rejected",
        "it said no",
        "ask",
        Pace.REJECTED,
    )
    assert not_before == until
    assert again.held_back(other) is None
    assert again.held_back(native()) is None
    assert "hunter2" not in (tmp_path / "state" / "state.json").read_text()
    much_later = Refusals(Ledger(tmp_path / "state", config), lambda: until)
    assert much_later.held_back(login) is None
    again.accepted(login)
    assert again.held_back(login) is None


async def test_what_was_only_put_off_is_no_refusal_after_a_restart(tmp_path: Path) -> None:
    """It is tried again soon once its time has come. A state of before, which did not tell, held refusals alone."""
    ledger = Ledger(tmp_path, tmp_path)
    refusals = Refusals(ledger, lambda: EPOCH)
    refusals.refused(native(), RegistryRateLimited(ECR, "slow down"), EPOCH + timedelta(minutes=30))
    await ledger.flush()
    file = tmp_path / "state.json"
    state = json.loads(file.read_text())
    assert pace_after_a_restart(tmp_path) is Pace.SOON
    del state["rejections"][ECR]["pace"]
    file.write_text(json.dumps(state))
    assert pace_after_a_restart(tmp_path) is Pace.REJECTED


def pace_after_a_restart(state: Path) -> Pace:
    held = Refusals(Ledger(state, state), lambda: EPOCH).held_back(native())
    assert held is not None
    return held[0].pace


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
async def test_another_identity_of_the_chain_is_free_to_try(
    tmp_path: Path, setting: dict[str, Any], variable: str | None
) -> None:
    """Settings that are read again, or an environment at the next start, may name somebody whom AWS never refused."""
    settings, environ = AwsSettings(identity_token_command=("gp",)), {"AWS_PROFILE": "first"}
    ledger, login = Ledger(tmp_path / "state", tmp_path / "docker"), native()
    refusals = Refusals(ledger, lambda: EPOCH, chain=lambda: chain_words(settings, environ))
    until = EPOCH + timedelta(minutes=30)
    refusals.refused(login, AwsAccessDenied(login.registry.hostname, "AWS said no"), until)
    before = settings, environ
    settings, environ = replace(settings, **setting), environ | ({variable: "other"} if variable else {})
    assert refusals.held_back(login) is None
    settings, environ = before
    assert refusals.held_back(login) is not None
