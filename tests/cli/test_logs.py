"""`registry-agent logs`: filters, format and sources."""

import argparse
import asyncio
import json
import os
import socket
import stat
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.cli.logs_choice import Choice, Event, of_journal, of_memory, since
from agent.cli.logs_view import LogView
from agent.cli.terminal import Terminal as Columns
from agent.edge.journal_line import JournalLine
from tests.cli.commands import Ended, command, ended, start, start_with_reader
from tests.cli.terminal import Terminal
from tests.observe.documented import documented_events
from tests.rig.needs import need_root
from tests.web.serving import Serving, serving

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def line(second: float, event: str, level: str = "info", **fields: Any) -> str:
    time = (NOW + timedelta(seconds=second)).isoformat().replace("+00:00", "Z")
    return json.dumps({"time": time, "level": level, "event": event, "environment": "ada-dev", **fields})


GHCR: dict[str, Any] = {"registry": "ghcr.io", "secret": "team", "attempt_id": "71274221"}
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
DAY = [
    line(0, "agent.starting", version="1.0.0"),
    line(1, "login.started", "debug", **GHCR, attempt=1),
    line(2, "warning.raised", "error", code="login_rejected", subject="ghcr.io", message="ghcr.io said no", hint="x y"),
    line(3, "login.failed", **GHCR, code="login_rejected", message="ghcr.io said no", failures=1, wait_s=1800.0),
    line(4, "token.obtained", region="eu-west-1", identity="arn:x", seconds=0.4),
    line(4.5, "login.stored", registry=ECR, stored_in="config.json"),
    line(5, "login.succeeded", registry=ECR, secret="ecr", attempt_id="a1", stored_in="config.json", seconds=1.5),
    line(900, "warning.cleared", code="login_rejected", subject="ghcr.io"),
    line(901, "login.succeeded", **GHCR, stored_in="config.json", seconds=0.2),
    line(902, "login.restored", registry="ghcr.io", stored_in="config.json"),
    line(5000, "login.restored", registry="ghcr.io", stored_in="config.json"),
]


def names(events: Sequence[Event]) -> list[str]:
    return [str(event.fields["event"]) for event in events]


def remember(rig: Serving, lines: list[str]) -> None:
    """Make these lines the agent's recent events."""
    rig.lines = Memory(lines)


class Memory:
    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def recent(self, lines: int) -> list[str]:
        return self.lines[-lines:]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(), [*range(11)]),
        (Choice(last=2), [9, 10]),
        (Choice(since=NOW + timedelta(seconds=900)), [7, 8, 9, 10]),
        (Choice(level="info"), [0, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (Choice(level="warning"), [2]),
        (Choice(registry="ghcr.io"), [1, 2, 3, 7, 8, 9, 10]),
        (Choice(registry="quay.io"), []),
        (Choice(registry="ghcr.io", last=1, level="error"), [2]),
    ],
)
def test_filters_by_time_level_and_registry(choice: Choice, expected: list[int]) -> None:
    """`last` counts the events that pass the other filters."""
    events = of_memory(DAY)
    assert choice.of(events) == [events[index] for index in expected]


def test_shows_the_events_of_one_attempt() -> None:
    """Those with its id, in their order."""
    events = of_memory(DAY)
    assert names(Choice(attempt="71274221").of(events)) == ["login.started", "login.failed", "login.succeeded"]
    assert names(Choice(attempt="a1").of(events)) == ["login.succeeded"]
    assert Choice(attempt="nobody").of(events) == []


@pytest.mark.parametrize(
    ("words", "ago"),
    [("90s", 90), ("10m", 600), ("10min", 600), ("2h", 7200), ("1d12h", 129600), ("1w", 604800)],
)
def test_since_is_a_time_ago(words: str, ago: int) -> None:
    """Units can be combined."""
    assert since(words, NOW) == NOW - timedelta(seconds=ago)


