"""Gets the identity token of this environment from a file, or from a command such as `gp idp token`."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls
from agent.edge.regular_file import is_ours, open_regular
from agent.edge.secret_command import how_it_failed, run_command
from agent.model.document_text import DocumentError, plain_text
from agent.model.sensitive import Sensitive
from agent.model.text import named_path, program_of, uncapitalized

# AssumeRoleWithWebIdentity takes 4 to 20,000 characters (STS API reference). Google and Azure take fewer.
_LONGEST: Final = 20_000
_READS: Final = BlockingCalls("identity-tokens", limit=8)
_TOKEN: Final = re.compile(rf"[!-~]{{4,{_LONGEST}}}")


class IdentityTokenError(Exception):
    """There is no identity token. The text names the file or command, and the reason."""


async def identity_token(
    section: str, file: Path | None, command: Sequence[str], environ: Mapping[str, str], timeout_s: float
) -> Sensitive | None:
    """Return a token from `file`, else from `command`. None if neither is set.

    Args:
        section: the section of the settings, such as `aws`. Messages name it.
        file: the value of `identity_token_file` in it.
        command: the value of `identity_token_command` in it.
        environ: the variables for the command.
        timeout_s: the deadline.

    Raises:
        IdentityTokenError: the file or command gives no token.
    """
    if file is not None:
        return await token_from_file(f"{section}.identity_token_file", file, timeout_s)
    if command:
        return await _token_from_command(f"{section}.identity_token_command", command, environ, timeout_s)
    return None


async def token_from_file(setting: str, path: Path, timeout_s: float) -> Sensitive:
    """Return the token in `path`. Messages name `setting`, which configures the path.

    Raises:
        IdentityTokenError: the file is missing, empty, too long, not a regular file, or not readable in time.
    """
    where = named_path(setting, path)
    content, _ = await read_file(where, path, _LONGEST + 2, timeout_s)
    return parse_identity_token(content, where)


async def read_file(where: str, path: Path, longest: int, timeout_s: float) -> tuple[bytes, bool]:
    """Return the first `longest` bytes of a file, and whether only this user and root can change it.

    `where` describes the file in messages.

    Raises:
        IdentityTokenError: the file is missing, not a regular file, or not readable in time.
    """
    try:
        return await _READS.call(path, lambda: _read(path, longest), timeout=timeout_s)
    except (OSError, ValueError) as error:
        raise IdentityTokenError(f"{where} cannot be read: {_reason(error, timeout_s)}") from error


def _read(path: Path, longest: int) -> tuple[bytes, bool]:
    with open_regular(path) as file:
        return file.read(longest), is_ours(os.fstat(file.fileno()))


async def _token_from_command(
    setting: str, args: Sequence[str], environ: Mapping[str, str], timeout_s: float
) -> Sensitive:
    name = f"{setting} {program_of(args[0])}"
    return parse_identity_token(await output_of(name, args, environ, timeout_s), f"the output of {name}")


async def output_of(
    name: str,
    args: Sequence[str],
    environ: Mapping[str, str],
    timeout_s: float,
    variables: Mapping[str, str] | None = None,
) -> bytes:
    """Return what a program prints, which messages call `name`. For `variables`, see `run_command`.

    Raises:
        IdentityTokenError: the program cannot be run, fails, or does not end in time.
    """
    try:
        finished = await run_command(args, environ, timeout_s, variables=variables)
    except (OSError, ValueError) as error:
        raise IdentityTokenError(f"{name} cannot be run: {_reason(error, timeout_s)}") from error
    if finished.returncode != 0:
        raise IdentityTokenError(f"{name} {how_it_failed(finished)}")
    return finished.stdout


def parse_identity_token(content: bytes, where: str) -> Sensitive:
    """Return the token in what a file or command gave. `where` describes it in messages.

    Raises:
        IdentityTokenError: it is not a token.
    """
    try:
        text = plain_text(content).strip()
    except DocumentError:
        raise IdentityTokenError(f"{where} is not a token") from None
    if not text:
        raise IdentityTokenError(f"{where} is empty")
    if len(text) > _LONGEST:
        raise IdentityTokenError(f"{where} is longer than the {_LONGEST} characters of a token")
    if not _TOKEN.fullmatch(text):
        raise IdentityTokenError(f"{where} is not a token")
    return Sensitive(text)


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no end after {timeout_s:g} s"
    # A ValueError is about a NUL in the path.
    return uncapitalized((isinstance(error, OSError) and error.strerror) or "no such path")
