"""A step is made once, and its result is kept as long as a test may use it."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.prepare import step as module
from tests.prepare.step import CHECKOUT, Step

_ANOTHER: Final = """
import sys
from pathlib import Path
from tests.prepare import step
step.KEPT = Path(sys.argv[1])
step.hold()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "KEPT", tmp_path / "kept")
    return tmp_path / "kept"


def step(recipe: str) -> Step:
    def make(directory: Path) -> None:
        (directory / "made").write_text(recipe)

    return Step("tree", make, recipe=recipe)


def start_tests(kept: Path) -> subprocess.Popen[str]:
    """Start another process that holds all existing results until its input ends."""
    args = [sys.executable, "-c", _ANOTHER, str(kept)]
    process = subprocess.Popen(args, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_result_is_made_once(kept: Path) -> None:
    assert step("1").run()
    assert not step("1").run()
    assert (step("1").result / "made").read_text() == "1"
    assert step("1").result.parent == kept


def test_another_checkout_does_not_remove_what_tests_use(kept: Path) -> None:
    """It removes the result after those tests have ended."""
    old = step("1")
    old.result.mkdir(parents=True)
    with start_tests(kept) as tests:
        assert step("2").run()
        assert old.is_made
        tests.communicate("")
    assert step("3").run()
    assert not old.is_made
    assert step("3").is_made
