"""`registry-agent logs`: the agent's recent events, from its memory, or from the journal where no agent answers."""

import argparse
import contextlib
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Final

from agent.cli import command, write, write_error
from agent.cli.logs_choice import LEVELS, Choice, Event, of_journal, of_memory, since
from agent.cli.logs_view import LogView
from agent.cli.status import add_place
from agent.edge.agent_client import AgentClient, AgentNotResponding, AgentNotRunning
from agent.edge.journal_line import JournalUnreadable, unit_of
from agent.edge.paths import socket_candidates, user_name
from agent.model.registry import HostnameError, parse_hostname
from agent.model.text import CONTROL

SHOWN: Final = 0
NOTHING_TO_READ: Final = 1
INTERRUPTED: Final = 130

_KEPT: Final = 1000
"""What the agent remembers at most, and what is read of the journal where nobody says since when."""
_OF_JOURNAL: Final = 100_000
_NEWEST: Final = 50
"""What is asked for each time; all of it only where these do not begin with one that is known."""
_LAST: Final = 100
_ANSWER_S: Final = 10.0
_JOURNAL_S: Final = 20.0
_EVERY_S: Final = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="then each further event, until Ctrl-C")
    parser.add_argument(
        "-n", "--lines", metavar="N", type=_count, help=f"the last N; {_LAST} where nothing else is asked for"
    )
    parser.add_argument("--since", metavar="WHEN", type=since, help="10m, 2h, 3d ago, or 2026-01-31T08:00:00Z")
    parser.add_argument("--level", choices=LEVELS, help="this level and graver ones")
    parser.add_argument("--registry", metavar="HOST", type=_registry, help="what is about this registry")
    parser.add_argument("--attempt", metavar="ID", help="the story of one login, by the attempt_id that its lines bear")
    parser.add_argument("--json", action="store_true", help="the events as they were logged, one a line")
    parser.add_argument("--journal", action="store_true", help="read the journal even where an agent answers")
    add_place(parser)


@command("logs")
def run(args: argparse.Namespace) -> int:
    """Print events; the exit code of section 5."""
    chosen = any((args.since, args.level, args.registry, args.attempt))
    last = args.lines or (None if chosen else _LAST)
    choice = Choice(args.since, args.level, args.registry, args.attempt, last)
    reader = _Reader(args)
    printer = _Printer(as_json=args.json)
    try:
        events = _first(reader, choice.since, wait=args.follow and not args.journal)
        reading = printer.print(choice.of(events))
        if args.follow and reading:
            _follow(reader, Choice(args.since, args.level, args.registry, args.attempt), printer, events)
    except _Nothing as fault:
        _say(str(fault))
        return NOTHING_TO_READ
    except KeyboardInterrupt:
        return SHOWN if args.follow else INTERRUPTED
    return SHOWN


def _first(reader: "_Reader", begin: datetime | None, *, wait: bool) -> list[Event]:
    """All there is to choose from, and a word where that is nothing.

    Raises:
        _Nothing: unless somebody waits for what comes.
    """
    try:
        events = reader.first(begin)
    except _Nothing as fault:
        if not wait:
            raise
        _say(f"{fault}\nwaiting for an agent")
        return []
    if not events:
        _say("there are no events yet")
    return events


def _follow(reader: "_Reader", choice: Choice, printer: "_Printer", events: Iterable[Event]) -> None:
    """Print each further event, for as long as somebody reads; an agent that ends is waited for.

    Its last words are in the journal: the socket closes before they could be asked for.
    """
    known = deque(events, _KEPT * 2)
    done = deque((event.line for event in known), _KEPT * 2)
    reading = True
    while reading:
        time.sleep(_EVERY_S)
        seen = set(done)
        fresh = [event for event in reader.newer(seen, known[-1].time if known else None) if event.line not in seen]
        if not fresh:
            continue
        known.extend(fresh)
        done.extend(event.line for event in fresh)
        news = {event.line for event in fresh}
        reading = printer.print(event for event in choice.of(known) if event.line in news)


class _Nothing(Exception):  # noqa: N818 - as NoAgent
    """Neither an agent nor a journal; the text says why of both."""


