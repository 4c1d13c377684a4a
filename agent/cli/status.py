"""`registry-agent status`: shows the agent's status, once or at each change."""

import argparse
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
"""How many registries a "waiting for" line names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the JSON document; with --watch, one per line")
    parser.add_argument("--watch", action="store_true", help="show each change, until you press q or Ctrl-C")
    parser.add_argument("--wait", action="store_true", help="wait until the agent has tried every registry once")
    parser.add_argument("--strict", action="store_true", help="exit with 2 unless the condition is healthy")
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, help="give up after S seconds (default: 10, with --wait 60)"
    )
    add_place(parser)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that select an agent."""
    parser.add_argument("--socket", metavar="PATH", type=Path, help="path of the agent's socket")
    parser.add_argument("--user", metavar="USER", help="use this user's agent (default: your own)")


def agent_client(args: argparse.Namespace) -> AgentClient:
    """Return a client of the agent that the arguments select."""
    return AgentClient([args.socket] if args.socket else socket_candidates(args.user), args.user)


@command("status", keyboard=True)
def run(args: argparse.Namespace) -> int:
    """Print the status.

    Returns:
        0 if the agent answered, 1 if not, 2 with `--strict` if the condition is not healthy, 130 after Ctrl-C.
    """
    agent = agent_client(args)
    show = _Output(as_json=args.json, repeated=args.watch)
    try:
        document = _first(agent, args)
        if show.redraws:
            # Imported here because only --watch on a terminal needs it.
            from agent.cli.status_watch import watch  # noqa: PLC0415

            watch(agent, document)
            return ANSWERED
        if args.watch:
            _watch(agent, document, show)
            return ANSWERED
        show(document)
    except (AgentNotRunning, AgentNotResponding, _FirstPassTimeout) as error:
        write_error("status", str(error))
        return NO_AGENT
    except KeyboardInterrupt:
        return ANSWERED if args.watch else INTERRUPTED
    return NOT_HEALTHY if args.strict and document.get("condition") != "healthy" else ANSWERED


def seconds(argument: str) -> float:
    """Parse an argument that must be a number of seconds above 0."""
    value = float(argument)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{argument} is not a number of seconds above 0")
    return value


class _FirstPassTimeout(Exception):  # noqa: N818 - named after what happened, as AgentNotRunning is
    """The first pass did not finish in time."""


class _Output:
    """Prints documents as JSON or as text. `redraws` is true if they are drawn over each other on a terminal."""

    def __init__(self, *, as_json: bool, repeated: bool) -> None:
        self._as_json: Final = as_json
        self._repeated: Final = repeated
        self.redraws: Final = repeated and not as_json and sys.stdout.isatty()

    def __call__(self, document: dict[str, Any]) -> bool:
        """Print the document; False if the reader has closed the pipe."""
        if self._as_json:
            lines = [_escaped(json.dumps(document, ensure_ascii=False, indent=None if self._repeated else 2))]
        else:
            colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
            lines = View(shutil.get_terminal_size((80, 24)).columns, colours).lines(document)
        if self._repeated and not self._as_json:
            lines.append("")
        return write("\n".join(lines))


def _escaped(document: str) -> str:
    """Escape control characters, which the terminal would obey: another user's agent may send anything."""
    return "".join(f"\\u{ord(c):04x}" if c != "\n" and CONTROL.match(c) else c for c in document)


def _first(agent: AgentClient, args: argparse.Namespace) -> dict[str, Any]:
    if args.wait:
        return _first_pass(agent, args.timeout or _FIRST_PASS_S)
    return agent.status(args.timeout or _ANSWER_S)


def _first_pass(agent: AgentClient, timeout: float) -> dict[str, Any]:
    """Wait for the first document with phase `running`, and also for an agent that has not started yet.

    Raises:
        AgentNotRunning, AgentNotResponding: no agent answered before the timeout.
        _FirstPassTimeout: the agent answered, but its first pass did not finish before the timeout.
    """
    end = time.monotonic() + timeout
    report = _ProgressLine()
    since: int | None = None
    while True:
        left = max(end - time.monotonic(), 0)
        try:
            document = agent.status(left + _GRACE_S, since=since, wait_s=min(left, _HOLD_S))
        except (AgentNotRunning, AgentNotResponding) as error:
            if time.monotonic() + _PAUSE_S >= end:
                raise
            report(f"waiting for the agent: {str(error).partition(';')[0]}")
            time.sleep(_PAUSE_S)
            since = None  # the next answer comes at once, and ends this message
            continue
        if document.get("phase") == "running":
            return document
        waited_for = _waited_for(document)
        if time.monotonic() >= end:
            raise _FirstPassTimeout(
                f"the first pass did not finish within {timeout:g} s; it is waiting for {waited_for}"
            )
        report(f"waiting for {waited_for}")
        since = document["revision"]


def _waited_for(document: dict[str, Any]) -> str:
    """Return the registries that the agent has not tried yet, and how many it has tried."""
    registries = document["registries"]
    pending = [text(row["hostname"]) for row in registries if row["state"] == "pending"]
    if not pending:
        return "the secret sources"
    more = f" and {len(pending) - _NAMED} more" if len(pending) > _NAMED else ""
    done = f" ({len(registries) - len(pending)} of {len(registries)} tried)" if len(registries) > 1 else ""
    return ", ".join(pending[:_NAMED]) + more + done


def _watch(agent: AgentClient, document: dict[str, Any], show: Callable[[dict[str, Any]], bool]) -> None:
    """Show this and each further document until the reader closes the pipe. If the agent restarts, wait for it."""
    report = _ProgressLine()
    since: int | None = document["revision"]
    reading = show(document)
    while reading:
        try:
            newer = agent.status(_HOLD_S + _ANSWER_S, since=since, wait_s=_HOLD_S)
        except (AgentNotRunning, AgentNotResponding) as error:
            report(f"waiting for the agent: {str(error).partition(';')[0]}")
            time.sleep(_PAUSE_S)
            since = None  # the next answer comes at once, and ends this message
            continue
        report = _ProgressLine()
        if newer["revision"] != since:
            reading = show(newer)
        since = newer["revision"]


class _ProgressLine:
    """Prints progress on standard error. It does not repeat the line that it printed last."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, line: str) -> None:
        if line != self._last:
            self._last = line
            write_error("status", line)
