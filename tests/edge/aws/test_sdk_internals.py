"""Tests that the AWS SDK still has the private names that the agent uses, and that the agent's parts are in place."""

from pathlib import Path
from typing import Any, NoReturn

import pytest
from aiobotocore.credentials import AioProfileProviderBuilder
from aiobotocore.session import AioSession

from agent.edge.aws.sdk_http import SdkHttp
from agent.edge.aws.sdk_internals import safe_providers
from agent.edge.aws.sso_tokens import SsoTokens
from agent.edge.http import HttpClient


def refuse(*_: str) -> NoReturn:
    raise AssertionError


def by_method(providers: list[Any]) -> dict[str, dict[str, Any]]:
    return {provider.METHOD: vars(provider) for provider in providers}


def made_safe(tokens: SsoTokens) -> list[Any]:
    return safe_providers(
        AioSession(),
        metadata_http=SdkHttp(HttpClient(), timeout=1),
        run_program=refuse,
        read_token=refuse,
        prompt=refuse,
        cached_roles={},
        key_profiles={},
        sso_tokens=tokens,
    )


async def test_the_sdk_has_the_private_names_that_the_agent_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If this fails after an update of aiobotocore or botocore, adapt `agent/edge/aws/sdk_internals.py`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    providers = AioSession().get_component("credential_provider").providers
    found = by_method(providers)
    assert {"_profile_provider_builder", "_prompter", "cache"} <= found["assume-role"].keys()
    assert "custom-process" in found
    assert "_environ" in found["container-role"]
    assert "_ini_parser" in found["shared-credentials-file"]
    assert "_config_parser" in found["config-file"]
    assert "_token_loader_cls" in found["assume-role-with-web-identity"]
    for fetcher in (found["container-role"]["_fetcher"], found["iam-role"]["_role_fetcher"]):
        assert hasattr(vars(fetcher)["_session"], "acquire")
    [web_identity] = [provider for provider in providers if provider.METHOD == "assume-role-with-web-identity"]
    assert callable(getattr(web_identity, "_get_config"))  # noqa: B009 - a private name
    assert hasattr(AioProfileProviderBuilder, "_create_process_provider")
    assert hasattr(AioProfileProviderBuilder, "_create_sso_provider")
    assert callable(getattr(found["sso"]["_token_provider"], "_refresher"))  # noqa: B009 - a private name


async def test_the_prompt_is_replaced_in_every_provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every provider of the chain with a prompter has the agent's prompter."""
    monkeypatch.setenv("HOME", str(tmp_path))
    providers = made_safe(SsoTokens(bool))
    prompters = [parts["_prompter"] for parts in by_method(providers).values() if "_prompter" in parts]
    assert prompters == [refuse]


async def test_no_sso_provider_reads_or_writes_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both the chain and the source of a role have the agent's tokens, and renew each of them once at a time."""
    monkeypatch.setenv("HOME", str(tmp_path))
    tokens = SsoTokens(bool)
    chain = by_method(made_safe(tokens))
    source = by_method(chain["assume-role"]["_profile_provider_builder"].providers("default"))
    for provider in (chain["sso"], source["sso"]):
        assert provider["_token_cache"] is tokens
        of_sessions = vars(provider["_token_provider"])
        assert of_sessions["_cache"] is tokens
        assert tokens.locks[None] in of_sessions["_refresher"].args
