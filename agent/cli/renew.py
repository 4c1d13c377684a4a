"""`registry-agent renew`: log in anew now, and wait for what comes of it."""

import argparse
import http.client
import time
from collections.abc import Mapping
from typing import Any, Final

from agent.cli import command, write, write_error
from agent.cli.status import add_place, seconds
from agent.cli.status_view import moment, relative, text
from agent.edge.agent_client import AgentClient, AgentNotResponding, AgentNotRunning
from agent.edge.paths import socket_candidates

RENEWED: Final = 0
NO_AGENT: Final = 1
FAILED: Final = 2
INTERRUPTED: Final = 130

_OUTCOME_S: Final = 120.0
_ANSWER_S: Final = 10.0
_HOLD_S: Final = 10.0
_GRACE_S: Final = 0.5

Document = Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="HOST", nargs="?", help="one registry; without it all of them")
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, default=_OUTCOME_S, help="give up after S seconds; without it 120"
    )
    add_place(parser)


@command("renew")
def run(args: argparse.Namespace) -> int:
    """Print one line for each registry; the exit code of section 5."""
    agent = AgentClient([args.socket] if args.socket else socket_candidates(args.user), args.user)
    end = time.monotonic() + args.timeout
    asked = {"hostname": args.host} if args.host is not None else {}
    try:
        answer = agent.post("/v1/renew", asked, min(args.timeout, _ANSWER_S))
        if answer.status != http.client.ACCEPTED:
            write_error("renew", text(answer.fault))
            return FAILED
        return _follow(agent, answer.value["attempt_ids"], args.timeout, end, everything=args.host is None)
    except (AgentNotRunning, AgentNotResponding) as fault:
        write_error("renew", str(fault))
        return NO_AGENT
    except KeyboardInterrupt:
        return INTERRUPTED


def _follow(agent: AgentClient, attempt_ids: list[str], timeout: float, end: float, *, everything: bool) -> int:
    """Print each outcome as it comes; the exit code once all have come, or at `end`, when `timeout` is over."""
    if not attempt_ids:
        if agent.status(_patience(end, _ANSWER_S))["phase"] == "starting":
            write_error("renew", "the agent has not read its secrets yet; ask again")
            return FAILED
        write("there is no registry to renew")
        return RENEWED
    attempts = _Attempts(attempt_ids)
    code, since = RENEWED, None
    while attempts.open and (left := end - time.monotonic()) > 0:
        patience = _patience(end, _HOLD_S + _ANSWER_S)
        document = agent.status(patience, since=since, wait_s=min(left, _HOLD_S))
        since = document["revision"]
        for row in attempts.over(document):
            write(_line(row, document))
            if not _well(row, document, everything=everything):
                code = FAILED
    if attempts.open:
        waiting = ", ".join(attempts.hosts) or "the agent to begin"
        write_error("renew", f"no outcome after {timeout:g} s; still waiting for {waiting}")
        return FAILED
    return code


def _patience(end: float, longest: float) -> float:
    """How long an answer may take: an agent that hangs does not outlast the time that was given."""
    return min(max(end - time.monotonic(), 0) + _GRACE_S, longest)


class _Attempts:
    """Attempts that are under way, by id, each with its registry once a document has shown it."""

    def __init__(self, attempt_ids: list[str]) -> None:
        self.open: Final[dict[str, str | None]] = dict.fromkeys(attempt_ids)

    @property
    def hosts(self) -> list[str]:
        return sorted(text(hostname) for hostname in self.open.values() if hostname is not None)

    def over(self, document: Document) -> list[Document]:
        """The rows of the attempts that this document shows ended; each once."""
        rows = {row["hostname"]: row for row in document["registries"]}
        ended: list[Document] = []
        for row in rows.values():
            if row["attempt_id"] in self.open:
                self.open[row["attempt_id"]] = row["hostname"]
        for attempt_id, hostname in [*self.open.items()]:
            row = rows.get(hostname) if hostname is not None else None
            if hostname is None or (row is not None and _under_way(row, attempt_id)):
                continue
            del self.open[attempt_id]
            ended.append(row or {"hostname": hostname, "state": "gone", "last_error": "its secret has disappeared"})
        return ended


def _under_way(row: Document, attempt_id: str) -> bool:
    """A row that bears another attempt's id has left ours behind."""
    return bool(row["attempt_id"] == attempt_id and (row["attempting"] or row["state"] == "pending"))


def _well(row: Document, document: Document, *, everything: bool) -> bool:
    """Logged in without an error; where all were asked for, one that a person chose to leave alone is well too."""
    if row["state"] == "logged_in" and row["last_error"] is None:
        return True
    # A docker that is not Docker's own CLI is present, and has no version.
    has_docker = document["tools"]["docker"]["version"] is not None
    blamed = any(warning["subject"] == row["hostname"] for warning in document["warnings"])
    return everything and row["state"] == "skipped" and not blamed and has_docker


def _line(row: Document, document: Document) -> str:
    state = text(row["state"]).replace("_", " ")
    if row["last_error"] is not None:
        return f"{text(row['hostname'])}: {state}: {text(row['last_error'])}"
    now = moment(document["now"])
    ends = f", ends {relative(row['expires_at'], now)}" if row.get("expires_at") else ""
    return f"{text(row['hostname'])}: {state}{ends}"
