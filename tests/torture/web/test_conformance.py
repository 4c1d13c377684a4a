"""Sends many random requests that follow the agent's own OpenAPI document."""

from pathlib import Path

import pytest

from tests.torture.campaign import say, seed, times
from tests.web_attacks.conformance import ALL_PHASES, ask
from tests.web_attacks.target import TOKEN, Target

pytestmark = [pytest.mark.torture, pytest.mark.timeout(3600)]


@pytest.mark.parametrize(
    ("configured", "given"),
    [(False, None), (True, TOKEN), (True, None), (True, "guess")],
    ids=["none configured", "the right one", "none given", "a wrong one"],
)
def test_each_answer_is_as_described(
    home: Path, configured: bool, given: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no 5xx. Statuses, types, headers and bodies are as documented. Valid requests, and only they, work."""
    with Target(home / "agent", token=configured) as target:
        asked = ask(target, given, home, examples=times(5000), seed=seed(), phases=ALL_PHASES)
    say(capsys, f"requests by the description, token configured: {configured}, given: {given}", f"{asked.cases} cases")
    assert not asked.faults, asked.faults
