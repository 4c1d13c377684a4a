"""Gets the web identity token of this environment from a file, or from a command such as `gp idp token`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls
from agent.edge.regular_file import read_regular
from agent.edge.secret_command import how_it_failed, run_command
from agent.model.aws_errors import SUBJECT
from agent.model.commands import shown
from agent.model.problem import ProblemError
from agent.model.problems.aws import AwsIdentityUnavailable
from agent.model.sensitive import Sensitive
from agent.model.text import printable
from agent.settings import AwsSettings

# AssumeRoleWithWebIdentity takes 4 to 20,000 characters (STS API reference).
_LONGEST: Final = 20_000
_READS: Final = BlockingCalls("identity-tokens", limit=8)
_TOKEN: Final = re.compile(rf"[!-~]{{4,{_LONGEST}}}")


class ProgramUnusableError(OSError):
    """The program of a `credential_process` cannot be started."""

    def __init__(self, program: str, error: OSError) -> None:
        reason = (error.strerror or str(error)).lower()
        super().__init__(f"its credential_process {printable(program, 200)} cannot be run: {reason}")
        self.hint: Final = (
            f"install {shown(program)}, or write the absolute path of the program into credential_process: the agent "
            "searches only the directories of its own PATH that no other user can write to"
            if "/" not in program
            else f"install {shown(program)} and make it executable, or fix its path in credential_process"
        )


async def web_identity_token(settings: AwsSettings, environ: Mapping[str, str]) -> Sensitive | None:
    """Return a token from `aws.identity_token_file`, else from `aws.identity_token_command`. None if neither is set.

    Raises:
        ProblemError: with AwsIdentityUnavailable that names the file or command and the reason.
    """
    if settings.identity_token_file is not None:
        return await token_from_file("aws.identity_token_file", settings.identity_token_file, settings.call_timeout_s)
    if settings.identity_token_command:
        return await _token_from_command(settings.identity_token_command, environ, settings.call_timeout_s)
    return None


async def token_from_file(setting: str, path: Path, timeout_s: float) -> Sensitive:
    """Return the token in `path`. Messages name `setting`, which configures the path.

    Raises:
        ProblemError: with AwsIdentityUnavailable if the file is missing, empty, too long, not a regular file, or not
            readable in time.
    """
    try:
        content = await _READS.call(path, lambda: read_regular(path, _LONGEST + 2), timeout=timeout_s)
    except (OSError, ValueError) as error:
        raise _unavailable(f"{setting} {path} cannot be read: {_reason(error, timeout_s)}") from error
    return parse_web_identity_token(content, f"{setting} {path}")


async def _token_from_command(args: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> Sensitive:
    # Show only the program: its arguments may hold a secret.
    name = f"aws.identity_token_command {args[0]}"
    try:
        finished = await run_command(args, environ, timeout_s)
    except (OSError, ValueError) as error:
        raise _unavailable(f"{name} cannot be run: {_reason(error, timeout_s)}") from error
    if finished.returncode != 0:
        raise _unavailable(f"{name} {how_it_failed(finished)}")
    return parse_web_identity_token(finished.stdout, f"the output of {name}")


def parse_web_identity_token(content: bytes, where: str) -> Sensitive:
    """Return the token in what a file or command gave. `where` describes it in messages.

    Raises:
        ProblemError: with AwsIdentityUnavailable if it is not a token.
    """
    text = content.decode("ascii", errors="replace").strip()
    if not text:
        raise _unavailable(f"{where} is empty")
    if len(text) > _LONGEST:
        raise _unavailable(f"{where} is longer than the {_LONGEST} characters of a token")
    if not _TOKEN.fullmatch(text):
        raise _unavailable(f"{where} is not a token")
    return Sensitive(text)


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no end after {timeout_s:g} s"
    # A ValueError is about a NUL in the path.
    return ((isinstance(error, OSError) and error.strerror) or "no such path").lower()


def _unavailable(message: str) -> ProblemError:
    return ProblemError(AwsIdentityUnavailable(SUBJECT, message))
