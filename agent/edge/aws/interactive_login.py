"""Profiles that need a person: an MFA code, an SSO login or `aws login`. The agent reports them and never prompts."""

import contextlib
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from aiobotocore.session import AioSession
from botocore.exceptions import (
    LoginError,
    LoginInsufficientPermissions,
    MissingDependencyException,
    SSOError,
    TokenRetrievalError,
)
from botocore.utils import parse_timestamp

from agent.edge.regular_file import read_regular
from agent.model.aws_errors import SUBJECT
from agent.model.commands import command, shown
from agent.model.problem import ProblemError
from agent.model.problems.aws import AwsInteractiveLoginNeeded

# A command in a hint must read the same files as the agent.
_FILES: Final = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
_SSO_SETTINGS: Final = frozenset({"sso_session", "sso_start_url"})
DEFAULT_PROFILE: Final = "default"
_RENEW: Final = "then run `registry-agent renew HOST`"
_PROFILE: Final = 'aws.profile, or "profile" in the secret,'
_MAX_CACHED: Final = 500
_LARGEST: Final = 1 << 16
_KEYS: Final = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")


class InteractiveLogin:
    """Finds out what a session's profile, and the profiles it takes credentials from, need from a person."""

    def __init__(self, session: AioSession, environ: Mapping[str, str]) -> None:
        self._profile: Final = str(session.get_config_variable("profile") or DEFAULT_PROFILE)
        self._region: Final = str(session.get_config_variable("region"))
        self.profiles: Final[Mapping[str, Any]] = session.full_config["profiles"]
        self._files: Final = {name: environ[name] for name in _FILES if environ.get(name)}

    @property
    def wants_mfa(self) -> bool:
        """Whether any of these profiles needs an MFA code."""
        return self.owner("mfa_serial") is not None

    @property
    def wants_sso(self) -> bool:
        """Whether any of these profiles needs an SSO login."""
        return any(self.owner(setting) for setting in _SSO_SETTINGS)

    @property
    def unused(self) -> list[str]:
        """The profiles that are not chosen: all of them if none is. Those with an SSO login come first."""
        if self._profile != DEFAULT_PROFILE:
            return []
        return sorted(self.profiles.keys() - {DEFAULT_PROFILE}, key=lambda name: (not self.uses_sso(name), name))

    def uses_sso(self, name: str) -> bool:
        return bool(self.profiles[name].keys() & _SSO_SETTINGS)

    def sso_login(self, name: str) -> str:
        """Return the command that logs in to the SSO of a profile."""
        return self._aws("sso login", name)

    def refuse_prompt(self, prompt: str) -> NoReturn:
        """Fail instead of prompting for an MFA code. The SDK's prompt would wait for the terminal in the event loop.

        Always raises a ProblemError with AwsInteractiveLoginNeeded.
        """
        owner = self.owner("mfa_serial", prompt) or self._profile
        device = self.profiles.get(owner, {}).get("mfa_serial")
        # Any aws command asks for the code and caches the session. This one needs no permissions.
        login = self._aws("sts get-caller-identity", self._profile, AWS_DEFAULT_REGION=self._region)
        without = f"to avoid the code, set {_PROFILE} to a profile without mfa_serial"
        hint = f"run {login} and type the code, {_RENEW}; {without}"
        raise ProblemError(self._needed(f"needs an MFA code from {device}", "mfa_serial", owner, hint))

    def problem(self, error: Exception) -> AwsInteractiveLoginNeeded | None:
        """Return what a person must do, or None if the SDK has no credentials for another reason."""
        if isinstance(error, SSOError) or (
            isinstance(error, TokenRetrievalError) and error.kwargs["provider"] == "sso"
        ):
            setting = "sso_session" if self.owner("sso_session") else "sso_start_url"
            return self._login_needed("an SSO login", setting, "sso login")
        if isinstance(error, LoginError) and not isinstance(error, LoginInsufficientPermissions):
            return self._login_needed("a new `aws login`", "login_session", "login")
        if isinstance(error, MissingDependencyException) and self.owner("login_session"):
            return self._login_unsupported()
        return None

    def _login_needed(self, what: str, setting: str, words: str) -> AwsInteractiveLoginNeeded:
        owner = self.owner(setting) or self._profile
        return self._needed(f"needs {what}", setting, owner, f"run {self._aws(words, owner)}, {_RENEW}")

    def _login_unsupported(self) -> AwsInteractiveLoginNeeded:
        """Return the problem of a profile with `aws login`: the SDK needs a library that the agent does not ship."""
        owner = self.owner("login_session") or self._profile
        export = f"aws configure export-credentials --profile {shlex.quote(owner)}"
        set_up = command("aws configure set --profile registry-agent credential_process", export, variables=self._files)
        hint = (
            f"run {set_up}, and set {_PROFILE} to registry-agent"
            if set_up
            else f"create a profile with a credential_process, and set {_PROFILE} to it"
        )
        return self._needed("uses `aws login`, which the agent cannot read by itself", "login_session", owner, hint)

    def _needed(self, what: str, setting: str, owner: str, hint: str) -> AwsInteractiveLoginNeeded:
        """Report `what` the profile in use needs. If another profile has the setting, name that one too."""
        because = "" if owner == self._profile else f" ({setting} of profile {owner})"
        return AwsInteractiveLoginNeeded(SUBJECT, f"profile {self._profile} {what}{because}", hint=hint)

    def _aws(self, words: str, profile: str, **variables: str) -> str:
        """Return an aws command to paste, or a description if a name or path cannot be pasted safely."""
        paste = command(f"aws {words} --profile", profile, variables={**self._files, **variables})
        return paste or f"aws {words} with profile {shown(profile)}"

    def owner(self, setting: str, named_in: str | None = None) -> str | None:
        """Return the first profile along `source_profile` that has `setting` (and whose value is in `named_in`)."""
        visited: set[str] = set()  # a profile may name itself as its source
        name = self._profile
        while name in self.profiles and name not in visited:
            visited.add(name)
            value = self.profiles[name].get(setting)
            if value is not None and (named_in is None or str(value) in named_in):
                return name
            name = str(self.profiles[name].get("source_profile"))
        return None


def cached_sessions() -> dict[str, Any]:
    """Return the role sessions that the aws CLI has cached, by the SDK's cache key.

    The agent can use a session for which a person typed an MFA code until the session ends. It never writes to the
    cache. Reads files, so do not call it in the event loop.
    """
    found: dict[str, Any] = {}
    for name, document in cached_documents("~/.aws/cli/cache").items():
        with contextlib.suppress(ValueError, LookupError, TypeError, OverflowError):
            keys = document["Credentials"]
            if all(isinstance(keys[key], str) for key in _KEYS):
                parse_timestamp(keys["Expiration"])
                found[name] = document
    return found


def cached_documents(directory: str) -> dict[str, Any]:
    """Return the JSON files in a directory of other programs, by name. What cannot be parsed is ignored. Blocks."""
    found: dict[str, Any] = {}
    for path in sorted(Path(directory).expanduser().glob("*.json"))[:_MAX_CACHED]:
        with contextlib.suppress(OSError, ValueError, RecursionError):
            found[path.stem] = json.loads(read_regular(path, _LARGEST))
    return found
