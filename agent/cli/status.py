"""`registry-agent status`: what the agent says, once or at each change."""

import argparse
import contextlib
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from agent.cli import command, write, write_error
from agent.cli.status_view import View, text
from agent.edge.agent_client import AgentClient, AgentNotResponding, AgentNotRunning
from agent.edge.paths import socket_candidates
from agent.model.text import CONTROL

ANSWERED: Final = 0
NO_AGENT: Final = 1
NOT_HEALTHY: Final = 2
INTERRUPTED: Final = 130

_ANSWER_S: Final = 10.0
_FIRST_PASS_S: Final = 60.0
_HOLD_S: Final = 30.0
_PAUSE_S: Final = 0.25
_GRACE_S: Final = 0.5
_NAMED: Final = 3
"""So many registries are named where many are waited for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="the document itself; with --watch one a line")
    parser.add_argument("--watch", action="store_true", help="again at each change, until q or Ctrl-C")
    parser.add_argument("--wait", action="store_true", help="wait until every registry was attempted once")
    parser.add_argument("--strict", action="store_true", help="exit with 2 unless the condition is healthy")
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, help="give up after S seconds; without it 10, with --wait 60"
    )
    add_place(parser)


def add_place(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which agent is meant."""
    parser.add_argument("--socket", metavar="PATH", type=Path, help="the agent's socket")
    parser.add_argument("--user", metavar="USER", help="whose agent, where several run")


@command("status", keyboard=True)
def run(args: argparse.Namespace) -> int:
    """Print the status; the exit code of section 5."""
    agent = AgentClient([args.socket] if args.socket else socket_candidates(args.user), args.user)
    show = _Screen(as_json=args.json, repeated=args.watch)
    try:
        document = _first(agent, args)
        if show.redraws:
            # Imported here: nobody else needs the terminal's part.
            from agent.cli.status_watch import watch  # noqa: PLC0415

            watch(agent, document)
            return ANSWERED
        if args.watch:
            _watch(agent, document, show)
            return ANSWERED
        show(document)
    except (AgentNotRunning, AgentNotResponding, _Late) as fault:
        write_error("status", str(fault))
        return NO_AGENT
    except KeyboardInterrupt:
        return ANSWERED if args.watch else INTERRUPTED
    return NOT_HEALTHY if args.strict and document.get("condition") != "healthy" else ANSWERED


def seconds(argument: str) -> float:
    """An argument that is a number of seconds above 0."""
    value = float(argument)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{argument} is not a number of seconds above 0")
    return value


class _Late(Exception):  # noqa: N818 - as NoAgent
    """The first pass is not over in time."""


class _Screen:
    """Where documents go: a terminal that is drawn anew, or lines one after the other."""

    def __init__(self, *, as_json: bool, repeated: bool) -> None:
        self._as_json: Final = as_json
        self._repeated: Final = repeated
        self.redraws: Final = repeated and not as_json and sys.stdout.isatty()
        with contextlib.suppress(AttributeError):  # tests and embedders may have put another stream there
            sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a text stream has it

    def __call__(self, document: dict[str, Any]) -> bool:
        """Whether somebody still reads."""
        if self._as_json:
            lines = [_escaped(json.dumps(document, ensure_ascii=False, indent=None if self._repeated else 2))]
        else:
            colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
            lines = View(shutil.get_terminal_size((80, 24)).columns, colours).lines(document)
        if self._repeated and not self._as_json:
            lines.append("")
        return write("\n".join(lines))


def _escaped(document: str) -> str:
    """The same JSON without what a terminal would obey: another user's agent may answer anything."""
    return "".join(f"\\u{ord(c):04x}" if c != "\n" and CONTROL.match(c) else c for c in document)


def _first(agent: AgentClient, args: argparse.Namespace) -> dict[str, Any]:
    if args.wait:
        return _first_pass(agent, args.timeout or _FIRST_PASS_S)
    return agent.status(args.timeout or _ANSWER_S)


def _first_pass(agent: AgentClient, timeout: float) -> dict[str, Any]:
    """The first document of phase `running`; an agent that is not there yet is waited for too.

    Raises:
        NoAgent, NoAnswer, _Late: what was so when the time was over.
    """
    end = time.monotonic() + timeout
    say_news = _Once()
    since: int | None = None
    while True:
        left = max(end - time.monotonic(), 0)
        try:
            document = agent.status(left + _GRACE_S, since=since, wait_s=min(left, _HOLD_S))
        except (AgentNotRunning, AgentNotResponding) as fault:
            if time.monotonic() + _PAUSE_S >= end:
                raise
            say_news(f"waiting for the agent: {str(fault).partition(';')[0]}")
            time.sleep(_PAUSE_S)
            since = None
            continue
        if document.get("phase") == "running":
            return document
        waited_for = _waited_for(document)
        if time.monotonic() >= end:
            raise _Late(f"the first pass is not over after {timeout:g} s; it waits for {waited_for}")
        say_news(f"waiting for {waited_for}")
        since = document["revision"]


def _waited_for(document: dict[str, Any]) -> str:
    """The registries that were not attempted yet, and how many were."""
    registries = document["registries"]
    pending = [text(row["hostname"]) for row in registries if row["state"] == "pending"]
    if not pending:
        return "the sources of secrets"
    more = f" and {len(pending) - _NAMED} more" if len(pending) > _NAMED else ""
    done = f" ({len(registries) - len(pending)} of {len(registries)} tried)" if len(registries) > 1 else ""
    return ", ".join(pending[:_NAMED]) + more + done


def _watch(agent: AgentClient, document: dict[str, Any], show: Callable[[dict[str, Any]], bool]) -> None:
    """Show this and each further document, for as long as somebody reads; a restart of the agent is waited out."""
    say_news = _Once()
    since: int | None = document["revision"]
    reading = show(document)
    while reading:
        try:
            newer = agent.status(_HOLD_S + _ANSWER_S, since=since, wait_s=_HOLD_S)
        except (AgentNotRunning, AgentNotResponding) as fault:
            say_news(f"waiting for the agent: {str(fault).partition(';')[0]}")
            time.sleep(_PAUSE_S)
            since = None
            continue
        say_news = _Once()
        if newer["revision"] != since:
            reading = show(newer)
        since = newer["revision"]


class _Once:
    """Says on stderr what is new to say."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, line: str) -> None:
        if line != self._said:
            self._said = line
            write_error("status", line)
