"""Creates AWS SDK sessions for the agent: short deadlines, no retries, no redirects, the system's CAs."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.exceptions import ConfigParseError, ProfileNotFound
from botocore.httpsession import get_cert_path
from botocore.loaders import Loader, create_loader

from agent.edge.ca_certificates import CertificateAuthorities
from agent.model.aws_errors import SUBJECT
from agent.model.problem import ProblemError
from agent.model.problems.aws import AwsCredentialsMissing
from agent.settings import AwsSettings

SERVICES: Final = ("ecr", "ecr-public", "sts")
_CHUNK: Final = 1 << 16
_LARGEST: Final = 1 << 20
_DEBIAN_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
# Turns off every source of a profile name, for the case that the named profile does not exist.
_NO_PROFILE: Final = {"profile": (None, None, None, None)}


def primed_loader() -> Loader:
    """Return a loader that already holds the models of `SERVICES`. Loading takes 60 ms, too long for the event loop."""
    loader: Loader = create_loader()
    for name in ("_retry", "endpoints", "partitions", "sdk-default-configuration"):
        loader.load_data_with_path(name)
    for service in SERVICES:
        for kind in ("service-2", "endpoint-rule-set-1"):
            loader.load_service_model(service, kind)
    return loader


def open_session(
    loader: Loader,
    http: type[AIOHTTPSession],
    settings: AwsSettings,
    environ: Mapping[str, str],
    region: str,
    *,
    chain: bool,
) -> AioSession:
    """Return a new session, so that changes of ~/.aws and the environment take effect.

    Reads files, so do not call it in the event loop.

    Args:
        loader: shared between sessions. It holds only data that ships with the SDK.
        http: shared between sessions. The class that `no_redirect_http` returns.
        settings: profile and deadlines.
        environ: variables that may name a CA bundle.
        region: for every client, including those that the credential chain creates.
        chain: whether the credential chain will be used. If not, an unreadable profile is not an error.

    Raises:
        ProblemError: with AwsCredentialsMissing if the profile does not exist or ~/.aws cannot be parsed.
    """
    session = AioSession(profile=settings.profile)
    try:
        session.get_scoped_config()
    except (ProfileNotFound, ConfigParseError) as error:
        if chain:
            raise ProblemError(
                AwsCredentialsMissing(
                    SUBJECT,
                    f"no AWS credentials: {error}",
                    hint="fix aws.profile, AWS_PROFILE or the profiles in ~/.aws",
                )
            ) from error
        session = AioSession(session_vars={**_NO_PROFILE, "config_file": (None, None, "/dev/null", None)})
    session.register_component("data_loader", loader)
    session.set_config_variable("region", region)
    session.set_config_variable("metadata_service_timeout", _metadata_timeout(settings))
    session.set_config_variable("metadata_service_num_attempts", 1)
    bundle = session.get_config_variable("ca_bundle") or _ca_bundle(environ)
    if bundle:
        session.set_config_variable("ca_bundle", bundle)
    session.set_default_client_config(_client_config(settings.call_timeout_s, http))
    return session


def _client_config(timeout_s: float, http: type[AIOHTTPSession]) -> AioConfig:
    return AioConfig(
        # Shorter than the deadline of the call, to distinguish a firewall that drops packets from a slow answer.
        connect_timeout=timeout_s / 2,
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1, "mode": "standard"},
        http_session_cls=http,
        # With AWS_DEFAULTS_MODE=auto, the SDK would ask the metadata service in a separate session.
        defaults_mode="legacy",
    )


def _metadata_timeout(settings: AwsSettings) -> float:
    """Return a timeout that lets two requests fit into the deadline.

    With a hop limit of 1, IMDSv2 stays silent, and IMDSv1 must still get its turn.
    """
    return settings.call_timeout_s * 0.4


def _ca_bundle(environ: Mapping[str, str]) -> str | None:
    """Return `SSL_CERT_FILE` or the system's bundle. The SDK's own bundle (certifi) lacks the CAs of companies."""
    named = environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    # Ubuntu's OpenSSL has only a directory of certificates, and the SDK accepts only a file.
    return named or (str(_DEBIAN_BUNDLE) if _DEBIAN_BUNDLE.is_file() else None)


def no_redirect_http(authorities: CertificateAuthorities) -> type[AIOHTTPSession]:
    """Return the HTTP class for the SDK's clients. All of them share the TLS contexts of `authorities`."""

    class Http(_NoRedirectHttp):
        def _build_verify_context(self) -> Any:
            bundle = get_cert_path(self._verify)  # type: ignore[attr-defined]  # the stubs leave it out
            if not bundle:
                return super()._build_verify_context()  # type: ignore[misc]  # as above
            return authorities.of_bundle(Path(bundle))

    return Http


class _NoRedirectHttp(AIOHTTPSession):
    """Follows no redirect: a 307 would send the body, with the web identity token, to any other host."""

    async def _get_session(self, proxy_url: str | None) -> Any:
        return _NoRedirectSession(await super()._get_session(proxy_url))  # type: ignore[misc] # the stubs leave it out


def refuse_redirects(http: Any) -> None:
    """Make an HTTP session that the SDK created for a metadata service behave like `_NoRedirectHttp`."""
    original = http._get_session  # noqa: SLF001 - the SDK offers no other way to it

    async def _get_session(proxy_url: str | None) -> Any:
        return _NoRedirectSession(await original(proxy_url))

    http._get_session = _get_session  # noqa: SLF001 - as above


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
