"""Log records of libraries become events, and are redacted."""

import io
import json
import logging
import sys

import pytest

from agent.observe.libraries import LibraryLog
from agent.observe.log import Log


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    return Log("info", "json", lambda text: text.replace("open-sesame", "[redacted]"), {})


def last_event(log: Log) -> dict[str, object]:
    log.close()
    event: dict[str, object] = json.loads(log.recent(1)[0])
    return event


def logger_to(log: Log) -> logging.Logger:
    logger = logging.Logger("somebodys.package")  # noqa: LOG001 - outside the tree on purpose
    logger.addHandler(LibraryLog(log.logger))
    return logger


def _fail() -> None:
    raise ValueError("open-sesame is\nwrong \x1b[31m" + "x" * 9000)


def test_a_warning_with_its_error(log: Log) -> None:
    """It has the location instead of the traceback, no secret and no escapes, and is on one line."""
    try:
        _fail()
    except ValueError:
        logger_to(log).warning("refreshing %s failed", "open-sesame", exc_info=True)
    event = last_event(log)
    assert (event["event"], event["level"], event["library"]) == ("library.warned", "info", "somebodys.package")
    assert event["message"] == "refreshing [redacted] failed"
    error = str(event["error"])
    assert error.startswith("ValueError: [redacted] is wrong")
    assert error.isprintable()
    assert len(error) < 1000
    assert str(event["where"]).startswith(__file__)


def test_arguments_that_do_not_match_the_format_do_not_raise(log: Log) -> None:
    """A bug in a library does not break the log."""
    logger_to(log).error("%d of %d", "none")
    assert last_event(log)["message"] == "%d of %d"


def test_records_below_warning_are_left_out(log: Log) -> None:
    """Libraries log a lot at the lower levels."""
    logger_to(log).info("connected")
    log.close()
    assert not log.recent(1)
