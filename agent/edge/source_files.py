"""The files that decide what a token source gives: a password's own file, and what a person changes to log in again."""

import os
from collections.abc import Hashable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from agent.edge.file_version import signature
from agent.edge.paths import home
from agent.model.credential import AwsIdentity, GoogleIdentity, TokenSource
from agent.model.password_source import PasswordField, PasswordSource

_VARIABLES: Final = (
    *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "AZURE_FEDERATED_TOKEN_FILE"),
)
_EXPANDED: Final = ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE")
"""The variables in which the SDK expands `~` and other variables."""
_MOST: Final = 500
"""Files of one cache that are looked at."""


def files_of(source: TokenSource, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files and directories of a source. Empty if it has none that a person or a platform replaces."""
    match source:
        case PasswordSource() if source.origin.field is PasswordField.FILE:
            return (Path(source.origin.words[0]),)
        case AwsIdentity() if source.keys is None:
            aws = home(environ) / ".aws"
            config = environ.get("AWS_CONFIG_FILE") or str(aws / "config")
            keys = environ.get("AWS_SHARED_CREDENTIALS_FILE") or str(aws / "credentials")
            # Where `aws sso login`, `aws login` and a typed MFA code leave their result.
            return (expanded(config), expanded(keys), aws / "sso/cache", aws / "login/cache", aws / "cli/cache")
        case GoogleIdentity():
            return (google_file(environ),)
    return ()


def files_in_variables(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files of the environment's own identity that variables name."""
    plain = (Path(environ[variable]) for variable in _VARIABLES if environ.get(variable))
    return (*plain, *(expanded(environ[variable]) for variable in _EXPANDED if environ.get(variable)))


def expanded(aws_file: str) -> Path:
    """Return the path of a file of AWS as the SDK does: with the values of variables and of `~`."""
    return Path(os.path.expanduser(os.path.expandvars(aws_file)))  # noqa: PTH111 - Path's method fails without a home


def google_file(environ: Mapping[str, str]) -> Path:
    """Return the credential file that Google's libraries use: that of the variable, or the one that gcloud writes."""
    named, directory = environ.get("GOOGLE_APPLICATION_CREDENTIALS"), environ.get("CLOUDSDK_CONFIG")
    gclouds = Path(directory) if directory else home(environ) / ".config/gcloud"
    return Path(named) if named else gclouds / "application_default_credentials.json"


def signature_of(paths: Iterable[Path]) -> Hashable:
    """Return a value that differs once one of the files, or a file in one of the directories, has changed. Blocks."""
    return tuple((signature(path), *_entries(path)) for path in paths)


def _entries(path: Path) -> list[tuple[str, int, int]]:
    try:
        with os.scandir(path) as entries:
            found = [(entry.name, entry.stat().st_mtime_ns, entry.stat().st_size) for entry in islice(entries, _MOST)]
    except OSError:  # most are files
        return []
    return sorted(found)
