"""Where CI is true a test that is passed over is a failure: a machine that lacks something would else look well."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    "body",
    [
        "def test_it(): pytest.skip('no docker')",
        "@pytest.mark.skipif(True, reason='not root')\ndef test_it(): ...",
        "@pytest.mark.xfail(reason='known')\ndef test_it(): assert False",
        "pytest.skip('no docker', allow_module_level=True)",
    ],
    ids=["in a test", "by a mark", "expected to fail", "a whole file"],
)
@pytest.mark.parametrize(("ci", "ended"), [("true", {1, 2}), ("", {0, 5})], ids=["CI", "at home"])
def test_a_skip_is_a_failure_in_ci(body: str, ci: str, ended: set[int], tmp_path: Path) -> None:
    """And at home it is told and no more."""
    (tmp_path / "test_it.py").write_text(f"import pytest\n{body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-c", "/dev/null", "test_it.py"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "CI": ci}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode in ended, done.stdout
