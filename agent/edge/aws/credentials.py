"""The default AWS credential chain: asks one source after the other, and reports what each one gave."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aiobotocore.session import AioSession
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
)

from agent.blocking import BlockingCalls, NoThreadError
from agent.edge.aws.errors import AwsCall, problem_from
from agent.edge.aws.interactive_login import DEFAULT_PROFILE, InteractiveLogin, cached_sessions
from agent.edge.aws.missing_keys import DISABLED, nothing_found, unreadable_file
from agent.edge.aws.sdk_internals import safe_providers, set_container_environment
from agent.edge.aws.session import KEY_PROFILES, metadata_http
from agent.edge.aws.sso_tokens import SSO_CACHE, SsoTokens, sso_logins
from agent.edge.aws.web_identity import ProgramUnusableError, token_from_file
from agent.edge.http import HttpClient
from agent.edge.process import ProcessTimeout
from agent.edge.secret_command import how_it_failed, run_command
from agent.edge.token_file import read_token
from agent.model.aws_errors import SUBJECT, WEB_IDENTITY_ACTION
from agent.model.aws_keys import IN_ENVIRONMENT, KeyPlace, in_profile, printed_for
from agent.model.credential import AwsKeys
from agent.model.problem import Problem, ProblemError
from agent.model.problems.aws import (
    AwsCredentialsMissing,
    AwsError,
    AwsIdentityUnavailable,
    AwsInteractiveLoginNeeded,
    AwsSetupUnusable,
)
from agent.model.sensitive import Sensitive
from agent.model.text import printable, program_of

# The SDK's names for the sources in its chain. Those that are not listed are sections of a profile.
_ROLE: Final = "assume-role"
_WEB_IDENTITY: Final = "assume-role-with-web-identity"
_PROGRAM: Final = "custom-process"
_CONTAINER: Final = "container-role"
_INSTANCE: Final = "iam-role"
_SSO: Final = "sso"
_ENVIRONMENT: Final = "env"
_STATIC: Final = frozenset({_ENVIRONMENT, "shared-credentials-file", "config-file"})
_ELSEWHERE: Final = {
    _ENVIRONMENT: "the environment (AWS_ACCESS_KEY_ID)",
    _WEB_IDENTITY: "web identity (AWS_WEB_IDENTITY_TOKEN_FILE)",
    _CONTAINER: "the container endpoint (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI)",
}
_OF_OLDER_TOOLS: Final = {
    "ec2-credentials-file": "the file in AWS_CREDENTIAL_FILE",
    "boto-config": "the file in BOTO_CONFIG, or else /etc/boto.cfg or ~/.boto,",
}
_ACTIONS: Final = {_ROLE: "sts:AssumeRole", _WEB_IDENTITY: WEB_IDENTITY_ACTION}
_TOKEN_VARIABLE: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"  # noqa: S105 - a variable's name
_TOKEN_FILE: Final = "web_identity_token_file"  # noqa: S105 - a key of a profile
_PROFILE_SECRETS: Final = frozenset({"aws_secret_access_key", "aws_session_token"})
_CONTAINER_URLS: Final = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_CONTAINER_TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - a variable's name
_CONTAINER_TOKEN_FILE: Final = f"{_CONTAINER_TOKEN}_FILE"
_CACHE: Final = BlockingCalls("aws-cache", limit=4)
_FILES: Final = BlockingCalls("aws-file-checks", limit=2)


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """Keys, a description of their source, and where the user writes them (None if a service issues them)."""

    keys: AwsKeys
    source: str
    key_place: KeyPlace | None


@dataclass(kw_only=True, eq=False)
class CredentialChain:
    """The credential providers of one SDK session, made safe for the event loop.

    `http` asks the metadata services. `timeout_s` is the deadline of each source. `learned` is called with the secrets
    that the sources themselves need. `scrub` removes known secrets from what a source answers. `sso_tokens` outlives
    the session.
    """

    session: AioSession
    http: HttpClient
    environ: Mapping[str, str]
    timeout_s: float
    now: Callable[[], datetime]
    learned: Callable[[Sensitive], object]
    scrub: Callable[[str], str]
    sso_tokens: SsoTokens

    def __post_init__(self) -> None:
        self._profile = str(self.session.get_config_variable("profile") or DEFAULT_PROFILE)
        self._interactive = InteractiveLogin(self.session, self.environ)

    async def find_keys(self) -> FoundKeys:
        """Return the first keys that a source gives, and where they come from.

        Raises:
            ProblemError: with AwsCredentialsMissing that names the sources tried, or with the problem of a source that
                is configured but does not work. Like every AWS tool, the agent does not try the sources after it.
        """
        try:
            return await self._first_keys()
        except ProblemError as error:
            # The SDK takes a file that it cannot read for empty. Then everything that it reports is a consequence.
            if isinstance(error.problem, AwsCredentialsMissing) and not isinstance(
                error.problem, AwsInteractiveLoginNeeded
            ):
                cause = await self._unreadable_file()
                if cause is not None:
                    raise ProblemError(cause) from None
            raise

    async def _unreadable_file(self) -> Problem | None:
        with contextlib.suppress(TimeoutError, NoThreadError):
            return await _FILES.call("~/.aws", lambda: unreadable_file(self.environ), timeout=self.timeout_s)
        return None

    async def _first_keys(self) -> FoundKeys:
        for profile in self.session.full_config["profiles"].values():
            for name in _PROFILE_SECRETS & profile.keys():
                self.learned(Sensitive(profile[name]))
        tried: dict[str, None] = {}
        for provider in await self._providers():
            place = self._place(provider.METHOD)
            keys = await self._ask(provider)
            if keys is not None:
                return FoundKeys(keys, place, self._key_place(provider.METHOD))
            tried[place] = None
        message = f"no AWS credentials found; tried {', '.join(tried)}"
        raise ProblemError(nothing_found(message, self._interactive, metadata_disabled=self._metadata_disabled))

    def _key_place(self, method: str) -> KeyPlace | None:
        """Return where the user writes these keys. None if a service issues them."""
        if method == _PROGRAM:
            return printed_for(self._profile)
        if method in _STATIC:
            return IN_ENVIRONMENT if method == _ENVIRONMENT else in_profile(self._profile)
        return None

    async def _providers(self) -> list[Any]:
        """Return the SDK's providers. No provider prompts, and programs are killed at their deadline."""
        return safe_providers(
            self.session,
            metadata_http=metadata_http(self.http, self.timeout_s),
            run_program=self._run_program,
            read_token=self._web_identity_token,
            prompt=self._interactive.refuse_prompt,
            cached_roles=await self._cached_sessions(),
            key_profiles=self.session.get_component(KEY_PROFILES),
            sso_tokens=self.sso_tokens,
        )

    async def _cached_sessions(self) -> dict[str, Any]:
        """Read the role sessions of the aws CLI, but only if the profile needs MFA.

        Other roles are assumed again each time, so a change of their permissions takes effect.
        """
        sessions: dict[str, Any] = {}
        if self._interactive.wants_mfa:
            with contextlib.suppress(TimeoutError, NoThreadError):
                sessions = await _CACHE.call("~/.aws/cli/cache", cached_sessions, timeout=self.timeout_s)
        for session in sessions.values():
            for name in ("SecretAccessKey", "SessionToken"):
                self.learned(Sensitive(session["Credentials"][name]))
        return sessions

    async def _run_program(self, *args: str) -> bytes:
        """Return what a `credential_process` prints."""
        try:
            finished = await run_command(args, self.environ, self.timeout_s)
        except ProcessTimeout:
            raise
        except OSError as error:
            raise ProgramUnusableError(args[0], error) from None
        if finished.returncode != 0:
            # Instead of the SDK's error, which quotes everything that the program wrote to stderr.
            raise ChildProcessError(f"credential_process {program_of(args[0])} {how_it_failed(finished)}")
        return finished.stdout

    def _place(self, method: str) -> str:
        """Describe the source of a provider, for messages."""
        if method == _INSTANCE:
            return self._instance()
        return _ELSEWHERE.get(method) or f"profile {self._profile} (~/.aws/config, ~/.aws/credentials)"

    async def _ask(self, provider: Any) -> AwsKeys | None:
        """Return the keys of this source, or None if it is not configured."""
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._load(provider)
        except ProblemError:
            raise
        except Exception as error:  # noqa: BLE001 - a source may answer anything
            # Outside EC2 nothing answers at the address of the metadata service: that is not an error.
            if provider.METHOD == _INSTANCE and isinstance(error, TimeoutError):
                return None
            raise ProblemError(self._problem(error, provider.METHOD)) from None

    async def _load(self, provider: Any) -> AwsKeys | None:
        if provider.METHOD in (_SSO, _ROLE) and self._interactive.wants_sso:
            self.sso_tokens.update(await self._read(SSO_CACHE, sso_logins))
        if provider.METHOD == _CONTAINER and any(self.environ.get(name) for name in _CONTAINER_URLS):
            await self._read_container_token(provider)
        if provider.METHOD in _OF_OLDER_TOOLS:
            credentials = await self._read(_OF_OLDER_TOOLS[provider.METHOD], lambda: asyncio.run(provider.load()))
        else:
            credentials = await provider.load()
        if credentials is None:
            return None
        frozen = await credentials.get_frozen_credentials()
        # The SDK does not check the types in the JSON of a metadata service.
        if not all(isinstance(part, str) for part in (frozen.access_key, frozen.secret_key, frozen.token or "")):
            raise TypeError(f"keys that are not text, from {provider.METHOD}")
        token = Sensitive(frozen.token) if frozen.token else None
        return AwsKeys(frozen.access_key, Sensitive(frozen.secret_key), token)

    async def _read(self, files: str, work: Callable[[], Any]) -> Any:
        # Before the deadline of the source itself, whose error would not name the files.
        timeout_s = self.timeout_s / 2
        try:
            return await _CACHE.call(files, work, timeout=timeout_s)
        except TimeoutError:
            message = f"{files} cannot be read: no end after {timeout_s:g} s"
            hint = "check whether it is a pipe, or whether its file system (NFS?) is down"
            raise ProblemError(AwsSetupUnusable(SUBJECT, message, hint=hint)) from None
        except NoThreadError as error:
            raise ProblemError(AwsError(SUBJECT, f"{files} cannot be read: {error.strerror}")) from None

    async def _web_identity_token(self, path: str) -> str:
        """Read the token, which the SDK would do in the event loop, where a FIFO would block forever."""
        where = _TOKEN_VARIABLE if self.environ.get(_TOKEN_VARIABLE) == path else _TOKEN_FILE
        token = await token_from_file(where, Path(path), self.timeout_s)
        self.learned(token)
        return token.reveal()

    async def _read_container_token(self, provider: Any) -> None:
        """Read the token file and pass the token as a variable. The SDK would read it in the event loop, as above."""
        token_file = self.environ.get(_CONTAINER_TOKEN_FILE)
        if not token_file:
            return
        token = await read_token(Path(token_file))
        self.learned(token)
        without = {name: value for name, value in self.environ.items() if name != _CONTAINER_TOKEN_FILE}
        set_container_environment(provider, {**without, _CONTAINER_TOKEN: token.reveal()})

    def _problem(self, error: Exception, method: str) -> Problem:
        interactive = self._interactive.problem(error)
        if interactive is not None:
            return interactive
        place = self._place(method)
        asked_sts = method in _ACTIONS and isinstance(error, ClientError | TimeoutError | EndpointConnectionError)
        if asked_sts:
            base = in_profile(self._interactive.owner("aws_access_key_id") or self._profile)
            call = AwsCall(_ACTIONS[method], place, key_place=base if method == _ROLE else None)
            return problem_from(error, call, self.now(), self.timeout_s, self.scrub)
        if method == _SSO and isinstance(error, TimeoutError | EndpointConnectionError):
            call = AwsCall("sso:GetRoleCredentials", place)
            return problem_from(error, call, self.now(), self.timeout_s, self.scrub)
        if method == _WEB_IDENTITY and isinstance(error, OSError):
            return AwsIdentityUnavailable(SUBJECT, f"{place}: {error.strerror or 'cannot be read'}")
        if isinstance(error, TimeoutError | ProcessTimeout):
            reason = f"no answer within {self.timeout_s:g} s"
        elif isinstance(error, CredentialRetrievalError) and error.kwargs.get("provider") == _PROGRAM:
            # The SDK's own text quotes what the program printed, which may be the keys.
            reason = "its credential_process must print JSON with Version 1, AccessKeyId and SecretAccessKey"
        elif method == _CONTAINER and isinstance(error, ValueError) and str(error).startswith("Unsupported host"):
            reason = "the host in AWS_CONTAINER_CREDENTIALS_FULL_URI is not allowed over plain http"
        elif isinstance(error, BotoCoreError | OSError | ClientError):
            reason = printable(self.scrub(str(error).strip()).partition("\n")[0])
        else:
            reason = "its answer is not valid"
        # Platforms set up the services. Profiles and keys in variables are the user's own.
        kind = AwsCredentialsMissing if method in (_CONTAINER, _INSTANCE, _WEB_IDENTITY) else AwsSetupUnusable
        hint = "fix that source or remove its setting: like every AWS tool, the agent does not try the next source"
        message = f"{place} is configured but gives no AWS credentials: {reason}"
        return kind(SUBJECT, message, hint=error.hint if isinstance(error, ProgramUnusableError) else hint)

    @property
    def _metadata_disabled(self) -> bool:
        return self.environ.get(DISABLED, "").lower() == "true"

    def _instance(self) -> str:
        """Describe the metadata service, and the reason if it is not asked."""
        address = self.session.get_config_variable("ec2_metadata_service_endpoint") or "http://169.254.169.254"
        remark = f", turned off by {DISABLED}" if self._metadata_disabled else ""
        return f"the instance metadata service ({address}{remark})"
