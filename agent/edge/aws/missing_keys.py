"""Finds out why the credential chain found no keys, and what the user can do about it."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.edge.aws.interactive_login import InteractiveLogin
from agent.edge.permission_hints import Account
from agent.edge.regular_file import open_regular
from agent.edge.source_files import expanded
from agent.model.aws_errors import SUBJECT
from agent.model.commands import command, shown
from agent.model.problems.aws import AwsCredentialsMissing, AwsSetupUnusable

_FILES: Final = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
_OWN_DIRECTORY: Final = Path("~/.aws")
_SHOWN: Final = 5
DISABLED: Final = "AWS_EC2_METADATA_DISABLED"


def nothing_found(message: str, login: InteractiveLogin, *, metadata_disabled: bool) -> AwsCredentialsMissing:
    """Return the problem of a chain without keys. Only if the user can do nothing, an administrator must act."""
    role = "ask your AWS administrator to give this machine a role"
    if login.unused:
        first, names = login.unused[0], ", ".join(login.unused[:_SHOWN])
        choose = f'set aws.profile, or "profile" in the secret, to one of the profiles in ~/.aws ({shown(names)})'
        if login.uses_sso(first):
            choose = f'set aws.profile, or "profile" in the secret, to {shown(first)} and run {login.sso_login(first)}'
        return AwsSetupUnusable(SUBJECT, message, hint=f"{choose}; or {role}")
    if metadata_disabled:
        hint = f"unset {DISABLED} and restart the agent, to use this machine's role; or put AWS keys into the secret"
        return AwsSetupUnusable(SUBJECT, message, hint=hint)
    return AwsCredentialsMissing(SUBJECT, message)


def unreadable_file(environ: Mapping[str, str]) -> AwsSetupUnusable | None:
    """Return the problem of the first of the two files that the SDK takes for empty because it cannot read it.

    A file that is missing at its default path is no problem. Reads files, so do not call it in the event loop.
    """
    for variable, default in _FILES.items():
        named = environ.get(variable)
        path = expanded(named or default)
        try:
            with open_regular(path):
                pass
        except FileNotFoundError:
            if named:
                message = f"no AWS credentials: {variable} names {path}, which does not exist"
                return AwsSetupUnusable(SUBJECT, message, hint=f"fix or unset {variable}, then restart the agent")
        except OSError as error:
            message = f"no AWS credentials: {path} cannot be read: {(error.strerror or str(error)).lower()}"
            return AwsSetupUnusable(SUBJECT, message, hint=_readable_hint(path, error))
    return None


def _readable_hint(path: Path, error: OSError) -> str:
    if not isinstance(error, PermissionError):
        return f"make {shown(path)} a regular file, or move it away"
    # Without the right to search a directory, the file in it may have any mode.
    blocked = next((each for each in reversed(path.parents) if not os.access(each, os.X_OK)), path)
    found, account = blocked.lstat(), Account.own()
    rights = "u+rx" if stat.S_ISDIR(found.st_mode) else "u+r"
    run = None
    if found.st_uid == account.uid:
        run = command(f"chmod {rights}", blocked)
    # Elsewhere, or through a link, a `chown` as root could take a file away from others who need it.
    elif _OWN_DIRECTORY.expanduser() in (blocked, blocked.parent) and not stat.S_ISLNK(found.st_mode):
        run = command("sudo chown", account.name, blocked)
    return f"run {run}" if run else f"let the agent's user read {shown(blocked)}"
