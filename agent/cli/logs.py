"""`registry-agent logs`: shows recent events from the agent's memory, or from the journal if no agent answers."""

import argparse
import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Final

from agent.cli import CommandError, command, registry, write, write_error
from agent.cli.logs_choice import LEVELS, Choice, Event, of_journal, of_memory, since
from agent.cli.logs_view import LogView
from agent.cli.status import add_place, agent_client, user_of
from agent.cli.terminal import Terminal, escaped
from agent.edge.agent_client import AgentUnavailable
from agent.edge.journal_line import JournalUnreadable, unit_of

SHOWN: Final = 0

_KEPT: Final = 1000
"""How many events the agent remembers at most; also how many lines to read from the journal without `--since`."""
_JOURNAL_LINES: Final = 100_000
_NEWEST: Final = 50
"""How many events each poll asks for. If even the oldest of them is new, it asks for all, since some may be missing."""
_LAST: Final = 100
_ANSWER_S: Final = 10.0
_JOURNAL_S: Final = 20.0
_EVERY_S: Final = 0.5
_JOURNAL_EVERY_S: Final = 2.0
"""The same for the journal, because each time starts a process."""

Print = Callable[[Iterable[Event]], bool]
"""Prints events; False if the reader has closed the pipe."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="keep showing new events, until Ctrl-C")
    parser.add_argument(
        "-n",
        "--lines",
        metavar="N",
        type=_count,
        help=f"show the last N events (default: {_LAST}, or all with a filter)",
    )
    parser.add_argument(
        "--since", metavar="WHEN", type=since, help="show events since 10m, 2h or 3d ago, or 2026-01-31T08:00:00Z"
    )
    parser.add_argument("--level", choices=LEVELS, help="show events of this level or a more severe one")
    parser.add_argument("--registry", metavar="HOST", type=registry, help="show events about this registry")
    parser.add_argument("--attempt", metavar="ID", help="show the events of one login attempt, by its attempt_id")
    parser.add_argument("--json", action="store_true", help="print the events as JSON, one per line")
    parser.add_argument("--journal", action="store_true", help="read the systemd journal even if an agent answers")
    add_place(parser)


@command("logs")
def run(args: argparse.Namespace) -> int:
    """Print events.

    Returns:
        0 if there was a log to read, 1 if not, 130 after Ctrl-C without `--follow`.
    """
    filters = Choice(args.since, args.level, args.registry, args.attempt)
    last = args.lines or (_LAST if filters == Choice() else None)
    reader, show = _Reader(args), _printer(as_json=args.json)
    try:
        events = reader.first(args.since)
        reading = show(replace(filters, last=last).of(events))
        if args.follow and reading:
            _follow(reader, filters, show, events)
    except KeyboardInterrupt:
        if not args.follow:
            raise
    return SHOWN


def _follow(reader: "_Reader", filters: Choice, show: Print, events: Iterable[Event]) -> None:
    """Print each further event until the reader closes the pipe. If the agent ends, wait for the next one.

    The last events of an agent that ends come from the journal, because it closes its socket before it logs them.
    """
    known = deque(events, _KEPT * 2)
    reading = True
    while reading:
        time.sleep(reader.interval_s)
        old = {event.line for event in known}
        fresh = [event for event in reader.newer(old, known[-1].time if known else None) if event.line not in old]
        known.extend(fresh)
        reading = show(filters.of(fresh))


class _Reader:
    """Reads from the agent or from the journal, and prints on standard error which one it uses."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._agent: Final = agent_client(args)
        self._unit: Final = unit_of(user_of(args))
        self._journal_wanted: Final = args.journal
        self._may_wait: Final = args.follow and not args.journal
        self._answering = False
        self.interval_s: Final = _JOURNAL_EVERY_S if args.journal else _EVERY_S

    def first(self, begin: datetime | None) -> list[Event]:
        """Return all events there are, oldest first: the agent's, or the journal's if no agent answers.

        Raises:
            CommandError: neither can be read, and there is nothing to wait for.
        """
        why = ""
        if not self._journal_wanted:
            try:
                events = self._memory(_KEPT)
            except AgentUnavailable as error:
                why = str(error)
            else:
                self._answering = True
                _note_gap(events, begin)
                return events
        try:
            events = self._journal(begin)
            fault = "it has no entries" if why and not events else ""
        except JournalUnreadable as error:
            events, fault = [], str(error)
        if fault:
            return self._nothing("\n".join(filter(None, (why, f"the journal of {self._unit}: {fault}"))))
        _note(f"{'no agent answers, so this is' if why else 'this is'} from the journal of {self._unit}")
        _note_gap(events, None)
        return events

    def _nothing(self, why: str) -> list[Event]:
        if not self._may_wait:
            raise CommandError(why)
        _note(f"{why}\nwaiting for an agent")
        return []

    def newer(self, known: set[str], last: datetime | None) -> list[Event]:
        """Return the events that may be new. Most of them are usually known already."""
        if self._journal_wanted:
            with contextlib.suppress(JournalUnreadable):  # it was readable at the start, and may be again
                return self._journal(last)
            return []
        try:
            events = self._memory(_NEWEST)
            if events and events[0].line not in known:
                events = self._memory(_KEPT)
        except AgentUnavailable:
            if not self._answering:
                return []
            self._answering = False
            _note("the agent does not answer; waiting for it")
            return self._journal_after(last)
        if not self._answering:
            self._answering = True
            _note("an agent answers")
            # The last events of the former agent may have reached the journal only after we read it.
            return [*self._journal_after(last), *events]
        return events

    def _memory(self, lines: int) -> list[Event]:
        # Not splitlines(): it also splits at Unicode line ends, which an event may contain.
        return of_memory(self._agent.text(f"/v1/logs?lines={lines}", _ANSWER_S).split("\n"))

    def _journal(self, begin: datetime | None) -> list[Event]:
        # Imported here because they are needed only if no agent answers.
        import asyncio  # noqa: PLC0415

        from agent.edge.journalctl import read_journal  # noqa: PLC0415
        from agent.support.patterns import mask_patterns  # noqa: PLC0415

        lines = _JOURNAL_LINES if begin else _KEPT
        entries = asyncio.run(read_journal(self._unit, os.environ, since=begin, lines=lines, timeout=_JOURNAL_S))
        # Mask secrets again: an older agent, or a program that it ran, may have logged by weaker rules than today's.
        return of_journal(replace(entry, message=mask_patterns(entry.message)[0]) for entry in entries)

    def _journal_after(self, last: datetime | None) -> list[Event]:
        """Return the journal's events after `last`, or none if there is no journal."""
        with contextlib.suppress(JournalUnreadable):
            return [event for event in self._journal(last) if event.time > last] if last else []
        return []


def _note(words: str) -> None:
    write_error("logs", words)


def _note_gap(events: list[Event], begin: datetime | None) -> None:
    """Print a note if the agent's memory is empty, or does not reach back to `begin`."""
    if not events:
        _note("there are no events yet")
    elif begin and events[0].time > begin:
        began = f"{events[0].time.astimezone():%Y-%m-%d %H:%M:%S}"
        _note(f"the agent's memory starts at {began}; use --journal to read earlier events under systemd")


def _printer(*, as_json: bool) -> Print:
    view = LogView(Terminal.of_stdout() if sys.stdout.isatty() else None)

    def show(events: Iterable[Event]) -> bool:
        shown = ([escaped(event.line)] if as_json else view.lines(event) for event in events)
        lines = [*chain.from_iterable(shown)]
        return write("\n".join(lines)) if lines else True

    return show


def _count(argument: str) -> int:
    if not argument.isascii() or not argument.isdigit() or int(argument[:9]) == 0:
        raise argparse.ArgumentTypeError(f"{argument} is not a number above 0")
    return int(argument[:9])
