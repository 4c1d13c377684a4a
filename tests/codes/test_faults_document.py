"""`docs/faults.md` lists the faults that are tested here."""

import os
import subprocess
import sys
from pathlib import Path

from tests.codes.groups import groups
from tests.codes.matrix import AREAS, documented, fault_name

_AT_LEAST = 80


def test_each_fault_has_its_row() -> None:
    """It has one row per fault of the groups, with its code, and one per test. `make faults` writes the rows."""
    table = groups()
    tests = sorted(path for path in Path(__file__).parent.glob("test_*.py") if path.stem not in table)
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *map(str, tests)]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env = {**own, "COLUMNS": "400"}
    done = subprocess.run(collect, capture_output=True, text=True, check=True, env=env)
    names = [fault_name(line) for line in done.stdout.splitlines() if "::" in line]
    tried = {name for area, name in names if area in AREAS}
    tried |= {fault.name for group in table.values() for fault in group.faults}
    rows = documented()
    assert sorted(name for name, _ in rows) == sorted(tried), "run `make faults`"
    assert len(rows) >= _AT_LEAST
    codes = dict(rows)
    for fault in (fault for group in table.values() for fault in group.faults):
        assert codes[fault.name] == f"`{fault.code}`", fault.name
