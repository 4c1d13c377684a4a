"""What a run prints at its end: why tests were skipped, and how long each directory took."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Final

import pytest

_WIDTH: Final = 80


class Report:
    """Collects the results of all tests. With pytest-xdist it does so in the process that prints, not in a worker."""

    def __init__(self) -> None:
        self._seconds: Final[dict[str, float]] = defaultdict(float)
        self._tests: Final[Counter[str]] = Counter()
        self._skipped: Final[dict[str, Counter[str]]] = defaultdict(Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        directory = _directory(report.nodeid)
        self._seconds[directory] += report.duration
        self._tests[directory] += report.when == "setup"
        self._note_skip(directory, report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A whole file can be skipped while it is read."""
        self._note_skip(_directory(report.nodeid), report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._skipped:
            terminalreporter.section("skipped")
            for line in self._skip_lines():
                terminalreporter.write_line(line)
        if len(self._tests) > 1:
            terminalreporter.section("time by directory")
            for line in self._time_lines():
                terminalreporter.write_line(line)

    def _note_skip(self, directory: str, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped[reason(report)][directory] += 1

    def _skip_lines(self) -> Iterator[str]:
        """One entry for each reason, with the number of tests in each directory."""
        for reason, directories in sorted(self._skipped.items(), key=lambda item: -item[1].total()):
            where = ", ".join(f"{directory} ({number})" for directory, number in sorted(directories.items()))
            yield from wrap(f"{reason}: {where}", _WIDTH, subsequent_indent="    ", break_on_hyphens=False)

    def _time_lines(self) -> Iterator[str]:
        yield f"{'directory':40}{'tests':>8}{'seconds':>12}"
        for directory, seconds in sorted(self._seconds.items(), key=lambda item: -item[1]):
            yield f"{directory:40}{self._tests[directory]:>8}{seconds:>12.1f}"
        yield f"{'all':40}{self._tests.total():>8}{sum(self._seconds.values()):>12.1f}"


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return why it was skipped."""
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    return said.removeprefix("Skipped: ")


def _directory(nodeid: str) -> str:
    """Return `tests/web` for all files below it, and `tests` for the files directly in `tests`."""
    return "/".join(Path(nodeid.partition("::")[0]).parts[:-1][:2]) or "."
