"""Checks a running agent against its own OpenAPI document with schemathesis."""

from pathlib import Path

import pytest

from tests.web_attacks.conformance import ask
from tests.web_attacks.target import TOKEN, Target

OPEN = pytest.param(False, None, id="none configured")
ADMITTED = pytest.param(True, TOKEN, id="the right one")
REFUSED = (pytest.param(True, None, id="none given"), pytest.param(True, "guess", id="a wrong one"))


@pytest.mark.parametrize(("configured", "given"), [OPEN, ADMITTED])
def test_each_answer_is_as_described(home: Path, configured: bool, given: str | None) -> None:
    """There is no 5xx. Statuses, types, headers and bodies match the document, and invalid requests are refused."""
    with Target(home / "agent", token=configured) as target:
        asked = ask(target, given, home, examples=2, seed=1)
    assert asked.cases > 100
    assert not asked.faults, asked.faults
