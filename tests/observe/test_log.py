"""The log: one line per event, readable by programs and people. It never blocks the event loop."""

import ast
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from agent.observe.log import Log
from agent.observe.redaction import Scrubber
from tests.observe.documented import documented_events

ROOT = Path(__file__).parent.parent.parent
PROGRAM = """
import os, sys
from agent.observe.log import Log
from agent.observe.redaction import Scrubber
scrubber = Scrubber()
scrubber.protect(["hunter2-secret"])
log = Log("info", sys.argv[1], scrubber.scrub, os.environ)
log.logger.info("login.succeeded", registry="ghcr.io", note="a\\x1b[31mred hunter2-secret")
try:
    raise ValueError("hunter2-secret")
except ValueError:
    log.logger.exception("login.crashed")
log.logger.debug("login.started")
log.close()
"""


def lines(style: str, **environ: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, style],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environ},
    )
    assert "hunter2" not in done.stdout + done.stderr
    return done.stdout.splitlines()


def test_json_is_one_object_per_line_including_the_traceback() -> None:
    """It contains no secrets, no terminal escapes, and at this level no debug lines."""
    first, second = (json.loads(line) for line in lines("json"))
    assert (first["event"], first["level"], first["registry"]) == ("login.succeeded", "info", "ghcr.io")
    assert "\x1b" not in first["note"]
    assert "ValueError: [redacted]" in second["exception"]


def test_auto_is_json_without_a_terminal() -> None:
    """Pipes and files get JSON, without the prefixes for the journal."""
    assert json.loads(lines("auto")[0])["event"] == "login.succeeded"


def test_a_terminal_gets_readable_lines() -> None:
    """The console style shows the event and its fields as text."""
    assert "login.succeeded" in lines("console")[0]
    assert "registry=ghcr.io" in lines("console")[0]


def test_the_journal_gets_its_level_prefixes(tmp_path: Path) -> None:
    """Only if stdout is the stream of the journal. JOURNAL_STREAM contains its device and inode."""
    path = tmp_path / "journal"
    with path.open("w") as stream:
        found = os.fstat(stream.fileno())
        environ = {**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        subprocess.run([sys.executable, "-c", PROGRAM, "auto"], stdout=stream, check=True, env=environ)
    assert [line[:3] for line in path.read_text().splitlines()] == ["<6>", "<3>"]


WORDS: Final = ["2026", "login", "info", "event", "time", "succeeded", "login_rejected", "T", ":", "registry", "user"]


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("style", ["json", "console"])
def test_a_password_that_is_a_word_changes_no_name_and_no_time(
    word: str, style: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the line and in the timeline, for the strictest redaction. Only texts are redacted."""
    scrubber = Scrubber()
    scrubber.protect([word])
    log = Log("info", style, scrubber.scrub, {"NO_COLOR": "1"})
    fields = {"code": "login_rejected", "needs": "user", "subject": "x", "message": f"it said {word} twice"}
    try:
        log.logger.info("login.succeeded", registry="ghcr.io", seconds=2026)
        log.logger.warning("warning.raised", **fields)
    finally:
        log.close()
    first, second = map(json.loads, log.recent(2))
    assert list(first) == ["time", "level", "event", "registry", "seconds"]
    assert datetime.fromisoformat(first["time"]) <= datetime.now(UTC)
    assert (first["level"], first["event"], first["seconds"]) == ("info", "login.succeeded", 2026)
    assert (second["code"], second["needs"], second["message"]) == (
        "login_rejected",
        "user",
        "it said [redacted] twice",
    )
    raised = [event for event in map(json.loads, log.timeline.recent()) if event["event"] == "warning.raised"]
    assert [(event["code"], event["needs"]) for event in raised] == [("login_rejected", "user")]
    assert "login.succeeded" in capsys.readouterr().out


def test_the_beginning_of_a_long_traceback_is_cut_after_it_is_redacted() -> None:
    """The end of a secret at the cut does not stay."""
    scrubber = Scrubber()
    scrubber.protect(["hunter2-secret-of-twenty"])
    for shift in range(24):
        log = Log("info", "json", scrubber.scrub, {})
        try:
            raise ValueError("hunter2-secret-of-twenty" + "x" * (9_990 + shift))  # noqa: TRY301
        except ValueError:
            log.logger.exception("login.crashed")
        log.close()
        assert "twenty" not in log.recent(1)[0]


def test_a_reader_that_stalls_does_not_block_the_agent() -> None:
    """If a pipe is full and nothing reads it, logging returns at once, and the lost lines are counted."""
    program = """
import os, sys
from agent.observe.log import Log
log = Log("info", "json", str, os.environ)
for number in range(15000):
    log.logger.info("login.succeeded", number=number, filler="x" * 50)
print(log.dropped, file=sys.stderr)
os._exit(0)
"""
    reading, writing = os.pipe()
    # The pipe stays full until the end, so a program that waits for it would wait forever.
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, text=True, check=True, timeout=500
    )
    os.close(reading)
    os.close(writing)
    assert int(done.stderr) > 1000


def test_every_event_is_in_the_document() -> None:
    """The document explains each event, and no event is missing."""
    logged = set()
    for path in (ROOT / "agent").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            first = node.args[0]
            if node.func.attr in {"debug", "info", "warning", "error", "exception"} and isinstance(first, ast.Constant):
                logged.add(first.value)
    logged = {name for name in logged if isinstance(name, str) and re.fullmatch(r"[a-z_]+\.[a-z_]+", name)}
    not_found_by_the_search = {"warning.raised", "log.dropped", "login.removed"}
    assert logged | not_found_by_the_search == documented_events()
