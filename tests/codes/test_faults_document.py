"""`docs/faults.md` lists what is tried here."""

import os
import subprocess
import sys
from pathlib import Path

from tests.codes.matrix import AREAS, documented, fault_name

_AT_LEAST = 80


def test_each_fault_has_its_row() -> None:
    """Each test that has a world of its own, and no other; `make faults` writes them."""
    tests = sorted(Path(__file__).parent.glob("test_*.py"))
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *map(str, tests)]
    env = {**os.environ, "COLUMNS": "400"}
    done = subprocess.run(collect, capture_output=True, text=True, check=True, env=env)
    names = [fault_name(line) for line in done.stdout.splitlines() if "::" in line]
    tried = {name for area, name in names if area in AREAS}
    rows = {name for name, _ in documented()}
    assert rows == tried, "run `make faults`"
    assert len(rows) >= _AT_LEAST
