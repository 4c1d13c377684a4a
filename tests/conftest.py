"""Fixtures and hooks for all tests."""

import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final, TypeVar

import pytest
from hypothesis import Phase, settings
from xdist.remote import Producer

from tests.prepare.step import hold
from tests.report import Report, reason
from tests.rig.hanging import HangingDirectory, hanging_directory
from tests.rig.needs import need_fuse
from tests.torture.campaign import times
from tests.workers import FileScheduling, slow_first

settings.register_profile("short", deadline=None, max_examples=20)
settings.register_profile("long", deadline=None, max_examples=times(5000))
# Each mutant gets the same examples. A failure is enough, so there is no search for the smallest example.
_ONLY_FAIL: Final = (Phase.explicit, Phase.generate)
settings.register_profile("mutants", deadline=None, max_examples=20, derandomize=True, database=None, phases=_ONLY_FAIL)
settings.load_profile("short")  # `make torture` selects "long", and mutmut selects "mutants"

_Report = TypeVar("_Report", pytest.TestReport, pytest.CollectReport)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[HangingDirectory]:
    """A directory whose file system does not answer. It is released at the end, so no thread is left."""
    need_fuse()
    with hanging_directory(tmp_path / "hanging") as directory:
        yield directory


def pytest_configure(config: pytest.Config) -> None:
    """Keep what `make prepare` has made, and restore SIGINT.

    Programs that tests start must end with Ctrl-C. A shell ignores SIGINT for what it runs in the background. In an
    activated environment, docker would find the agent's credential helper without any installation.
    """
    config.pluginmanager.register(Report())
    hold()
    own = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join(path for path in os.environ["PATH"].split(os.pathsep) if path != own)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true, a test that is skipped or expected to fail counts as failed."""
    return _counted((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a file that is skipped as a whole."""
    return _counted((yield))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileScheduling:
    return FileScheduling(config, log)


def _counted(report: _Report) -> _Report:
    if report.skipped and os.environ.get("CI") == "true":
        said = reason(report)
        report.outcome = "failed"
        vars(report).pop("wasxfail", None)  # pytest does not count a failure that has it
        report.longrepr = f"nothing is skipped where CI is true: {said}"
    return report
