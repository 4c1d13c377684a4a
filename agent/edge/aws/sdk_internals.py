"""All private names of the AWS SDK that the agent uses. `tests/edge/aws/test_sdk_internals.py` fails if one changes.

| name | why |
|---|---|
| `AIOHTTPSession._get_session` | no setting turns redirects off or limits the size of an answer |
| `AIOHTTPSession._build_verify_context`, `_verify` | all clients share TLS contexts, which are slow to load |
| `_fetcher._session`, `_role_fetcher._session` | the metadata sources create their own HTTP sessions |
| `_prompter`, `_profile_provider_builder`, `_create_process_provider` | the SDK builds its chain in one piece |
| `_get_config("web_identity_token_file")` | the SDK reads the file in the event loop, so the agent checks it first |
| `_environ` of the container source | the SDK reads the token file in the event loop, so the agent passes the token |
"""
# ruff: noqa: SLF001

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiobotocore.credentials import AioProcessProvider, AioProfileProviderBuilder
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.httpsession import get_cert_path

from agent.edge.ca_certificates import CertificateAuthorities

_CHUNK: Final = 1 << 16
_LARGEST: Final = 1 << 20

RunProgram = Callable[..., Awaitable[bytes]]
"""Runs the program with these arguments and returns its output. Raises an exception if the program fails."""


def safe_providers(
    session: AioSession,
    *,
    run_program: RunProgram,
    prompt: Callable[[str], str],
    cached_roles: dict[str, Any],
) -> list[Any]:
    """Return the SDK's credential providers, with safer replacements of some parts.

    `run_program` runs each `credential_process`, `prompt` replaces the SDK's prompt for an MFA code, and `cached_roles`
    replaces its cache. A metadata service can neither redirect the agent nor fill its memory.
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
                _refuse_redirects(provider._fetcher._session)
            case "iam-role":
                _refuse_redirects(provider._role_fetcher._session)
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


def no_redirect_http(authorities: CertificateAuthorities) -> type[AIOHTTPSession]:
    """Return the HTTP class for the SDK's clients. All of them share the TLS contexts of `authorities`."""

    class Http(_NoRedirectHttp):
        def _build_verify_context(self) -> Any:
            bundle = get_cert_path(self._verify)  # type: ignore[attr-defined]  # not in the stubs
            if not bundle:
                return super()._build_verify_context()  # type: ignore[misc]  # not in the stubs
            return authorities.of_bundle(Path(bundle))

    return Http


class _NoRedirectHttp(AIOHTTPSession):
    """Follows no redirect: a 307 would send the body, with the web identity token, to any other host."""

    async def _get_session(self, proxy_url: str | None) -> Any:
        return _NoRedirectSession(await super()._get_session(proxy_url))  # type: ignore[misc]  # not in the stubs


def _refuse_redirects(http: Any) -> None:
    """Make an HTTP session that the SDK created for a metadata service behave like `_NoRedirectHttp`."""
    original = http._get_session

    async def _get_session(proxy_url: str | None) -> Any:
        return _NoRedirectSession(await original(proxy_url))

    http._get_session = _get_session


class _NoRedirectSession:
    """An HTTP session that follows no redirect, rejects headers that are not text, and limits the body."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session: Final = session

    async def request(self, method: str, **arguments: Any) -> Any:
        response = await self._session.request(method, allow_redirects=False, **arguments)
        try:
            # The SDK decodes the headers too. If it fails there, nobody closes the connection.
            b"".join(part for header in response.raw_headers for part in header).decode()
        except UnicodeDecodeError as error:
            response.close()
            raise aiohttp.ClientPayloadError("its headers are not text") from error
        return _BoundedResponse(response)


class _BoundedResponse:
    """A response with a size limit. Without it, the SDK would read gigabytes into memory."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response: Final = response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    async def read(self) -> bytes:
        try:
            return await self._body()
        except BaseException:
            self._response.close()
            raise

    async def _body(self) -> bytes:
        body = bytearray()
        async for chunk in self._response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > _LARGEST:
                raise aiohttp.ClientPayloadError("longer than any answer of AWS")
        return bytes(body)
