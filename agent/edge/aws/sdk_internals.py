"""All private names of the AWS SDK that the agent uses. `tests/edge/aws/test_sdk_internals.py` fails if one changes.

| name | why |
|---|---|
| `_fetcher._session`, `_role_fetcher._session` | the metadata sources create their own HTTP sessions |
| `_prompter`, `_profile_provider_builder`, `_create_process_provider` | the SDK builds its chain in one piece |
| `_get_config("web_identity_token_file")`, `_token_loader_cls` | as above, and it reads this file in the event loop |
| `_create_sso_provider`, `_token_provider`, `_refresher` | the SDK writes ~/.aws/sso/cache, in the event loop |
| `_ini_parser`, `_config_parser` | the SDK reads ~/.aws again in the event loop, so it gets what was read before |
| `_environ` of the container source | the SDK reads the token file in the event loop, so the agent passes the token |
"""
# ruff: noqa: SLF001

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from aiobotocore.credentials import AioProcessProvider, AioProfileProviderBuilder
from aiobotocore.session import AioSession

from agent.edge.aws.sdk_http import SdkHttp
from agent.edge.aws.sso_tokens import SsoTokens

RunProgram = Callable[..., Awaitable[bytes]]
"""Runs the program with these arguments and returns its output. Raises an exception if the program fails."""
ReadToken = Callable[[str], Awaitable[str]]
"""Returns the web identity token in the file with this path. Raises an exception if there is none."""


def safe_providers(
    session: AioSession,
    *,
    metadata_http: SdkHttp,
    run_program: RunProgram,
    read_token: ReadToken,
    prompt: Callable[[str], str],
    cached_roles: dict[str, Any],
    key_profiles: Mapping[str, Any],
    sso_tokens: SsoTokens,
) -> list[Any]:
    """Return the SDK's credential providers, with safer replacements of some parts.

    `metadata_http` asks the metadata services, `run_program` runs each `credential_process`, `read_token` reads a web
    identity token, `prompt` replaces the SDK's prompt for an MFA code, `cached_roles` and `sso_tokens` replace its
    caches, and `key_profiles` is what ~/.aws/credentials contains.
    """
    builder = _Profiles(session, run_program, read_token, key_profiles, sso_tokens)
    profile = session.get_config_variable("profile") or "default"
    given: list[Any] = session.get_component("credential_provider").providers
    providers = [builder.safe(each, profile) for each in given]
    for provider in providers:
        match provider.METHOD:
            case "assume-role":
                provider._profile_provider_builder = builder
                provider._prompter = prompt
                provider.cache = cached_roles
            case "container-role":
                provider._fetcher._session = metadata_http
            case "iam-role":
                provider._role_fetcher._session = metadata_http
    return providers


def set_container_environment(provider: Any, environ: Mapping[str, str]) -> None:
    """Make the container source read these variables instead of those of the process."""
    provider._environ = environ


class _Profiles(AioProfileProviderBuilder):
    """Makes the sources of a profile, and of the profiles it takes credentials from, safe for the event loop."""

    def __init__(
        self,
        session: AioSession,
        run_program: RunProgram,
        read_token: ReadToken,
        key_profiles: Mapping[str, Any],
        sso_tokens: SsoTokens,
    ) -> None:
        super().__init__(session, sso_token_cache=sso_tokens)  # type: ignore[arg-type]  # not a dict, but used as one
        self._sso_tokens: Final = sso_tokens
        self._load_config: Final[Callable[[], Any]] = lambda: session.full_config
        self._run_program: Final = run_program
        self._read_token: Final = read_token
        self._key_profiles: Final = key_profiles

    def providers(self, profile_name: str, disable_env_vars: bool = False) -> list[Any]:
        return [self.safe(each, profile_name) for each in super().providers(profile_name, disable_env_vars)]

    def safe(self, provider: Any, profile_name: str) -> Any:
        match provider.METHOD:
            case "custom-process":
                return self._create_process_provider(profile_name)
            case "sso":
                return self._create_sso_provider(profile_name)
            case "assume-role-with-web-identity":
                provider.load = partial(self._load_with_token, provider, provider.load)
            case "shared-credentials-file":
                provider._ini_parser = lambda _file: self._key_profiles
            case "config-file":
                provider._config_parser = lambda _file: self._load_config()
        return provider

    async def _load_with_token(self, provider: Any, load: Callable[[], Awaitable[Any]]) -> Any:
        path = provider._get_config("web_identity_token_file")
        if path:
            token = await self._read_token(path)
            provider._token_loader_cls = lambda _path: lambda: token
        return await load()

    def _create_process_provider(self, profile_name: str) -> AioProcessProvider:
        return AioProcessProvider(profile_name=profile_name, load_config=self._load_config, popen=self._start)

    def _create_sso_provider(self, profile_name: str) -> Any:
        """Return the SDK's provider, with `sso_tokens` as its cache, and one renewal at a time."""
        provider: Any = super()._create_sso_provider(profile_name)  # type: ignore[misc]  # missing in the stubs
        session_name = self._load_config()["profiles"].get(profile_name, {}).get("sso_session")
        tokens = provider._token_provider
        tokens._refresher = partial(_locked, self._sso_tokens.locks[session_name], tokens._refresher)
        return provider

    async def _start(self, *args: str, **_pipes: Any) -> "_CompletedProcess":
        return _CompletedProcess(await self._run_program(*args))


async def _locked(lock: asyncio.Lock, work: Callable[[], Awaitable[Any]]) -> Any:
    async with lock:
        return await work()


class _CompletedProcess:
    """A program that has exited with code 0, in the form that the SDK expects."""

    returncode: Final = 0

    def __init__(self, stdout: bytes) -> None:
        self._stdout: Final = stdout

    async def communicate(self) -> tuple[bytes, bytes]:
        return self._stdout, b""
