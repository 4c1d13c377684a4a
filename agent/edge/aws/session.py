"""Sessions of the AWS SDK as the agent needs them: short deadlines, no retries, no redirects, the system's CAs."""

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
# No environment variable, no settings key: where a profile is named that is not there.
_NO_PROFILE: Final = {"profile": (None, None, None, None)}


def primed_loader() -> Loader:
    """A loader that has read what clients of `SERVICES` need (60 ms), so that making one does not stop the loop."""
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
    """A fresh session, so that a changed ~/.aws or environment holds. Reads files: not for the event loop.

    Args:
        loader: shared; it holds only what ships with the SDK.
        http: shared too; what `no_redirect_http` gives.
        settings: profile and deadlines.
        environ: where a CA bundle may be named.
        region: for every client, those that the chain makes included.
        chain: whether credentials will be looked for. If not, a profile that cannot be read is no fault.

    Raises:
        AwsCredentialsMissing: the profile is not there, or ~/.aws does not parse.
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
                    hint="correct aws.profile or AWS_PROFILE, or the profiles in ~/.aws",
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
        # Shorter than the deadline of the call, so that a firewall's silence is told from a slow answer.
        connect_timeout=timeout_s / 2,
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1, "mode": "standard"},
        http_session_cls=http,
        # AWS_DEFAULTS_MODE=auto would have the SDK ask the metadata service by a session of its own.
        defaults_mode="legacy",
    )


def _metadata_timeout(settings: AwsSettings) -> float:
    """Lets a hop limit's silence to the v2 question leave time for v1's within one deadline."""
    return settings.call_timeout_s * 0.4


def _ca_bundle(environ: Mapping[str, str]) -> str | None:
    """`SSL_CERT_FILE`, else the system's bundle; the SDK's own (certifi's) knows no company's CA."""
    named = environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    # Ubuntu's OpenSSL has a directory alone, and the SDK takes a file alone.
    return named or (str(_DEBIAN_BUNDLE) if _DEBIAN_BUNDLE.is_file() else None)


def no_redirect_http(authorities: CertificateAuthorities) -> type[AIOHTTPSession]:
    """The class of the SDK's HTTP that its clients are to use; `authorities` are read once for all of them."""

    class Http(_NoRedirectHttp):
        def _build_verify_context(self) -> Any:
            bundle = get_cert_path(self._verify)  # type: ignore[attr-defined]  # the stubs leave it out
            if not bundle:
                return super()._build_verify_context()  # type: ignore[misc]  # as above
            return authorities.of_bundle(Path(bundle))

    return Http


class _NoRedirectHttp(AIOHTTPSession):
    """Follows no redirect: a 307 would carry the web identity token in the body to wherever it points."""

    async def _get_session(self, proxy_url: str | None) -> Any:
        return _NoRedirectSession(await super()._get_session(proxy_url))  # type: ignore[misc] # the stubs leave it out


def refuse_redirects(http: Any) -> None:
    """Have a session that the SDK makes for itself, for a metadata service, be as `_StraightHttp`."""
    crooked = http._get_session  # noqa: SLF001 - the SDK offers no other way to it

    async def _get_session(proxy_url: str | None) -> Any:
        return _NoRedirectSession(await crooked(proxy_url))

    http._get_session = _get_session  # noqa: SLF001 - as above


class _NoRedirectSession:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session: Final = session

    async def request(self, method: str, **arguments: Any) -> Any:
        response = await self._session.request(method, allow_redirects=False, **arguments)
        try:
            # The SDK does the same, and would leave the connection to the garbage collector, which complains.
            b"".join(part for header in response.raw_headers for part in header).decode()
        except UnicodeDecodeError as error:
            response.close()
            raise aiohttp.ClientPayloadError("its headers are not text") from error
        return _BoundedResponse(response)


class _BoundedResponse:
    """A response that is not read to its end where it has none: the SDK would take gigabytes."""

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
