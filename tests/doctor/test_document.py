"""`docs/doctor.md` lists every check, every outcome and every field of the JSON document."""

import json
import re
from pathlib import Path

from agent.doctor.check import Outcome
from agent.doctor.report import SCHEMA
from tests.cli.commands import command
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


async def test_lists_every_field(tmp_path: Path) -> None:
    """Of the document, and of a check in it."""
    text = section(read(DOCUMENT), "JSON output")
    answer = await command("doctor", "--json", "--set", "secrets.directories=[]", HOME=str(tmp_path))
    report = json.loads(answer.out)
    assert [name for cells in rows(text) for name in named(cells[0])] == list(report)
    (example,) = blocks(text, "json")
    assert json.loads(example).keys() == report["links"][0].keys()
    assert SCHEMA in text
