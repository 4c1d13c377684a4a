"""The agent's own description of its requests, held against a running agent by schemathesis."""

from pathlib import Path

import pytest

from tests.web_attacks.conformance import ask
from tests.web_attacks.target import TOKEN, Target

ASKERS = pytest.mark.parametrize(
    ("configured", "given"),
    [(False, None), (True, TOKEN), (True, None), (True, "guess")],
    ids=["none configured", "the right one", "none given", "a wrong one"],
)


@ASKERS
def test_each_answer_is_as_described(home: Path, configured: bool, given: str | None) -> None:
    """No 5xx; statuses, types, headers and bodies are the documented ones; nonsense is refused, sense accepted."""
    with Target(home / "agent", token=configured) as target:
        asked = ask(target, given, home, examples=5, seed=1)
    assert asked.cases > 100
    assert not asked.faults, asked.faults
