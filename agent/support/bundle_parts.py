"""The parts of the bundle: the name of each file, its origin, and how long collecting it may take."""

import contextlib
import json
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

from agent.edge.agent_client import AgentNotResponding, AgentNotRunning
from agent.edge.journal_line import JournalLine, JournalUnreadable, unit_of
from agent.edge.journalctl import read_journal
from agent.edge.paths import user_name
from agent.edge.process import child_environment
from agent.model.text import printable
from agent.support.bundle_part import (
    PROGRAM_S,
    BundleContext,
    BundlePart,
    NotCollected,
    as_json,
    find,
    in_thread,
    run_program,
)
from agent.support.config_shape import shape
from agent.support.known_secrets import docker_files
from agent.support.settings_shown import shown_settings
from agent.support.system import unit, versions

T = TypeVar("T")

_ANSWER_S: Final = 8.0
_JOURNAL_S: Final = 15.0
_DOCTOR_S: Final = 42.0
"""The doctor's own limit is 30 s. The rest is for a busy machine."""
_DOCTOR: Final = """
import json, os, runpy, sys
given = json.load(sys.stdin)
os.environ.update(given["variables"])
sys.argv[1:] = given["arguments"]
runpy.run_module("agent", run_name="__main__", alter_sys=True)
"""
"""Runs `registry-agent`. Its settings come through a pipe, because a command line and its variables are in /proc."""
_JOURNAL_LINES: Final = 5000
_LONGEST_LINE: Final = 48_000
_DAY: Final = timedelta(days=1)


async def _settings(context: BundleContext) -> str:
    shown = shown_settings(context.loaded)
    return as_json({"note": "the settings as this command reads them; a service may have other variables", **shown})


async def _status(context: BundleContext) -> str:
    return as_json(await _ask_agent(lambda: context.agent.status(_ANSWER_S)))


async def _journal(context: BundleContext) -> str:
    try:
        lines = await read_journal(
            unit_of(context.user),
            context.environ,
            since=context.now - _DAY,
            lines=_JOURNAL_LINES,
            timeout=_JOURNAL_S - 2,
        )
    except JournalUnreadable as error:
        raise NotCollected(str(error)) from error
    if not lines:
        raise NotCollected(f"the journal has no entries of {unit_of(context.user)}")
    return "".join(_journal_line(line) for line in lines)


def _journal_line(line: JournalLine) -> str:
    """A journal entry as JSON. An event of the agent is included as an object, not as a string."""
    # Patterns are fast only on lines of bounded length.
    message: Any = line.message[:_LONGEST_LINE]
    with contextlib.suppress(ValueError, RecursionError):
        message = json.loads(message)
    fields = {"time": line.time.isoformat(), "priority": line.priority, "program": line.program, "message": message}
    return json.dumps(fields, ensure_ascii=False) + "\n"


async def _doctor(context: BundleContext) -> str:
    """Run this program's doctor as a child process, so that a hanging check cannot hang the bundle."""
    config = ["--config", context.config] if context.config else []
    flags = [f"--set={assignment}" for assignment in context.assignments]
    socket = ["--socket", str(context.socket.absolute())] if context.socket else []
    # -I: the working directory and PYTHON* variables must not replace modules of the doctor.
    args = [sys.executable, "-I", "-c", _DOCTOR]
    if os.geteuid() == 0 and context.user != user_name():
        # As root, the doctor would check root's permissions, and run as root on that user's files.
        args = [await find(context, "runuser"), "-u", context.user, "--", *args]
    given = {"arguments": ["doctor", "--json", *socket, *config, *flags], "variables": _doctor_variables(context)}
    done = await run_program(args, child_environment(context.environ), _DOCTOR_S - 2, json.dumps(given).encode())
    if not done.stdout.strip():
        # The last line. Text that is cut at its beginning could begin with the rest of a secret.
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise NotCollected(f"it exited with code {done.returncode}: {printable(reason)}")
    return done.stdout.decode(errors="replace")


def _doctor_variables(context: BundleContext) -> dict[str, str]:
    """The agent's own variables, without its secrets. A setting in them or in a flag may be a URL with a password."""
    own = ("REGISTRY_AGENT_", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "REGISTRY_AUTH_FILE", "DOCKER_CONFIG")
    found = {name: value for name, value in context.environ.items() if name.startswith(own)}
    found.pop("REGISTRY_AGENT_SECRETS", None)
    return found


async def _docker_config(context: BundleContext) -> str:
    def shapes() -> list[Any]:
        found = []
        for path in docker_files(context.loaded.settings, context.environ):
            try:
                found.append(shape(path, context.environ.get("PATH")) or {"path": str(path), "fault": "does not exist"})
            except OSError as error:
                found.append({"path": str(path), "fault": error.strerror})
        return found

    named = [name for name in ("DOCKER_AUTH_CONFIG", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE") if name in context.environ]
    return as_json({"files": await in_thread(shapes), "variables_that_are_set": named})


def _answer(path: str) -> Callable[[BundleContext], Awaitable[str]]:
    """Return what collects the agent's answer at `path`."""
    return lambda context: _ask_agent(lambda: context.agent.text(path, _ANSWER_S))


async def _ask_agent(read: Callable[[], T]) -> T:
    try:
        return await in_thread(read)
    except (AgentNotRunning, AgentNotResponding) as error:
        raise NotCollected(printable(str(error).partition(";")[0], 1000)) from error


PARTS: Final = (
    BundlePart("versions.json", "the agent, its libraries, programs on PATH, the system", versions, PROGRAM_S + 4),
    BundlePart("settings.json", "the settings file, variables and flags", _settings, 5.0),
    BundlePart("status.json", "the agent: GET /v1/status", _status, _ANSWER_S + 2),
    BundlePart("timeline.jsonl", "the agent's last day: GET /v1/timeline", _answer("/v1/timeline"), _ANSWER_S + 2),
    BundlePart("events.jsonl", "the agent's memory: GET /v1/logs", _answer("/v1/logs"), _ANSWER_S + 2),
    BundlePart("metrics.txt", "the agent: GET /metrics", _answer("/metrics"), _ANSWER_S + 2),
    BundlePart(
        "journal.jsonl", f"journalctl: the unit's last day, at most {_JOURNAL_LINES} lines", _journal, _JOURNAL_S
    ),
    BundlePart("doctor.json", "registry-agent doctor --json", _doctor, _DOCTOR_S),
    BundlePart(
        "docker-config.json",
        "the structure of Docker's and podman's files: no logins, user names masked",
        _docker_config,
        8.0,
    ),
    BundlePart("unit.txt", "systemctl show", unit, PROGRAM_S + 2),
)
