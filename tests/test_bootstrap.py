"""The parts that answer before the rest is loaded."""

from pathlib import Path

import pytest

from agent.bootstrap import Bootstrap
from agent.settings import Settings


@pytest.mark.parametrize(
    ("variables", "shown"), [({"INVOCATION_ID": "5e1f"}, "5e1f"), ({"INVOCATION_ID": ""}, None), ({}, None)]
)
def test_the_invocation_id_is_that_of_systemd_or_null(
    tmp_path: Path, variables: dict[str, str], shown: str | None
) -> None:
    """Compose files set a missing variable to the empty text."""
    bootstrap = Bootstrap(Settings(), {"RUNTIME_DIRECTORY": str(tmp_path), **variables})
    assert bootstrap.board.snapshot.as_json(bootstrap.clock.now(), 0.0)["invocation_id"] == shown
