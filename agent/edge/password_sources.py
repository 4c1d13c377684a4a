"""Asks the password sources of secrets: runs a command or a credential helper, or reads a file."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from agent.blocking import BlockingCalls
from agent.edge.process import Finished
from agent.edge.regular_file import open_regular
from agent.edge.secret_command import how_it_failed, run_command
from agent.model.commands import shown
from agent.model.credential import Token
from agent.model.credential_output import LONGEST, CredentialOutput, OutputError, parse_output
from agent.model.docker_config import ConfigError, parse_helper_answer
from agent.model.helper_names import NOT_FOUND
from agent.model.kubelet_response import request_for
from agent.model.password_source import PasswordField, PasswordSource
from agent.model.problem import ProblemError
from agent.model.problems.password_source import CredentialCommandFailed
from agent.model.sandbox import missing_program_hint, sandbox_hint
from agent.model.status import rfc3339
from agent.model.text import uncapitalized

_READS: Final = BlockingCalls("password-files", limit=16)


class _Answer(NamedTuple):
    """What a source gave, and since when it has given this."""

    content: bytes
    since: datetime


@dataclass(frozen=True, kw_only=True)
class PasswordSources:
    """Asks each source once, without caching and without retries.

    Args:
        environ: variables for the programs, and PATH.
        now: the wall clock.
        unit: the systemd unit of the agent. Its sandbox may keep a program from working.
    """

    environ: Mapping[str, str]
    now: Callable[[], datetime]
    unit: str | None = None

    async def fetch_token(self, source: PasswordSource, timeout_s: float) -> Token:
        """Return what the source gives now.

        Raises:
            ProblemError: with CredentialCommandFailed about the registry, which names the source and the reason.
        """
        origin = source.origin
        read = self._read if origin.field is PasswordField.FILE else self._run
        answer = await read(source, timeout_s)
        try:
            output = parse_output(answer.content, source.registry, answer.since)
        except OutputError as error:
            raise _failure(source, str(error)) from None
        username = output.username or source.username
        if username is None:
            raise _failure(source, "gave no user name, and the secret has none", "add username to the secret")
        return Token(username, output.password, self._end(source, answer, output))

    def _end(self, source: PasswordSource, answer: _Answer, output: CredentialOutput) -> datetime | None:
        life_s = source.origin.life_s
        end = output.expires_at
        if end is None and life_s is not None:
            end = answer.since + timedelta(seconds=life_s)
        if end is not None and end <= self.now():
            is_file = source.origin.field is PasswordField.FILE
            since = f", and has not changed since {rfc3339(answer.since)}" if is_file else ""
            hint = "check what replaces the password there, and `date` if the password is new"
            raise _failure(source, f"gave a password that ended at {rfc3339(end)}{since}", hint)
        return end

    async def _run(self, source: PasswordSource, timeout_s: float) -> _Answer:
        origin = source.origin
        args, stdin = origin.words, request_for(source.registry)
        is_helper = origin.field is PasswordField.HELPER
        if is_helper:
            args, stdin = (f"docker-credential-{args[0]}", "get"), source.registry.docker_key.encode()
        try:
            finished = await run_command(args, self.environ, timeout_s, stdin=stdin, limit=LONGEST + 1)
        except TimeoutError:
            raise _failure(source, f"did not end within {timeout_s:g} s", _slow_hint(origin.name)) from None
        except OSError as error:
            reason = uncapitalized(error.strerror or "it does not start")
            hint = missing_program_hint(args[0], is_helper=is_helper)
            raise _failure(source, f"cannot be run: {reason}", hint) from None
        if is_helper and _has_no_login(finished):
            hint = f"store a login for {source.registry.docker_key} with that helper, or fix credential_helper"
            raise _failure(source, f"has no login for {source.registry.docker_key}", hint)
        if finished.returncode == 0:
            return _Answer(finished.stdout, self.now())
        cause = sandbox_hint(args[0], finished.stderr, self.unit, self.environ)
        raise _failure(source, how_it_failed(finished), cause)

    async def _read(self, source: PasswordSource, timeout_s: float) -> _Answer:
        path = Path(source.origin.words[0])
        hint = f"make sure that {shown(path)} is a file that the agent's user can read, and that its writer runs"
        try:
            return await _READS.call(path, lambda: _content(path), timeout=timeout_s)
        except TimeoutError as error:
            late = f"its file system did not answer within {timeout_s:g} s"
            fault = f"cannot be read: {error.strerror or late}"
            raise _failure(source, fault, "check the mount of that file") from None
        except (OSError, ValueError) as error:
            # A ValueError is about a path that no file can have.
            reason = ((isinstance(error, OSError) and error.strerror) or "no such path").lower()
            raise _failure(source, f"cannot be read: {reason}", hint) from None


def _has_no_login(finished: Finished) -> bool:
    """Return whether a helper reports that it has no login. Some, such as `pass`, print an empty one instead."""
    if finished.returncode != 0:
        return NOT_FOUND.encode() in finished.stdout
    try:
        return parse_helper_answer(finished.stdout) is None
    except ConfigError:
        return False


def _content(path: Path) -> _Answer:
    with open_regular(path) as file:
        changed = os.fstat(file.fileno()).st_mtime
        return _Answer(file.read(LONGEST + 1), datetime.fromtimestamp(changed, UTC))


def _slow_hint(program: str) -> str:
    return (
        f"run {shown(program)} by hand as the agent's user: it may ask a question or wait for a server; "
        "aws.call_timeout_s is its deadline"
    )


def _failure(source: PasswordSource, fault: str, hint: str | None = None) -> ProblemError:
    message = f"{source.origin.label} {fault}"
    return ProblemError(CredentialCommandFailed(source.registry.hostname, message, hint=hint or _must_give(source)))


def _must_give(source: PasswordSource) -> str:
    """Return the hint for a source that works, but gives something else."""
    name, again = shown(source.origin.name), "the agent tries again by itself"
    match source.origin.field:
        case PasswordField.FILE:
            return f"put the password, or JSON with it, into {name}, or fix what writes it; {again}"
        case PasswordField.HELPER:
            key = shown(source.registry.docker_key)
            return f"fix docker-credential-{name}: as the agent's user, its get must print the login of {key}; {again}"
        case PasswordField.COMMAND:
            return f"fix {name}: as the agent's user, it must print the password, or JSON with it; {again}"
