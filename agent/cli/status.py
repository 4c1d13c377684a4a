"""`registry-agent status`: shows the agent's status, once or at each change."""

import argparse
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from agent.cli import CommandError, command, seconds, write, write_error
from agent.cli.status_view import status_lines
from agent.cli.terminal import Terminal, escaped, text
from agent.edge.agent_client import AgentClient, AgentNotResponding, AgentUnavailable
from agent.edge.paths import docker_directory, socket_candidates, sudo_user, user_name
from agent.model.desired_login import MEMORY
from agent.model.hints import sudo_advice
from agent.model.status_document import check_status
from agent.model.variables import obeys_escapes

ANSWERED: Final = 0
NOT_HEALTHY: Final = 2

_ANSWER_S: Final = 10.0
_FIRST_PASS_S: Final = 60.0
_HOLD_S: Final = 30.0
_PAUSE_S: Final = 0.25
_GRACE_S: Final = 0.5
_USER: Final = re.compile(r"[^\s/.-][^\s/]*")
_NAMED: Final = 3
"""How many registries a "waiting for" line names."""

Document = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the JSON document; with --watch, one per line")
    parser.add_argument("--watch", action="store_true", help="show each change, until you press Ctrl-C")
    parser.add_argument("--wait", action="store_true", help="wait until the agent has tried every registry once")
    parser.add_argument("--strict", action="store_true", help="exit with 2 unless the condition is healthy")
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, help="give up after S seconds (default: 10, with --wait 60)"
    )
    add_place(parser)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that select an agent."""
    parser.add_argument("--socket", metavar="PATH", type=Path, help="path of the agent's socket")
    parser.add_argument(
        "--user", metavar="USER", type=_user, help="use this user's agent (default: your own, also under sudo)"
    )


def _user(argument: str) -> str:
    # The name becomes part of a path, and of the name of a unit.
    if not _USER.fullmatch(argument):
        raise argparse.ArgumentTypeError(f"{argument!r} is not a user name")
    return argument


def sockets(args: argparse.Namespace) -> list[Path]:
    """Return where the agent that the arguments select may listen."""
    return [args.socket] if args.socket else socket_candidates(args.user)


def user_of(args: argparse.Namespace) -> str:
    """Return the user of the agent that the arguments select: by default the one who ran the command, or sudo."""
    return args.user or sudo_user() or user_name()


def agent_client(args: argparse.Namespace) -> AgentClient:
    return AgentClient(sockets(args), user_of(args))


@command("status", AgentUnavailable)
def run(args: argparse.Namespace) -> int:
    """Print the status.

    Returns:
        0 if the agent answered, 1 if not, 2 with `--strict` if the condition is not healthy, 130 after Ctrl-C.
    """
    agent = agent_client(args)
    try:
        document = _first_pass(agent, args) if args.wait else _ask(agent, args.timeout or _ANSWER_S)
        if args.watch:
            _watch(agent, document, args)
            return ANSWERED
    except KeyboardInterrupt:
        if args.watch:
            return ANSWERED
        raise
    _show(document, args)
    return NOT_HEALTHY if args.strict and document.get("condition") != "healthy" else ANSWERED


def check_answer(check: Callable[[object], None], answer: object) -> None:
    """Check an answer, which may come from any program, so that all else can rely on its fields."""
    try:
        check(answer)
    except TypeError as error:
        raise AgentNotResponding(f"its answer is not valid: {error} is missing or of the wrong type") from error


def _ask(agent: AgentClient, timeout: float, *, since: int | None = None, wait_s: float = 0.0) -> Document:
    document = agent.status(timeout, since=since, wait_s=wait_s)
    check_answer(check_status, document)
    return document


def documents(
    agent: AgentClient,
    unanswered: Callable[[AgentUnavailable], None],
    *,
    since: int | None = None,
    hold_s: float = _HOLD_S,
    end: float = math.inf,
) -> Iterator[Document]:
    """Yield the status at each change, and at least every `hold_s`. If the agent restarts, wait for it.

    Args:
        agent: the client to ask.
        unanswered: called when the agent does not answer. It may raise to give up.
        since: the revision that is already known.
        hold_s: how long the agent may hold an answer while nothing changes.
        end: the monotonic time by which an answer must be there.

    Raises:
        AgentUnavailable: the agent does not answer before `end`.
    """
    while True:
        left = max(end - time.monotonic(), 0)
        wait_s = min(left, hold_s)
        try:
            document = _ask(agent, min(left + _GRACE_S, wait_s + _ANSWER_S), since=since, wait_s=wait_s)
        except AgentUnavailable as error:
            if time.monotonic() + _PAUSE_S >= end:
                raise
            unanswered(error)
            time.sleep(_PAUSE_S)
            since = None  # the next answer comes at once, and ends the outage
        else:
            yield document
            since = document["revision"]


def _show(document: Document, args: argparse.Namespace) -> bool:
    """Print the document; False if the reader has closed the pipe."""
    if args.json:
        return write(escaped(json.dumps(document, ensure_ascii=False, indent=None if args.watch else 2)))
    terminal = Terminal.of_stdout()
    lines = [*status_lines(terminal, document), *_about_sudo(terminal, document), *([""] if args.watch else [])]
    return write("\n".join(lines))


def _about_sudo(terminal: Terminal, document: Document) -> list[str]:
    """Return what a person with sudo needs to know: `sudo docker` does not use the logins of their own agent."""
    user = sudo_user()
    if user is None or document.get("environment", {}).get("user") != user:
        return []
    in_memory = any(row.get("stored_in") == MEMORY for row in document.get("registries", ()))
    return ["", *terminal.wrapped(sudo_advice(user, None if in_memory else docker_directory(user)))]


def _first_pass(agent: AgentClient, args: argparse.Namespace) -> Document:
    """Wait for the first document with phase `running`, and also for an agent that has not started yet."""
    timeout = args.timeout or _FIRST_PASS_S
    end = time.monotonic() + timeout
    progress = _Progress()
    for document in documents(agent, progress.unanswered, end=end):
        if document.get("phase") == "running":
            return document
        waited_for = _waited_for(document)
        if time.monotonic() >= end:
            late = f"the first pass did not finish within {timeout:g} s; it is waiting for {waited_for}"
            raise CommandError(late)
        progress.show(f"waiting for {waited_for}")
    raise AssertionError("documents never ends")


def _waited_for(document: Document) -> str:
    """Return the registries that the agent has not tried yet, and how many it has tried."""
    registries = document["registries"]
    pending = [text(row["hostname"]) for row in registries if row["state"] == "pending"]
    if not pending:
        return "the secret sources"
    more = f" and {len(pending) - _NAMED} more" if len(pending) > _NAMED else ""
    done = f" ({len(registries) - len(pending)} of {len(registries)} tried)" if len(registries) > 1 else ""
    return ", ".join(pending[:_NAMED]) + more + done


def _watch(agent: AgentClient, document: Document, args: argparse.Namespace) -> None:
    """Show this and each further document until the reader closes the pipe."""
    if sys.stdout.isatty() and obeys_escapes(os.environ) and not args.json:
        # Imported here because nothing else needs it.
        from agent.cli.status_watch import watch  # noqa: PLC0415

        watch(agent, document)
        return
    progress = _Progress()
    reading = _show(document, args)
    changes = documents(agent, progress.unanswered, since=document["revision"])
    while reading:
        newer = next(changes)
        progress.clear()
        if _version(newer) != _version(document):
            reading = _show(newer, args)
        document = newer


def _version(document: Document) -> object:
    # A restarted agent starts with a random revision, which may be one that its predecessor had.
    return document["started_at"], document["revision"]


class _Progress:
    """Prints progress on standard error. It does not repeat the line that it printed last."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, line: str) -> None:
        if line != self._last:
            self._last = line
            write_error("status", line)

    def unanswered(self, error: AgentUnavailable) -> None:
        self.show(f"waiting for the agent: {str(error).partition(';')[0]}")

    def clear(self) -> None:
        self._last = ""
