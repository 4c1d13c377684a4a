"""Checks a running agent against its own OpenAPI document with schemathesis.

`make torture` does so with and without a token, and with many more requests.
"""

from pathlib import Path

from tests.web_attacks.conformance import ask
from tests.web_attacks.target import TOKEN, Target


def test_each_answer_is_as_described(home: Path) -> None:
    """There is no 5xx. Statuses, types, headers and bodies match the document, and invalid requests are refused."""
    with Target(home / "agent", token=True) as target:
        asked = ask(target, TOKEN, home, examples=2, seed=1)
    assert asked.cases > 100
    assert not asked.faults, asked.faults