def test_since_is_an_rfc_3339_time() -> None:
    """In UTC, in another time zone, or in the local one."""
    assert since("2026-01-01T13:00:00+01:00") == since("2026-01-01T12:00:00Z") == since("2026-01-01t12:00:00z") == NOW
    assert since("2026-01-01T12:00:00") == datetime(2026, 1, 1, 12).astimezone()
    for wrong in ("", "10", "yesterday", "10 m", "-1h", "9999999999h", "0001-01-01T00:00:00+23:59"):
        with pytest.raises(argparse.ArgumentTypeError, match="neither like 10m"):
            since(wrong)


def test_an_event_is_one_line_without_a_terminal() -> None:
    """The line can be searched: it has the date, the event's name, subject and message, and the other fields."""
    shown = [text for event in of_memory(DAY) for text in LogView().lines(event)]
    assert len(shown) == len(DAY)
    local = f"{(NOW + timedelta(seconds=3)).astimezone():%Y-%m-%d %H:%M:%S}"
    rest = "ghcr.io said no  secret=team  attempt_id=71274221  code=login_rejected  failures=1  wait_s=1800.0"
    assert shown[3] == f"{local} info    login.failed  {rest}"
    assert shown[2].endswith("error   warning.raised  ghcr.io said no  code=login_rejected  → x y")
    assert shown[6].partition("  ")[2].startswith(f"  login.succeeded  {ECR}  secret=ecr")
    assert "environment" not in "".join(shown)


