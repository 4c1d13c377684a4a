"""Gets the web identity token with which AWS roles are assumed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.edge import identity_token
from agent.edge.identity_token import IdentityTokenError
from agent.model.aws_errors import SUBJECT
from agent.model.commands import shown
from agent.model.problem import ProblemError
from agent.model.problems.aws import AwsIdentityUnavailable
from agent.model.sensitive import Sensitive
from agent.model.text import program_of, uncapitalized
from agent.settings import AwsSettings


class ProgramUnusableError(OSError):
    """The program of a `credential_process` cannot be started."""

    def __init__(self, program: str, error: OSError) -> None:
        reason, found = uncapitalized(error.strerror or str(error)), shown(program_of(program))
        super().__init__(f"its credential_process {program_of(program)} cannot be run: {reason}")
        self.hint: Final = (
            f"install {found}, or write the absolute path of the program into credential_process: the agent "
            "searches only the directories of its own PATH that no other user can write to"
            if "/" not in program
            else f"install {found} and make it executable, or fix its path in credential_process"
        )


async def web_identity_token(settings: AwsSettings, environ: Mapping[str, str]) -> Sensitive | None:
    """Return a token from `aws.identity_token_file`, else from `aws.identity_token_command`. None if neither is set.

    Raises a ProblemError that names the file or command, and the reason.
    """
    file, command = settings.identity_token_file, settings.identity_token_command
    try:
        return await identity_token.identity_token("aws", file, command, environ, settings.call_timeout_s)
    except IdentityTokenError as error:
        raise _unavailable(error) from error


async def token_from_file(setting: str, path: Path, timeout_s: float) -> Sensitive:
    """Return the token in `path`. Messages name `setting`, which configures the path.

    Raises a ProblemError if the file has no token.
    """
    try:
        return await identity_token.token_from_file(setting, path, timeout_s)
    except IdentityTokenError as error:
        raise _unavailable(error) from error


def _unavailable(error: IdentityTokenError) -> ProblemError:
    return ProblemError(AwsIdentityUnavailable(SUBJECT, str(error)))
