"""The Docker engine that the docker CLI would use, and what is wrong with it. The agent and the doctor share this."""

from dataclasses import dataclass
from typing import Final

from agent.model.commands import command, shown
from agent.model.problem import Problem
from agent.model.problems.environment import EngineForbidden, EngineUnreachable, EngineUnresponsive
from agent.model.status import Engine

_BROKEN: Final = "wait until Docker has started, or look for the cause in its log; logins work without it"


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """What an engine answered at `address`.

    `forbidden_group`: the socket is there, but this user may not open it. It is the group that may, empty if unknown.
    `hint` is the fix if it is not to start Docker. `status` is the HTTP status of an engine that answers with an error.
    """

    state: Engine
    address: str
    user: str = ""
    forbidden_group: str | None = None
    hint: str | None = None
    status: int | None = None


def engine_problem(answer: EngineAnswer) -> Problem | None:
    if answer.forbidden_group is not None:
        return _forbidden(answer, answer.forbidden_group)
    match answer.state:
        case Engine.UNREACHABLE if answer.status is not None:
            message = f"the Docker engine at {answer.address} answers with status {answer.status}"
            return EngineUnreachable("engine", message, hint=_BROKEN)
        case Engine.UNREACHABLE:
            message = f"no Docker engine answers at {answer.address}"
            return EngineUnreachable("engine", message, hint=answer.hint)
        case Engine.UNRESPONSIVE:
            message = f"the Docker engine at {answer.address} accepts connections but does not answer"
            return EngineUnresponsive("engine", message)
    return None


def _forbidden(answer: EngineAnswer, group: str) -> Problem:
    socket = shown(answer.address.removeprefix("unix://"))
    message = f"user {answer.user} may not open the socket of the Docker engine, {socket}"
    join = command("sudo usermod --append --groups", group, answer.user)
    # Root's own group would give more than Docker.
    if group in ("", "root") or join is None:
        return EngineForbidden("engine", f"{message} (group {group or 'unknown'})")
    hint = f"run {join}, then log out and in again, and restart the agent; logins work without it, but pulls do not"
    return EngineForbidden("engine", f"{message} (group {group})", hint=hint)
