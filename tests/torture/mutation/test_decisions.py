"""Small bugs in the code that decides: the unit tests notice nearly all of them.

mutmut makes the bugs (mutants): another operator, a missing argument, None instead of a value. `[tool.mutmut]` in
`pyproject.toml` names the files and the tests. Each mutant runs only the unit tests that reach its function. Constants
of a module, and functions with a decorator such as `property`, stay as they are.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.torture.campaign import chance, say, times
from tests.torture.mutation.equivalent import EQUIVALENT

pytestmark = [pytest.mark.torture, pytest.mark.timeout(0)]

_ROOT: Final = Path(__file__).parents[3]
_LEAST: Final = 0.95
_NOTICED: Final = ("killed", "timeout")
# A run with any mutants generates all of them. These are few.
_FIRST: Final = "agent.services.confirmed_time.*"


def test_the_unit_tests_notice_nearly_every_bug_in_a_decision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At least 95 % of the mutants make a test fail, apart from those that are explained as equivalent."""
    for part in ("agent", "tests"):
        shutil.copytree(_ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(_ROOT / "pyproject.toml", tmp_path)
    mutmut(tmp_path, "run", _FIRST)
    names = sorted(results(tmp_path))
    chosen = chance("mutants").sample(names, times(len(names)))
    mutmut(tmp_path, "run", *chosen)
    ended = results(tmp_path)
    survivors = {name: bug(tmp_path, name) for name in chosen if ended[name] not in _NOTICED}
    unexplained = [f"{name} ({ended[name]})\n{diff}" for name, diff in survivors.items() if not explained(name, diff)]
    counted = len(chosen) - len(survivors) + len(unexplained)
    rate = 1 - len(unexplained) / counted
    figures = f"{counted} mutants, {rate:.1%} noticed, {len(survivors) - len(unexplained)} more are equivalent"
    say(capsys, "bugs in decisions", figures, *unexplained)
    assert rate >= _LEAST


def mutmut(directory: Path, *arguments: str) -> str:
    """Run mutmut, and return what it prints."""
    program = Path(sys.executable).with_name("mutmut")
    ended = subprocess.run([program, *arguments], cwd=directory, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    return ended.stdout


def results(directory: Path) -> dict[str, str]:
    """Return how each mutant ended, by name."""
    return dict(re.findall(r"^ +(\S+): (.+)$", mutmut(directory, "results", "--all", "true"), re.MULTILINE))


def bug(directory: Path, name: str) -> str:
    """Return the lines that the mutant changes."""
    return "\n".join(re.findall(r"^[+-] .*$", mutmut(directory, "show", name), re.MULTILINE))


def explained(name: str, diff: str) -> bool:
    """Return whether the list explains why this change of the function has no effect that matters."""
    return any(f"\n{line}\n" in re.sub(r"\n\+ *", "\n", f"\n{diff}\n") for line in EQUIVALENT.get(function(name), ()))


def function(name: str) -> str:
    """Return the mutated function: `agent.model.plan._kind` for the mutant `agent.model.plan.x__kind__mutmut_1`."""
    module, _, mangled = name.rpartition("__mutmut_")[0].rpartition(".")
    return f"{module}.{mangled[2:].replace('ǁ', '.')}"
