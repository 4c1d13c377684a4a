"""A refusal outlives the agent, for the very secret that was refused."""

from datetime import timedelta
from pathlib import Path

from agent.edge.ledger import Ledger
from agent.model.problem import Pace
from agent.model.problems.registry import LoginRejected
from agent.services.refusals import Refusals
from tests.fakes import EPOCH
from tests.services.login_parts import native, plan


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
