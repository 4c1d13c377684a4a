"""`docs/doctor.md` lists every check, every outcome and every field of the JSON document."""

import json
import re
from datetime import UTC, datetime

from agent.doctor.check import Outcome, passed
from agent.doctor.report import SCHEMA, RegistryReport, Report
from tests.doctor.machine import CHAIN, COMMON
from tests.test_documents import blocks, read, rows, section

DOCUMENT = "docs/doctor.md"


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_lists_every_check_in_order() -> None:
    """The shared checks come first."""
    checks = [name for cells in rows(section(read(DOCUMENT), "Checks")) for name in named(cells[0])]
    assert tuple(checks) == (*COMMON, *CHAIN)


def test_lists_every_outcome() -> None:
    """And nothing else."""
    outcomes = [named(cells[0])[0] for cells in rows(section(read(DOCUMENT), "Read the output"))]
    assert outcomes == list(Outcome)


def test_lists_every_field() -> None:
    """Of the document, and of a check in it."""
    text = section(read(DOCUMENT), "JSON output")
    registry = RegistryReport("ghcr.io", (passed("dns", "x"),))
    report = Report(datetime.now(UTC), 1.0, "e", "u", "h", "/d", (), (registry,)).as_json(str)
    assert [name for cells in rows(text) for name in named(cells[0])] == list(report)
    (example,) = blocks(text, "json")
    assert json.loads(example).keys() == report["registries"][0]["links"][0].keys()
    assert SCHEMA in text