@pytest.mark.parametrize("width", [60, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Unless one word is. Further lines start below the event's name. The date has a line of its own, once a day."""
    tomorrow = line(86400 + 7, "clock.jumped", "warning", seconds=-3.5, message="long " * 60)
    view = LogView(Columns(width))
    shown = [text for event in of_memory([*DAY, tomorrow]) for text in view.lines(event)]
    assert max(len(text) for text in shown if len(text.split()) > 1) <= width
    assert sum("2026-01-0" in text for text in shown) == 2
    assert all(text[0] != " " or text.startswith(" " * 17) for text in shown)


def test_every_event_can_be_shown() -> None:
    """Its fields may be lists, objects, a traceback or empty."""
    fields: dict[str, Any] = {
        "added": ["a", "b"],
        "docker": {"path": "/x", "version": None},
        "exception": "Traceback\n  in x\nBad: no",
    }
    for name in documented_events():
        (event,) = of_memory([line(0, name, **fields, taken_out=True, role=None)])
        first, *more = LogView().lines(event)
        assert first.endswith(f"{name}  added=a,b  docker.path=/x  taken_out=true")
        assert [text.strip() for text in more] == ["Traceback", "in x", "Bad: no"]


def test_lines_that_are_not_events() -> None:
    """From memory they are left out. From the journal they become `journal` events, such as systemd's messages."""
    odd = ["", "{", "[]", '"x"', "{}", '{"time": 1, "event": "x"}', '{"time": "2026-01-01T00:00:00Z", "event": []}']
    odd += ['{"time": "0001-01-01T00:00:00+23:59", "event": "x"}', "[" * 100_000]
    assert of_memory(odd) == []
    foreign, ours = of_journal([JournalLine(NOW, 3, "systemd", "Watchdog timeout!"), JournalLine(NOW, 6, "x", DAY[0])])
    (shown,) = LogView().lines(foreign)
    assert shown.endswith("error   journal  Watchdog timeout!  program=systemd")
    assert ours.line == DAY[0]


def test_a_hostile_agent_cannot_drive_the_terminal() -> None:
    """Control characters in names and values become spaces."""
    evil = "\x1b]0;owned\x07\u202e\x9b31m"
    text = line(
        0, evil, evil, **{evil: evil, "message": evil, "hint": evil, "exception": evil, "x": [evil, {"y": evil}]}
    )
    shown = "".join(LogView(Columns(80)).lines(of_memory([text])[0]))
    assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(shown)


async def test_reads_the_agents_memory() -> None:
    """`--json` prints the lines as they are. Without a filter it shows the last hundred. Standard error is empty."""
    async with serving() as rig:
        remember(rig, DAY)
        answer = await command("logs", "--json", socket=rig.socket)
        assert (answer.code, answer.out.splitlines(), answer.err) == (0, DAY, "")
        few = await command("logs", "--registry", "https://GHCR.io/", "-n", "1", "--level", "error", socket=rig.socket)
        assert (few.code, few.out.count("\n"), "ghcr.io said no" in few.out) == (0, 1, True)
        story = await command("logs", "--attempt", "a1", "--json", socket=rig.socket)
        assert story.out.splitlines() == [event for event in DAY if '"a1"' in event]
        remember(rig, [line(number / 1000, "agent.ready") for number in range(1000)])
        assert len((await command("logs", socket=rig.socket)).out.splitlines()) == 100
        remember(rig, [])
        nothing = await command("logs", socket=rig.socket)
        assert (nothing.code, nothing.out, "there are no events yet" in nothing.err) == (0, "", True)
        remember(rig, DAY)
        early = await command("logs", "--since", "2026-01-01T00:00:00Z", "--json", socket=rig.socket)
        assert early.out.splitlines() == DAY
        assert "use --journal to read earlier events" in early.err


async def test_json_cannot_drive_the_terminal_either() -> None:
    """Control characters that JSON allows are escaped, and the value stays the same."""
    async with serving() as rig:
        remember(rig, [line(0, "agent.ready").replace("ada-dev", "a\x9b31m\u202eb")])
        answer = await command("logs", "--json", socket=rig.socket)
    assert "\x9b" not in answer.out
    assert json.loads(answer.out)["environment"] == "a\x9b31m\u202eb"


@pytest.mark.parametrize(
    "args", [("--level", "loud"), ("-n", "0"), ("-n", "x"), ("--since", "soon"), ("--registry", "a b")]
)
async def test_wrong_usage_is_64(args: tuple[str, str]) -> None:
    """As with every command."""
    answer = await command("logs", *args)
    assert (answer.code, answer.out) == (64, "")


def journalctl(directory: Path, entries: list[dict[str, Any]], *, also: str = "") -> Path:
    """Create a directory for PATH with a journalctl that prints these, newest first, and records its arguments."""
    directory.mkdir(exist_ok=True)
    output = directory / "entries"
    output.write_text("".join(json.dumps(entry) + "\n" for entry in reversed(entries)))
    program = directory / "journalctl"
    program.write_text(f'#!/bin/sh\necho "$@" >{directory}/args\n{also}\ncat {output}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return directory


def entry(second: float, message: object) -> dict[str, Any]:
    micros = int((NOW + timedelta(seconds=second)).timestamp() * 1_000_000)
    return {
        "__REALTIME_TIMESTAMP": str(micros),
        "PRIORITY": "6",
        "MESSAGE": message,
        "SYSLOG_IDENTIFIER": "x",
    }


async def test_reads_the_journal_without_an_agent(tmp_path: Path) -> None:
    """It reports that, leaves out broken entries, decodes bytes, and masks secrets that an old agent logged."""
    leaky = line(2, "login.failed", message="Authorization: Basic YWRhOnBhc3N3b3Jk")
    entries = [
        entry(0, DAY[0]),
        entry(1, [*b"caf\xc3\xa9 \xff"]),
        entry(2, leaky),
        {"MESSAGE": "no time"},
        entry(3, None),
    ]
    path = journalctl(tmp_path / "bin", entries)
    answer = await command("logs", "--json", "--user", "ada", PATH=f"{path}:/usr/bin:/bin")
    first, second, third, fourth = answer.out.splitlines()
    assert (answer.code, first) == (0, DAY[0])
    assert json.loads(second)["message"] == "café \N{REPLACEMENT CHARACTER}"
    assert json.loads(third)["message"] == "Authorization: [redacted]"
    assert json.loads(fourth)["message"] == ""
    assert "no agent answers, so this is from the journal of registry-agent@ada.service" in answer.err
    assert "--unit=registry-agent@ada.service" in (path / "args").read_text()
    await command("logs", "--since", "2026-01-01T12:00:00Z", PATH=f"{path}:/usr/bin:/bin")
    assert f"--since=@{int(NOW.timestamp())}" in (path / "args").read_text()


async def test_sudo_reads_the_journal_of_the_user_who_ran_it(tmp_path: Path) -> None:
    """That user's agent is the one that `sudo registry-agent status` asks. `--user root` still means root's."""
    need_root("because only root runs commands of sudo")
    path = journalctl(tmp_path / "bin", [entry(0, DAY[0])])
    for args, user in (((), "daemon"), (("--user", "root"), "root")):
        answer = await command("logs", *args, PATH=f"{path}:/usr/bin:/bin", SUDO_USER="daemon")
        assert f"--unit=registry-agent@{user}.service" in (path / "args").read_text()
        assert f"from the journal of registry-agent@{user}.service" in answer.err


async def test_journal_option_reads_the_journal(tmp_path: Path) -> None:
    """Even if an agent answers, because the journal goes further back."""
    path = journalctl(tmp_path / "bin", [entry(0, DAY[0])])
    async with serving() as rig:
        remember(rig, DAY[3:])
        answer = await command("logs", "--json", "--journal", socket=rig.socket, PATH=f"{path}:/usr/bin:/bin")
    assert (answer.code, answer.out.splitlines()) == (0, DAY[:1])


@pytest.mark.parametrize(
    ("also", "why"),
    [
        ("echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1", "may not read it"),
        ("echo 'Failed: no such thing' >&2; exit 1", "journalctl reports: Failed: no such thing"),
        ("exit 0", "it has no entries"),
    ],
)
async def test_exits_with_1_without_an_agent_and_a_journal(tmp_path: Path, also: str, why: str) -> None:
    """The message gives the reason for both."""
    path = journalctl(tmp_path / "bin", [], also=also)
    answer = await command("logs", PATH=f"{path}:/usr/bin:/bin")
    assert (answer.code, answer.out) == (1, "")
    assert "no agent answers; looked at" in answer.err
    assert why in answer.err
    missing = await command("logs", PATH=str(tmp_path))
    assert (missing.code, "journalctl is not installed" in missing.err) == (1, True)


async def test_reads_the_journal_if_the_agent_is_silent(tmp_path: Path) -> None:
    """An agent that accepts the connection and never answers counts as no agent."""
    path = journalctl(tmp_path / "bin", [entry(0, DAY[0])])
    with tempfile.TemporaryDirectory(prefix="ra-") as directory, socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{directory}/agent.sock")
        silent.listen()
        place = Path(directory, "agent.sock")
        answer = await command("logs", "--json", socket=place, PATH=f"{path}:/usr/bin:/bin")
    assert (answer.code, answer.out.splitlines()) == (0, DAY[:1])


async def next_line(following: asyncio.subprocess.Process) -> str:
    assert following.stdout is not None
    return (await following.stdout.readline()).decode().rstrip("\n")


async def test_follow_shows_each_new_event_once() -> None:
    """Also if there are more new events than one poll asks for. Filters still apply."""
    async with serving() as rig:
        remember(rig, [DAY[0]])
        following = await start("logs", "-f", "--json", "--level", "info", "--socket", str(rig.socket))
        assert await next_line(following) == DAY[0]
        many = [line(10 + number / 1000, "agent.ready") for number in range(300)]
        remember(rig, [DAY[0], line(9, "login.started", "debug"), *many])
        assert [await next_line(following) for _ in many] == many
        following.terminate()
        await following.wait()


async def test_follow_survives_a_restart_of_the_agent(tmp_path: Path) -> None:
    """The old agent's last events come from the journal, then the new agent's follow. After Ctrl-C it exits with 0."""
    path = journalctl(tmp_path / "bin", [entry(0, DAY[0]), entry(3, DAY[3])])
    async with serving() as rig:
        remember(rig, [DAY[0]])
        directory = rig.directory
        following = await start(
            "logs", "-f", "--json", "--socket", str(rig.socket), PATH=f"{path}:{os.environ['PATH']}"
        )
        assert await next_line(following) == DAY[0]
        await rig.server.close()
        assert await next_line(following) == DAY[3]
        async with serving(directory=directory) as another:
            remember(another, [DAY[8]])
            assert await next_line(following) == DAY[8]
            following.send_signal(2)
            answer = await ended(following)
    assert answer.code == 0
    assert "the agent does not answer; waiting for it" in answer.err
    assert "an agent answers" in answer.err


@pytest.mark.parametrize("recorded", [2, 0])
async def test_follow_stays_with_the_journal(tmp_path: Path, recorded: int) -> None:
    """With `--journal`, it shows only what the journal gets, although an agent answers, and `-n` counts."""
    path = journalctl(tmp_path / "bin", [entry(number, DAY[number]) for number in range(recorded)])
    async with serving() as rig:
        remember(rig, DAY[5:])
        words = ("logs", "-f", "--json", "--journal", "-n", "1", "--socket", str(rig.socket))
        following = await start(*words, PATH=f"{path}:{os.environ['PATH']}")
        assert following.stderr is not None
        assert b"from the journal of" in await following.stderr.readline()
        if recorded:
            assert await next_line(following) == DAY[1]
        newer = journalctl(tmp_path / "newer", [entry(number, DAY[number]) for number in range(4)])
        (newer / "entries").replace(path / "entries")
        for number in range(recorded, 4):
            assert await next_line(following) == DAY[number]
        following.send_signal(2)
        answer = await ended(following)
    assert (answer.code, answer.out) == (0, "")


async def test_follow_waits_for_an_agent_that_has_not_started(tmp_path: Path) -> None:
    """It reports that, with the reason, and then shows the agent's events from the first one on."""
    async with serving() as rig:
        remember(rig, DAY[:2])
        await rig.server.close()
        following = await start("logs", "-f", "--json", "--socket", str(rig.socket), PATH=str(tmp_path))
        assert following.stderr is not None
        notes = await following.stderr.readuntil(b"waiting for an agent\n")
        assert b"no agent answers; looked at" in notes
        assert b"journalctl is not installed" in notes
        await rig.server.start()
        assert [await next_line(following), await next_line(following)] == DAY[:2]
        following.send_signal(2)
        assert (await ended(following)).code == 0


async def test_follow_exits_with_1_if_the_journal_cannot_be_read(tmp_path: Path) -> None:
    """With `--journal` it does not wait for an agent."""
    answer = await command("logs", "-f", "--journal", PATH=str(tmp_path))
    assert (answer.code, "journalctl is not installed" in answer.err) == (1, True)


async def test_a_closed_pipe_is_not_an_error() -> None:
    """`logs | head` ends with 0 and without a message."""
    async with serving() as rig:
        remember(rig, [line(number / 1000, "agent.ready", message="x" * 2000) for number in range(1000)])
        showing, output = await start_with_reader("logs", "-n", "1000", "--socket", str(rig.socket))
        with output:
            await asyncio.to_thread(output.readline)
        assert (await ended(showing)) == Ended(0, "", "")


async def test_a_terminal_gets_colours_and_its_width() -> None:
    """With NO_COLOR there are no colours, but the width stays."""
    async with serving() as rig:
        remember(rig, DAY)
        async with Terminal("logs", "--socket", str(rig.socket), columns=70) as terminal:
            assert await terminal.ended() == 0
            assert "\x1b[31merror\x1b[0m" in terminal.written
        async with Terminal("logs", "--socket", str(rig.socket), columns=70, NO_COLOR="1") as terminal:
            assert await terminal.ended() == 0
            assert "\x1b" not in terminal.written
            assert max(map(len, terminal.written.split("\r\n"))) <= 70
