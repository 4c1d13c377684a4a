"""Creates AWS SDK sessions for the agent: short deadlines, no retries, the agent's own HTTP client."""

import os
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore.configloader import raw_config_parse
from botocore.exceptions import ConfigNotFound, ConfigParseError, ProfileNotFound
from botocore.loaders import Loader

from agent.edge.aws.missing_keys import unreadable_file
from agent.edge.aws.sdk_http import SdkHttp
from agent.edge.http import HttpClient
from agent.model.aws_errors import SUBJECT
from agent.model.problem import ProblemError
from agent.model.problems.aws import AwsSetupUnusable
from agent.model.variables import drop_empty
from agent.settings import AwsSettings

SERVICES: Final = ("ecr", "ecr-public", "sts")
KEY_PROFILES: Final = "key_profiles"
"""The component of a session that holds the profiles in ~/.aws/credentials."""
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
    loader: Loader, http: HttpClient, settings: AwsSettings, region: str, *, chain: bool, files: bool = True
) -> AioSession:
    """Return a new session, so that changes of ~/.aws and the environment take effect.

    Reads ~/.aws if `files` is set, so do not call it in the event loop. `region` is for every client, also for those
    that the credential chain creates. If this `chain` will not be used, an unreadable profile is not an error. Raises a
    ProblemError if the profile does not exist or ~/.aws cannot be parsed.
    """
    drop_empty(os.environ)
    session = AioSession(profile=settings.profile or None) if files else _session_without_files()
    try:
        session.get_scoped_config()
    except (ProfileNotFound, ConfigParseError) as error:
        if chain:
            hint = 'fix aws.profile, AWS_PROFILE, "profile" in the secret, or the profiles in ~/.aws'
            unusable = AwsSetupUnusable(SUBJECT, f"no AWS credentials: {error}", hint=hint)
            raise ProblemError(unreadable_file(os.environ) or unusable) from error
        session = _session_without_files()
    session.register_component("data_loader", loader)
    session.register_component(KEY_PROFILES, _key_profiles(session))
    session.set_config_variable("region", region)
    session.set_config_variable("metadata_service_num_attempts", 1)
    session.set_default_client_config(_client_config(settings.call_timeout_s, http))
    return session


def _key_profiles(session: AioSession) -> Mapping[str, Any]:
    try:
        profiles: Mapping[str, Any] = raw_config_parse(session.get_config_variable("credentials_file"))
    except ConfigNotFound:
        return {}
    return profiles


def _session_without_files() -> AioSession:
    nothing = (None, None, os.devnull, None)
    return AioSession(session_vars={**_NO_PROFILE, "config_file": nothing, "credentials_file": nothing})


def _client_config(timeout_s: float, http: HttpClient) -> AioConfig:
    return AioConfig(
        # Shorter than the deadline of the call, to distinguish a firewall that drops packets from a slow answer.
        connect_timeout=timeout_s / 2,
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1, "mode": "standard"},
        http_session_cls=partial(SdkHttp, http),  # type: ignore[arg-type]  # anything that creates a session
        # With AWS_DEFAULTS_MODE=auto, the SDK would ask the metadata service in a separate session.
        defaults_mode="legacy",
    )


def metadata_http(http: HttpClient, call_timeout_s: float) -> SdkHttp:
    """Return the HTTP session for metadata services, which are on this machine or its host: a proxy cannot reach them.

    Two requests fit into the deadline: with a hop limit of 1, IMDSv2 stays silent, and IMDSv1 must still get its turn.
    """
    return SdkHttp(http, timeout=call_timeout_s * 0.4, direct=True)
