"""The timeline: it keeps the changes of the last day, whatever `log.level` is and however many retries there are."""

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.observe.log import Log
from agent.observe.redaction import Scrubber
from agent.observe.timeline import _FIELDS, Timeline
from tests.fakes import FakeClock
from tests.observe.documented import documented_events


def read(timeline: Timeline) -> list[dict[str, Any]]:
    return [json.loads(line) for line in timeline.recent()]


def test_it_keeps_only_changes() -> None:
    """It keeps the useful fields of such events, with the time to the second, and no other events."""
    clock = FakeClock()
    timeline = Timeline(str, clock.now)
    until = datetime(2026, 1, 1, 12, tzinfo=UTC)
    kept = {"registry": "ghcr.io", "stored_in": "config.json", "expires_at": until}
    timeline.note("info", {"event": "login.succeeded", **kept, "attempt_id": "a1", "seconds": 0.4})
    timeline.note("info", {"event": "login.failed", "registry": "ghcr.io"})
    assert read(timeline) == [
        {
            "time": "2026-01-01T00:00:00Z",
            "level": "info",
            "event": "login.succeeded",
            **kept,
            "expires_at": "2026-01-01T12:00:00Z",
        }
    ]


def test_it_covers_one_day_and_is_bounded() -> None:
    """Events older than 24 hours are left out. Of very many events, it keeps the last 500, in little memory."""
    clock = FakeClock()
    timeline = Timeline(str, clock.now)
    jumped = {"event": "clock.jumped", "seconds": 3.0}
    timeline.note("info", jumped)
    clock.jump(timedelta(hours=23).total_seconds())
    timeline.note("info", jumped)
    assert len(read(timeline)) == 2
    clock.jump(timedelta(hours=2).total_seconds())
    assert [event["time"] for event in read(timeline)] == ["2026-01-01T23:00:00Z"]
    many = {"event": "secrets.changed", "added": ["x" * 5000] * 1000, "removed": (), "changed": ["\x1b[31m"]}
    for _ in range(600):
        timeline.note("info", many)
    lines = timeline.recent()
    assert len(lines) == 500
    assert max(map(len, lines)) < 5000
    assert "\\u001b" not in lines[0]


def test_the_log_fills_it_at_every_level_and_without_secrets() -> None:
    """With log.level = error, logins are not in the log, but they are in the timeline."""
    scrubber = Scrubber()
    scrubber.protect(["hunter2-secret"])
    log = Log("error", "json", scrubber.scrub, os.environ)
    try:
        log.logger.info("login.succeeded", registry="ghcr.io", stored_in="config.json", expires_at=None)
        log.logger.warning("warning.raised", code="x", subject="y", message="it said hunter2-secret", needs="user")
        log.logger.info("login.started", registry="ghcr.io")
    finally:
        log.close()
    assert log.recent(10) == []
    first, second = read(log.timeline)
    assert (first["event"], first["registry"]) == ("login.succeeded", "ghcr.io")
    assert (second["level"], second["message"]) == ("warning", "it said [redacted]")


def test_no_secret_breaks_the_json() -> None:
    """A secret that looks like JSON is masked only inside strings, so the lines stay valid JSON."""
    scrubber = Scrubber()
    scrubber.protect([",", '"', "n", "null", '", "code": "'])
    timeline = Timeline(scrubber.scrub)
    timeline.note("info", {"event": "secrets.changed", "added": ["a , b"], "removed": (), "changed": None})
    timeline.note("info", {"event": "clock.jumped", "seconds": 3.5})
    assert [event["event"] for event in read(timeline)] == ["secrets.changed", "clock.jumped"]
    assert read(timeline)[0]["added"] == ["a [redacted] b"]
    assert read(timeline)[0]["changed"] is None


def test_its_events_are_events_of_the_log() -> None:
    """They have the same names as in the log."""
    assert _FIELDS.keys() <= documented_events()
