"""Creates AWS SDK sessions for the agent: short deadlines, no retries, the system's CAs."""

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.session import AioSession
from botocore.exceptions import ConfigParseError, ProfileNotFound
from botocore.loaders import Loader

from agent.edge.name_resolver import NameResolver
from agent.model.aws_errors import SUBJECT
from agent.model.problem import ProblemError
from agent.model.problems.aws import AwsCredentialsMissing
from agent.settings import AwsSettings

SERVICES: Final = ("ecr", "ecr-public", "sts")
_DEBIAN_BUNDLE: Final = Path("/etc/ssl/certs/ca-certificates.crt")
# Turns off every source of a profile name, for the case that the named profile does not exist.
_NO_PROFILE: Final = {"profile": (None, None, None, None)}


def primed_loader() -> Loader:
    """Return a loader that already holds the models of `SERVICES`. Loading takes 60 ms, too long for the event loop."""
    # Not `create_loader`, which would also look for models in ~/.aws/models: that may hang.
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
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
    files: bool = True,
) -> AioSession:
    """Return a new session, so that changes of ~/.aws and the environment take effect.

    Reads files, so do not call it in the event loop.

    Args:
        loader: shared between sessions. It holds only data that ships with the SDK.
        http: shared between sessions. The class that `sdk_internals.no_redirect_http` returns.
        settings: profile and deadlines.
        environ: variables that may name a CA bundle.
        region: for every client, including those that the credential chain creates.
        chain: whether the credential chain will be used. If not, an unreadable profile is not an error.
        files: whether to read ~/.aws.

    Raises:
        ProblemError: with AwsCredentialsMissing if the profile does not exist or ~/.aws cannot be parsed.
    """
    session = AioSession(profile=settings.profile) if files else _session_without_files()
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
        session = _session_without_files()
    session.register_component("data_loader", loader)
    session.set_config_variable("region", region)
    session.set_config_variable("metadata_service_timeout", _metadata_timeout(settings))
    session.set_config_variable("metadata_service_num_attempts", 1)
    bundle = session.get_config_variable("ca_bundle") or ca_bundle(environ)
    if bundle:
        session.set_config_variable("ca_bundle", bundle)
    session.set_default_client_config(_client_config(settings.call_timeout_s, http))
    return session


def _session_without_files() -> AioSession:
    nothing = (None, None, os.devnull, None)
    return AioSession(session_vars={**_NO_PROFILE, "config_file": nothing, "credentials_file": nothing})


def _client_config(timeout_s: float, http: type[AIOHTTPSession]) -> AioConfig:
    return AioConfig(
        # Shorter than the deadline of the call, to distinguish a firewall that drops packets from a slow answer.
        connect_timeout=timeout_s / 2,
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1, "mode": "standard"},
        http_session_cls=http,
        connector_args={"resolver": NameResolver()},
        # With AWS_DEFAULTS_MODE=auto, the SDK would ask the metadata service in a separate session.
        defaults_mode="legacy",
    )


def _metadata_timeout(settings: AwsSettings) -> float:
    """Return a timeout that lets two requests fit into the deadline.

    With a hop limit of 1, IMDSv2 stays silent, and IMDSv1 must still get its turn.
    """
    return settings.call_timeout_s * 0.4


def ca_bundle(environ: Mapping[str, str]) -> str | None:
    """Return `SSL_CERT_FILE` or the system's bundle. The SDK's own bundle (certifi) lacks the CAs of companies."""
    named = environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    # Ubuntu's OpenSSL has only a directory of certificates, and the SDK accepts only a file.
    return named or (str(_DEBIAN_BUNDLE) if _DEBIAN_BUNDLE.is_file() else None)
