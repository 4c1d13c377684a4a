"""What all commands print on: a command in a hint can be copied from the terminal."""

from collections.abc import Callable, Sequence

import pytest

from agent.cli.doctor_view import report_lines
from agent.cli.logs_choice import of_memory
from agent.cli.logs_view import LogView
from agent.cli.status_view import status_lines
from agent.cli.terminal import Terminal
from agent.demo.printer import Remark, render
from agent.model.commands import command
from agent.model.problem import LONGEST_HINT
from agent.model.problems.stored_login import ConfigUnwritable
from tests.cli.test_doctor import document, link
from tests.cli.test_logs import line

COMMANDS = [str(command("sudo chown", "ada:", f"/home/ada/{'d' * length}/it's here")) for length in (1, 30, 60, 200)]


def of_status(hint: str) -> Sequence[str]:
    warning = {"code": "config_unwritable", "severity": "error", "needs": "user", "message": "no", "hint": hint}
    return status_lines(Terminal(80), {"warnings": [{**warning, "subject": "config.json"}]})


def of_doctor(hint: str) -> Sequence[str]:
    return [*report_lines(Terminal(80), document(link("configuration", "broken", fix=hint)))][:-1]


def of_doctors_last_lines(hint: str) -> Sequence[str]:
    first = {"hostname": "ghcr.io", "name": "configuration", "fix": hint}
    return [*report_lines(Terminal(80), document(broken=1, first=first))]


def of_doctors_findings(hint: str) -> Sequence[str]:
    return [*report_lines(Terminal(80), document(link("configuration", "broken", hint, fix="fix it")))]


def of_logs(hint: str) -> Sequence[str]:
    return [*LogView(Terminal(80)).lines(of_memory([line(0, "warning.raised", hint=hint)])[0])]


def of_demo(hint: str) -> Sequence[str]:
    return render(1, Remark("warning", "no", hint)).splitlines()


PRINTERS = [of_status, of_doctor, of_doctors_last_lines, of_doctors_findings, of_logs, of_demo]


@pytest.mark.parametrize("printed", PRINTERS, ids=lambda printed: printed.__name__)
def test_a_command_in_a_hint_is_on_one_line(printed: Callable[[str], Sequence[str]]) -> None:
    """Wherever it begins, and if it is wider than the terminal: pasted in pieces, each would be another command."""
    for run in COMMANDS:
        for before in range(0, 45, 3):
            hint = f"{'w ' * before}{run}, or ask {'somebody else ' * 9}"
            lines = printed(hint)
            assert any(run in row for row in lines), lines
            assert all(len(row) <= 80 for row in lines if run not in row)


@pytest.mark.parametrize("printed", PRINTERS, ids=lambda printed: printed.__name__)
def test_the_longest_hint_is_shown_to_its_end(printed: Callable[[str], Sequence[str]]) -> None:
    """Otherwise the last command could be cut off."""
    last = COMMANDS[-1]
    hint = "word " * ((LONGEST_HINT - len(last)) // 5)
    shown = ConfigUnwritable("config.json", "no", hint=hint + last).hint
    assert (len(shown) > LONGEST_HINT - 5, last in shown) == (True, True)
    assert any(last in row for row in printed(shown))
