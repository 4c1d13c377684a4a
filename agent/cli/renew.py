"""`registry-agent renew`: logs in again now, and waits for the outcome."""

import argparse
import http.client
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from agent.cli import CommandError, command, registry, seconds, write
from agent.cli.status import add_place, agent_client, check_answer, documents
from agent.cli.status_view import moment, relative
from agent.cli.terminal import text
from agent.edge.agent_client import AgentUnavailable
from agent.model.problem import fault_key
from agent.model.status_document import check_renewal

RENEWED: Final = 0
NOT_RENEWED: Final = 2

_OUTCOME_S: Final = 120.0
_ANSWER_S: Final = 10.0

Document = Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "host", metavar="HOST", nargs="?", type=registry, help="renew one registry (default: all registries)"
    )
    parser.add_argument(
        "--timeout", metavar="S", type=seconds, default=_OUTCOME_S, help="give up after S seconds (default: 120)"
    )
    add_place(parser)


@command("renew", AgentUnavailable)
def run(args: argparse.Namespace) -> int:
    """Print one line for each registry, and one for each fault that several share.

    Returns:
        0 if all were renewed, 1 if no agent answered, 2 if a renewal failed or took too long, 130 after Ctrl-C.
    """
    agent = agent_client(args)
    end = time.monotonic() + args.timeout
    body = {"hostname": args.host} if args.host is not None else {}
    answer = agent.post("/v1/renew", body, min(args.timeout, _ANSWER_S))
    if answer.status != http.client.ACCEPTED:
        raise CommandError(text(answer.fault), NOT_RENEWED)
    check_answer(check_renewal, answer.value)
    changes = documents(agent, _give_up, end=end)
    attempts = _Attempts(answer.value["attempt_ids"])
    if not attempts.open:
        if next(changes)["phase"] == "starting":
            raise CommandError("the agent has not read its secrets yet; try again", NOT_RENEWED)
        write("there is no registry to renew")
        return RENEWED
    code, failed = RENEWED, list[Document]()
    for document in changes:
        for row in attempts.over(document):
            failed.append(row) if row["last_error"] is not None else write(_line(row, document))
            if not _succeeded(row, document, everything=args.host is None):
                code = NOT_RENEWED
        if not attempts.open or time.monotonic() >= end:
            break
    _show(failed)
    if attempts.open:
        waiting = ", ".join(attempts.hosts) or "the agent to start"
        late = f"no outcome after {args.timeout:g} s; still waiting for {waiting}"
        raise CommandError(late, NOT_RENEWED)
    return code


def _give_up(error: AgentUnavailable) -> NoReturn:
    """An agent that ends forgets its attempts, so there is nothing to wait for."""
    raise error


def _show(failed: Iterable[Document]) -> None:
    """Show the registries that were not renewed by what went wrong: many often share one fault, such as no identity."""
    faults: dict[object, list[Document]] = {}
    for row in failed:
        fault = fault_key(str(row["hostname"]), _outcome(row), str(row["last_error"]))
        faults.setdefault(fault, []).append(row)
    for rows in faults.values():
        hosts = ", ".join(text(row["hostname"]) for row in rows)
        write(f"{hosts}: {_outcome(rows[0])}: {text(rows[0]['last_error'])}")


class _Attempts:
    """The attempts in progress: from each id to its registry, or to None until a document has shown it."""

    def __init__(self, attempt_ids: list[str]) -> None:
        self.open: Final[dict[str, str | None]] = dict.fromkeys(attempt_ids)

    @property
    def hosts(self) -> list[str]:
        return sorted(text(hostname) for hostname in self.open.values() if hostname is not None)

    def over(self, document: Document) -> list[Document]:
        """Return the rows of the attempts that have ended by this document. Each is returned once."""
        rows = {row["hostname"]: row for row in document["registries"]}
        ended: list[Document] = []
        for row in rows.values():
            if row["attempt_id"] in self.open:
                self.open[row["attempt_id"]] = row["hostname"]
        for attempt_id, hostname in [*self.open.items()]:
            row = rows.get(hostname) if hostname is not None else None
            if hostname is None or (row is not None and _in_progress(row, attempt_id)):
                continue
            # The attempt has ended, or its row is gone because the secret was removed.
            del self.open[attempt_id]
            ended.append(row or {"hostname": hostname, "state": "gone", "last_error": "its secret has disappeared"})
        return ended


def _in_progress(row: Document, attempt_id: str) -> bool:
    """Return whether the attempt is in progress. If the row has another attempt's id, a later one replaced ours."""
    return bool(row["attempt_id"] == attempt_id and (row.get("attempting") or row["state"] == "pending"))


def _succeeded(row: Document, document: Document, *, everything: bool) -> bool:
    """Return whether the registry is logged in without an error.

    If the user asked for all registries, one that is skipped on purpose counts as a success, too.
    """
    if row["state"] == "logged_in" and row["last_error"] is None:
        return not _has_expired(row, document)
    # A `docker` on PATH that is not Docker's own CLI is present, but has no version.
    has_docker = any(document["tools"].get(name, {}).get("version") is not None for name in ("docker", "podman"))
    # A warning about the registry's secret has the secret as its subject.
    about = ((warning["subject"], warning["message"]) for warning in document["warnings"])
    has_warning = any(subject == row["hostname"] or message == row["last_error"] for subject, message in about)
    return everything and row["state"] == "skipped" and not has_warning and has_docker


def _has_expired(row: Document, document: Document) -> bool:
    """Return whether the new token has already expired, as those of some AWS emulators, or by a wrong clock."""
    ends, now = moment(row.get("expires_at")), moment(document["now"])
    return ends is not None and now is not None and ends <= now


def _outcome(row: Document) -> str:
    """Return the state of a registry that was not renewed. It may still have its earlier login."""
    if row["state"] == "logged_in":
        return "not renewed, the earlier login stays"
    return text(row["state"]).replace("_", " ")


def _line(row: Document, document: Document) -> str:
    state = text(row["state"]).replace("_", " ")
    hostname, ends = text(row["hostname"]), relative(row.get("expires_at"), moment(document["now"]))
    if _has_expired(row, document):
        return f"{hostname}: {state}, but the new token expired {ends}; check this machine's clock with `date`"
    return f"{hostname}: {state}{f', expires {ends}' if row.get('expires_at') else ''}"
