"""With CI=true, a skipped test is a failure. Otherwise a machine that lacks something would look fine."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
SKIPPED: Final = {
    "test_in_a_test": "def test_it(): pytest.skip('no docker')",
    "below/test_by_a_mark": "@pytest.mark.skipif(True, reason='not root')\ndef test_it(): ...",
    "test_expected_to_fail": "@pytest.mark.xfail(reason='known')\ndef test_it(): assert False",
    "test_a_whole_file": "pytest.skip('no docker', allow_module_level=True)",
}


@pytest.mark.parametrize(
    ("ci", "outcome"),
    [("true", "2 failed, 2 errors"), ("", "3 skipped, 1 xfailed")],
    ids=["CI", "at home"],
)
def test_a_skip_is_a_failure_in_ci(ci: str, outcome: str, tmp_path: Path) -> None:
    """Each way to skip a test fails with CI=true. Otherwise the reasons are listed, with the number of tests."""
    (tmp_path / "below").mkdir()
    for name, body in SKIPPED.items():
        (tmp_path / f"{name}.py").write_text(f"import pytest\n{body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "--continue-on-collection-errors", "-p", "tests.conftest"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, "-c", "/dev/null"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout, done.stdout
    assert ("no docker: . (2)" in done.stdout) == (not ci), done.stdout
    assert ("not root: below (1)" in done.stdout) == (not ci), done.stdout
    table = done.stdout.partition("time by directory")[2]
    assert [line.split()[:2] for line in table.splitlines() if line.startswith("below")] == [["below", "1"]], (
        done.stdout
    )
