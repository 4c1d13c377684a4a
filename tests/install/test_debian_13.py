"""What a newcomer runs works on Debian 13, with its Python 3.13 and its docker CLI.

The set-up step runs `make install` there, and tests/boot/test_newer_systemd.py boots the result.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.prepare.debian import VENV, copy_checkout, inside
from tests.prepare.steps import DEBIAN_13_TESTS
from tests.rig.needs import need, prepared

# The ignored files run with Debian 13's docker CLI on this machine.
_UNIT_TESTS: Final = (
    *("tests/model", "tests/observe", "tests/services", "tests/settings_loader"),
    *("--ignore=tests/model/test_docker_reads.py", "--ignore=tests/services/test_docker_versions.py"),
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("systemd-nspawn")
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


def run(checkout: Path, command: str) -> str:
    """Run `command` in the checkout on a Debian 13 that drops all changes. Return its output; fail if it fails."""
    options = ("--volatile=overlay", f"--bind={checkout}:/root/checkout")
    return inside(prepared(DEBIAN_13_TESTS), "sh", "-ec", f"cd /root/checkout; {command}", options=options)


def test_the_demo_runs(checkout: Path) -> None:
    """`make demo` works with Debian's own docker CLI."""
    assert "logged in" in run(checkout, f"make VENV={VENV} demo")


def test_the_unit_tests_pass(checkout: Path) -> None:
    """They run with Python 3.13."""
    said = run(checkout, f"{VENV}/bin/python --version; {VENV}/bin/pytest -q {' '.join(_UNIT_TESTS)}")
    assert said.startswith("Python 3.13.")
    assert " passed" in said.splitlines()[-1]
