"""The login check: logs in with the real docker CLI in a private directory, if the password may be sent at all."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from agent.blocking import BlockingCalls
from agent.doctor.agent_status import AgentStatus
from agent.doctor.check import Check, from_problem, passed, with_more
from agent.doctor.context import Context
from agent.doctor.environment import Tools
from agent.model.credential import Credential
from agent.model.plan import Login
from agent.model.problems.registry import LoginRejected
from agent.model.status import State, rfc3339
from agent.model.text import printable
from agent.services.docker_login import DockerLogin
from agent.services.rejections import Rejections

T = TypeVar("T")

_CALLS: Final = BlockingCalls("doctor-runtime")
_RUNTIME_S: Final = 1.0
_MAX_TIMEOUT_S: Final = 14.0
_NOT_RESENT: Final = (
    "the doctor does not send it again, because registries lock accounts; "
    "change the secret, or use --try to send it once more"
)


async def active_rejection(
    login: Login, credential: Credential | None, rejections: Rejections, status: AgentStatus | None
) -> Check | None:
    """The earlier rejection of this same password, if the state directory or the running agent has recorded one.

    Tokens are not held back: the doctor fetches a new one for each login, so no account is locked. But a command or a
    file may still give the password that was rejected.
    """
    if not isinstance(login.source, Credential) and not login.password_may_change:
        return None
    known = await rejections.active(login, credential)
    if known is not None:
        problem, wait = known
        until = rfc3339(datetime.now(UTC) + wait)
        more = f"rejected before, next automatic attempt at {until}; {_NOT_RESENT}"
        return with_more(from_problem("login", problem), more)
    reported = None if status is None else _reported(login, status)
    return None if reported is None else with_more(reported, _NOT_RESENT)


def _reported(login: Login, status: AgentStatus) -> Check | None:
    hostname = login.registry.hostname
    row = status.rows.get(hostname)
    if row is None or row.state != State.REJECTED or row.secret != login.secret.name:
        return None
    said = f"the agent reports: {row.last_error or 'no reason given'}"
    # An account without access, for example, needs another fix than a wrong password.
    same = (reason for reason in status.reasons_about(hostname) if reason.message.startswith(row.last_error))
    found = next(same, None) or from_problem("login", LoginRejected(hostname, said))
    return replace(found, name="login", message=said)


async def try_login(login: Login, credential: Credential, context: Context, tools: Tools) -> Check:
    """Log in the way the agent does, but do not store the login.

    Raises:
        ProblemError: the login failed.
    """
    # A slow login must not use up the time of the checks after it.
    timeout_s = min(context.settings.docker.login_timeout_s, _MAX_TIMEOUT_S)
    docker_login = DockerLogin(context.cli, context.requests.probe, tools, lambda: timeout_s, context.scrubber.scrub)
    result = await docker_login.log_in(login, credential)
    username = printable(result.entry.username or credential.username, 100)
    return passed("login", f"{login.registry.hostname} accepts user {username}")


@contextlib.contextmanager
def leaves_no_runtime_directory(runtime: Path) -> Iterator[None]:
    """On exit, remove the runtime directory if it did not exist before and nothing else uses it.

    Blocking, but not for long: the directory may be in a home directory that hangs.
    """
    missing = _within_time(lambda: [above for above in (runtime, *runtime.parents) if not os.access(above, os.F_OK)])
    try:
        yield
    finally:
        _within_time(lambda: _remove(missing or []))


def _within_time(work: Callable[[], T]) -> T | None:
    """Return what `work` returns, or None if it takes too long."""
    with contextlib.suppress(OSError):  # TimeoutError is one
        return _CALLS.submit("runtime", work).result(_RUNTIME_S)
    return None


def _remove(directories: Iterable[Path]) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):
            directory.rmdir()
