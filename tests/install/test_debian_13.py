"""Debian 13 with its Python 3.13 and its docker: what a newcomer runs there.

`make install` runs there in the set-up; tests/boot/test_newer_systemd.py boots what it has installed.
"""

from pathlib import Path
from typing import Final

import pytest

from tests.prepare.debian import VENV, copy_checkout, inside
from tests.prepare.steps import DEBIAN_13_TESTS
from tests.rig.needs import need, prepared

# This machine runs Debian 13's docker CLI through those that are left out.
_UNIT_TESTS: Final = (
    *("tests/model", "tests/observe", "tests/services", "tests/settings_loader"),
    *("--ignore=tests/model/test_docker_reads.py", "--ignore=tests/services/test_docker_versions.py"),
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("systemd-nspawn")
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


def run(checkout: Path, command: str) -> str:
    """What `command` prints in the checkout on a Debian 13 that forgets all changes; fails unless it ends well."""
    options = ("--volatile=overlay", f"--bind={checkout}:/root/checkout")
    return inside(prepared(DEBIAN_13_TESTS), "sh", "-ec", f"cd /root/checkout; {command}", options=options)


def test_the_demo_runs(checkout: Path) -> None:
    """`make demo` shows everything with Debian's own docker CLI."""
    assert "logged in" in run(checkout, f"make VENV={VENV} demo")


def test_the_unit_tests_pass(checkout: Path) -> None:
    """With Python 3.13."""
    said = run(checkout, f"{VENV}/bin/python --version; {VENV}/bin/pytest -q {' '.join(_UNIT_TESTS)}")
    assert said.startswith("Python 3.13.")
    assert " passed" in said.splitlines()[-1]
