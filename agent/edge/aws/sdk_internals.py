"""All private names of the AWS SDK that the agent uses. `tests/edge/aws/test_sdk_internals.py` fails if one changes.

| name | why |
|---|---|
| `_fetcher._session`, `_role_fetcher._session` | the metadata sources create their own HTTP sessions |
| `_prompter`, `_profile_provider_builder`, `_create_process_provider` | the SDK builds its chain in one piece |
| `_get_config("web_identity_token_file")` | the SDK reads the file in the event loop, so the agent checks it first |
| `_environ` of the container source | the SDK reads the token file in the event loop, so the agent passes the token |
"""
# ruff: noqa: SLF001

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aiobotocore.credentials import AioProcessProvider, AioProfileProviderBuilder
from aiobotocore.session import AioSession

from agent.edge.aws.sdk_http import SdkHttp

RunProgram = Callable[..., Awaitable[bytes]]
"""Runs the program with these arguments and returns its output. Raises an exception if the program fails."""


def safe_providers(
    session: AioSession,
    *,
    metadata_http: SdkHttp,
    run_program: RunProgram,
    prompt: Callable[[str], str],
    cached_roles: dict[str, Any],
) -> list[Any]:
    """Return the SDK's credential providers, with safer replacements of some parts.

    `metadata_http` asks the metadata services, `run_program` runs each `credential_process`, `prompt` replaces the
    SDK's prompt for an MFA code, and `cached_roles` replaces its cache.
    """
    providers: list[Any] = session.get_component("credential_provider").providers
    builder = _Profiles(session, run_program)
    profile = session.get_config_variable("profile") or "default"
    for index, provider in enumerate(providers):
        match provider.METHOD:
            case "assume-role":
                provider._profile_provider_builder = builder
                provider._prompter = prompt
                provider.cache = cached_roles
            case "custom-process":
                providers[index] = builder._create_process_provider(profile)
            case "container-role":
                provider._fetcher._session = metadata_http
            case "iam-role":
                provider._role_fetcher._session = metadata_http
    return providers


def web_identity_token_file(provider: Any) -> str | None:
    """Return the token file that the web identity source of the chain would read."""
    path: str | None = provider._get_config("web_identity_token_file")
    return path


def set_container_environment(provider: Any, environ: Mapping[str, str]) -> None:
    """Make the container source read these variables instead of those of the process."""
    provider._environ = environ


class _Profiles(AioProfileProviderBuilder):
    """Runs the `credential_process` of a profile, and of the profiles it takes credentials from."""

    def __init__(self, session: AioSession, run_program: RunProgram) -> None:
        super().__init__(session)
        self._load_config: Final = lambda: session.full_config
        self._run_program: Final = run_program

    def _create_process_provider(self, profile_name: str) -> AioProcessProvider:
        return AioProcessProvider(profile_name=profile_name, load_config=self._load_config, popen=self._start)

    async def _start(self, *args: str, **_pipes: Any) -> "_CompletedProcess":
        return _CompletedProcess(await self._run_program(*args))


class _CompletedProcess:
    """A program that has exited with code 0, in the form that the SDK expects."""

    returncode: Final = 0

    def __init__(self, stdout: bytes) -> None:
        self._stdout: Final = stdout

    async def communicate(self) -> tuple[bytes, bytes]:
        return self._stdout, b""