class _Reader:
    """Knows both places, and says on standard error which one it reads."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._agent: Final = AgentClient([args.socket] if args.socket else socket_candidates(args.user), args.user)
        self._unit: Final = unit_of(args.user or user_name())
        self._journal_wanted: Final = args.journal
        self._answering = False

    def first(self, begin: datetime | None) -> list[Event]:
        """All there is to choose from, oldest first."""
        why = ""
        if not self._journal_wanted:
            try:
                events = self._memory(_KEPT)
            except (AgentNotRunning, AgentNotResponding) as fault:
                why = str(fault)
            else:
                self._answering = True
                self._tell_gap(events, begin)
                return events
        try:
            events = self._journal(begin)
        except JournalUnreadable as fault:
            raise _Nothing("\n".join(filter(None, (why, f"the journal of {self._unit}: {fault}")))) from fault
        if not events and why:
            raise _Nothing(f"{why}\nthe journal of {self._unit}: it holds nothing")
        _say(f"{'no agent answers, so this is' if why else 'this is'} from the journal of {self._unit}")
        return events

    def newer(self, seen: set[str], last: datetime | None) -> list[Event]:
        """What may be new; most of it need not be."""
        try:
            events = self._memory(_NEWEST)
            if events and events[0].line not in seen:
                events = self._memory(_KEPT)
        except (AgentNotRunning, AgentNotResponding):
            if not self._answering:
                return []
            self._answering = False
            _say("the agent does not answer; waiting for it")
            return self._between(last)
        if not self._answering:
            self._answering = True
            _say("an agent answers")
            # What the former one said at its end may have come into the journal only after we looked.
            return [*self._between(last), *events]
        return events

    def _memory(self, lines: int) -> list[Event]:
        # By line feeds alone: other line ends that Unicode knows may stand inside an event.
        return of_memory(self._agent.text(f"/v1/logs?lines={lines}", _ANSWER_S).split("\n"))

    def _journal(self, begin: datetime | None) -> list[Event]:
        # Imported here: where an agent answers nobody needs them.
        import asyncio  # noqa: PLC0415

        from agent.edge.journalctl import read_journal  # noqa: PLC0415
        from agent.support.patterns import mask_patterns  # noqa: PLC0415

        lines = _OF_JOURNAL if begin else _KEPT
        reading = asyncio.run(read_journal(self._unit, os.environ, since=begin, lines=lines, timeout=_JOURNAL_S))
        # What an older agent wrote, or a program that it ran, went by other rules than today's.
        return of_journal(replace(line, message=mask_patterns(line.message)[0]) for line in reading)

    def _between(self, last: datetime | None) -> list[Event]:
        """What the journal has since; without one, nothing."""
        with contextlib.suppress(JournalUnreadable):
            return [event for event in self._journal(last) if event.time > last] if last else []
        return []

    def _tell_gap(self, events: list[Event], begin: datetime | None) -> None:
        if begin and events and events[0].time > begin:
            began = f"{events[0].time.astimezone():%Y-%m-%d %H:%M:%S}"
            _say(f"the agent's memory begins at {began}; where there is a journal, --journal shows what was before")


class _Printer:
    def __init__(self, *, as_json: bool) -> None:
        self._as_json: Final = as_json
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size((80, 24)).columns if terminal else None
        self._view: Final = LogView(width, terminal and not os.environ.get("NO_COLOR"))
        with contextlib.suppress(AttributeError):  # tests and embedders may have put another stream there
            sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a text stream has it

    def print(self, events: Iterable[Event]) -> bool:
        """Whether somebody still reads."""
        shown = ([_safe(event.line)] if self._as_json else self._view.lines(event) for event in events)
        lines = [*chain.from_iterable(shown)]
        return write("\n".join(lines)) if lines else True


def _safe(line: str) -> str:
    """The same JSON, without what could drive a terminal."""
    return CONTROL.sub(lambda match: "".join(f"\\u{ord(character):04x}" for character in match[0]), line)


def _say(words: str) -> None:
    write_error("logs", words)


def _count(argument: str) -> int:
    if not argument.isascii() or not argument.isdigit() or int(argument[:9]) == 0:
        raise argparse.ArgumentTypeError(f"{argument} is not a number above 0")
    return int(argument[:9])


def _registry(argument: str) -> str:
    try:
        return parse_hostname(argument).hostname
    except HostnameError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from fault
