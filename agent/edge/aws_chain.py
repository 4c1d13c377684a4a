"""The default AWS chain: where it looks for credentials, one place after the other, and what it found there."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from aiobotocore.credentials import AioProcessProvider, AioProfileProviderBuilder
from aiobotocore.session import AioSession
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import get_environ_proxies

from agent.edge.aws_errors import TRANSPORT_ERRORS, Question, clean, problem_from
from agent.edge.process import ProcessTimeout
from agent.edge.web_identity import run_command, token_from_file
from agent.model.aws_failure import SUBJECT, WEB_IDENTITY_ACTION
from agent.model.credential import AwsKeys
from agent.model.problem import Problem
from agent.model.problems import AwsCredentialsMissing, AwsIdentityUnavailable
from agent.model.sensitive import Sensitive

# The names that the SDK gives to the places of its chain; those left out are sections of a profile.
_ROLE: Final = "assume-role"
_WEB_IDENTITY: Final = "assume-role-with-web-identity"
_PROGRAM: Final = "custom-process"
_CONTAINER: Final = "container-role"
_INSTANCE: Final = "iam-role"
_ELSEWHERE: Final = {
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    _WEB_IDENTITY: "web identity (AWS_WEB_IDENTITY_TOKEN_FILE)",
    _CONTAINER: "the container endpoint (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI)",
}
_ACTIONS: Final = {_ROLE: "sts:AssumeRole", _WEB_IDENTITY: WEB_IDENTITY_ACTION}
_TOKEN_FILE: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"  # noqa: S105 - a variable's name
# What may come back in an error's text.
_SECRETS: Final = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")


async def find_keys(
    session: AioSession, environ: Mapping[str, str], timeout_s: float, now: Callable[[], datetime]
) -> tuple[AwsKeys, str]:
    """The first keys that the chain gives, and the place in words. Each place has `timeout_s`.

    Raises:
        Problem: AwsCredentialsMissing naming the places that were tried, or what is wrong with a place that is set
            up and does not work (what comes after it is then not asked, as with every AWS tool).
    """
    chain = _Chain(session, environ, timeout_s, now)
    tried: dict[str, None] = {}
    for provider in chain.providers():
        place = chain.place(provider.METHOD)
        keys = await chain.ask(provider)
        if keys is not None:
            return keys, place
        tried[place] = None
    raise AwsCredentialsMissing(SUBJECT, f"no AWS credentials found; tried {', '.join(tried)}")


class _Chain:
    def __init__(
        self, session: AioSession, environ: Mapping[str, str], timeout_s: float, now: Callable[[], datetime]
    ) -> None:
        self._session: Final = session
        self._environ: Final = environ
        self._timeout_s: Final = timeout_s
        self._now: Final = now
        self._profile: Final = str(session.get_config_variable("profile") or "default")

    def providers(self) -> list[Any]:
        """The SDK's, but that programs get the environment of children and are killed at their deadline."""
        providers: list[Any] = self._session.get_component("credential_provider").providers
        builder = _Profiles(self._session, self._environ, self._timeout_s)
        for index, provider in enumerate(providers):
            if provider.METHOD == _ROLE:
                provider._profile_provider_builder = builder  # noqa: SLF001 - the SDK builds its chain in one piece
            if provider.METHOD == _PROGRAM:
                providers[index] = builder._create_process_provider(self._profile)  # noqa: SLF001 - as above
        return providers

    def place(self, method: str) -> str:
        if method == _INSTANCE:
            return self._instance()
        return _ELSEWHERE.get(method) or f"profile {self._profile} (~/.aws/config, ~/.aws/credentials)"

    async def ask(self, provider: Any) -> AwsKeys | None:
        """The keys of this place, None where it is not in use."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._load(provider)
        except Problem:
            raise
        except Exception as error:  # noqa: BLE001 - a place may answer anything
            if provider.METHOD == _INSTANCE and isinstance(error, TimeoutError):
                return None
            raise self._problem(error, provider.METHOD) from None

    async def _load(self, provider: Any) -> AwsKeys | None:
        token_file = self._environ.get(_TOKEN_FILE)
        if provider.METHOD == _WEB_IDENTITY and token_file:
            # The SDK reads it in the event loop, and would wait there for ever if it is a FIFO.
            await token_from_file(_TOKEN_FILE, Path(token_file), self._timeout_s)
        credentials = await provider.load()
        if credentials is None:
            return None
        frozen = await credentials.get_frozen_credentials()
        token = Sensitive(frozen.token) if frozen.token else None
        return AwsKeys(frozen.access_key, Sensitive(frozen.secret_key), token)

    def _problem(self, error: Exception, method: str) -> Problem:
        place = self.place(method)
        secrets = tuple(Sensitive(self._environ[name]) for name in _SECRETS if self._environ.get(name))
        asked_sts = method in _ACTIONS and isinstance(error, (ClientError, TimeoutError, *TRANSPORT_ERRORS))
        if asked_sts:
            return problem_from(error, Question(_ACTIONS[method], place, secrets), self._now(), self._timeout_s)
        if method == _WEB_IDENTITY and isinstance(error, OSError):
            return AwsIdentityUnavailable(SUBJECT, f"{place}: {error.strerror or 'cannot be read'}")
        if isinstance(error, TimeoutError | ProcessTimeout):
            reason = f"no answer within {self._timeout_s:g} s"
        elif isinstance(error, BotoCoreError | OSError | ClientError):
            reason = clean(str(error).strip().partition("\n")[0], secrets)
        else:
            reason = "its answer cannot be understood"
        return AwsCredentialsMissing(
            SUBJECT,
            f"{place} is set up but gives no AWS credentials: {reason}",
            hint="mend that place or remove it: like every AWS tool, the agent looks no further",
        )

    def _instance(self) -> str:
        address = self._session.get_config_variable("ec2_metadata_service_endpoint") or "http://169.254.169.254"
        if self._environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
            remark = ", turned off by AWS_EC2_METADATA_DISABLED"
        elif get_environ_proxies(address):
            remark = ", through HTTP_PROXY: name it in NO_PROXY"
        else:
            remark = ""
        return f"the instance metadata service ({address}{remark})"


class _Profiles(AioProfileProviderBuilder):
    """Runs a profile's `credential_process` as the agent runs every program."""

    def __init__(self, session: AioSession, environ: Mapping[str, str], timeout_s: float) -> None:
        super().__init__(session)
        self._config: Final = lambda: session.full_config
        self._environ: Final = environ
        self._timeout_s: Final = timeout_s

    def _create_process_provider(self, profile_name: str) -> AioProcessProvider:
        return AioProcessProvider(profile_name=profile_name, load_config=self._config, popen=self._start)

    async def _start(self, *args: str, **_pipes: Any) -> "_Ended":
        finished = await run_command(args, self._environ, self._timeout_s)
        return _Ended(finished.returncode, finished.stdout, finished.stderr)


class _Ended:
    """A program that has ended, as the SDK asks about it."""

    def __init__(self, returncode: int, stdout: bytes, stderr: bytes) -> None:
        self.returncode: Final = returncode
        self._output: Final = (stdout, stderr)

    async def communicate(self) -> tuple[bytes, bytes]:
        return self._output
