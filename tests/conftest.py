"""What holds for every test."""

import os
import signal
from collections.abc import Generator

import pytest


def pytest_configure() -> None:
    """Ctrl-C ends what tests start, also where a shell runs them in its background: SIGINT is ignored there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI is true nothing is skipped: what a test misses is its failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"nothing is skipped where CI is true: {report.longreprtext}"
    return report
