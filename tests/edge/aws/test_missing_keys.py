"""Tests of why the credential chain found no keys, and of who can change that."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agent.model.problem import Needs
from agent.model.problems.aws import AwsAccessDenied, AwsCredentialsMissing, AwsKeysRefused
from agent.settings import AwsSettings
from tests.edge.aws.aws_server import ROLE, AwsServer, clear_environment, ecr_error, fetch, identity, serve, sts_error
from tests.problems import raises_problem

CHAIN = identity(keys=None)
KEYS = "aws_access_key_id = AKIAOFTHEPROFILE\naws_secret_access_key = x\n"
SSO = "sso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1\nsso_role_name = dev\n"


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[AwsServer]:
    async with serve() as server:
        clear_environment(monkeypatch, tmp_path, server.url)
        (tmp_path / ".aws").mkdir()
        yield server


async def missing(settings: AwsSettings | None = None) -> AwsCredentialsMissing:
    with raises_problem(AwsCredentialsMissing) as caught:
        await fetch(CHAIN, settings)
    return caught.value


@pytest.mark.parametrize(
    "name",
    [
        *("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
        *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CA_BUNDLE"),
        *("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "REQUESTS_CA_BUNDLE"),
        *("AWS_EC2_METADATA_DISABLED", "AWS_ENDPOINT_URL_ECR", "AWS_USE_FIPS_ENDPOINT", "HTTP_PROXY", "SSL_CERT_FILE"),
    ],
)
async def test_an_empty_variable_changes_nothing(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Without the variable, the default profile gives the keys."""
    (tmp_path / ".aws/credentials").write_text(f"[default]\n{KEYS}")
    monkeypatch.setenv(name, "")
    await fetch(CHAIN)
    assert cloud.only("GetAuthorizationToken").key == "AKIAOFTHEPROFILE"


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
@pytest.mark.parametrize("profile", [None, "team"])
async def test_names_a_variable_that_names_a_missing_file(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, profile: str | None
) -> None:
    """The SDK takes the file for empty, and reports a missing profile or no credentials at all."""
    monkeypatch.setenv(variable, str(tmp_path / "moved"))
    found = await missing(AwsSettings(profile=profile))
    assert f"{variable} names {tmp_path}/moved, which does not exist" in found.message
    assert (found.needs, f"fix or unset {variable}" in found.hint) == (Needs.USER, True)
    assert cloud.calls == []


def _directory(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("spoil", [_directory, _loop])
async def test_names_a_file_that_cannot_be_read(
    cloud: AwsServer, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    """An administrator cannot help."""
    path = tmp_path / ".aws/credentials"
    spoil(path)
    found = await missing()
    assert f"{path} cannot be read" in found.message
    assert (found.needs, str(path) in found.hint, cloud.calls) == (Needs.USER, True, [])


async def test_a_file_that_cannot_be_read_matters_only_without_keys(cloud: AwsServer, tmp_path: Path) -> None:
    """As with every AWS tool, the instance's role is used."""
    (tmp_path / ".aws/credentials").mkdir()
    cloud.instance_role = "env"
    await fetch(CHAIN)
    assert cloud.only("GetAuthorizationToken").key == "ASIAOFTHEINSTANCE"


@pytest.mark.parametrize(
    ("text", "profile"),
    [("[default]\nno equals sign\n", None), ("[default]\nregion = eu-west-1\n", "not-there")],
    ids=["unparsable", "missing profile"],
)
async def test_a_mistake_in_the_users_files_needs_the_user(
    cloud: AwsServer, tmp_path: Path, text: str, profile: str | None
) -> None:
    """The hint names every place that can name a profile."""
    (tmp_path / ".aws/config").write_text(text)
    found = await missing(AwsSettings(profile=profile))
    assert (found.needs, "AWS_PROFILE" in found.hint, cloud.calls) == (Needs.USER, True, [])


@pytest.mark.parametrize("program", ["not-installed", "/not/installed"])
async def test_names_a_missing_credential_process(cloud: AwsServer, tmp_path: Path, program: str) -> None:
    """The program is the user's. Its arguments may hold a secret."""
    (tmp_path / ".aws/config").write_text(f"[default]\ncredential_process = {program} --key c4n4ry\n")
    found = await missing()
    assert f"its credential_process {program} cannot be run: no" in found.message
    assert (found.needs, found.hint.startswith(f"install {program}")) == (Needs.USER, True)
    assert "c4n4ry" not in found.message + found.hint
    assert cloud.calls == []


async def test_a_disabled_metadata_service_is_the_users_own(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The role exists, but a variable prevents its use."""
    cloud.instance_role = "env"
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    found = await missing()
    assert found.hint.startswith("unset AWS_EC2_METADATA_DISABLED")
    assert (found.needs, cloud.calls) == (Needs.USER, [])


async def test_suggests_a_profile_that_nobody_chose(cloud: AwsServer, tmp_path: Path) -> None:
    """The agent's service does not see the AWS_PROFILE of the user's shell."""
    (tmp_path / ".aws/config").write_text(f"[profile ops]\n{KEYS}[profile dev]\n{KEYS}")
    found = await missing()
    assert (found.needs, "(dev, ops)" in found.hint, "aws.profile" in found.hint) == (Needs.USER, True, True)
    (tmp_path / ".aws/config").write_text(f"[profile ops]\n{KEYS}[profile work]\n{SSO}")
    assert "to work and run `aws sso login --profile work`" in (await missing()).hint
    assert cloud.calls == []


@pytest.mark.parametrize("place", ["environment", "profile", "program"])
async def test_expired_session_keys_name_the_place_to_replace_them(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The IAM console cannot create keys of a session, and no administrator can replace the user's."""
    cloud.answers["GetAuthorizationToken"] = ecr_error("ExpiredTokenException")
    if place == "environment":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.setenv(name, "ASIAOFTHEENV")
    elif place == "profile":
        (tmp_path / ".aws/credentials").write_text(f"[default]\n{KEYS}aws_session_token = x\n")
    else:
        keys = '{"Version": 1, "AccessKeyId": "ASIA", "SecretAccessKey": "x", "SessionToken": "x"}'
        (tmp_path / "keys").write_text(f"#!/bin/sh\necho '{keys}'\n")
        (tmp_path / "keys").chmod(0o755)
        (tmp_path / ".aws/config").write_text(f"[default]\ncredential_process = {tmp_path}/keys\n")
    with raises_problem(AwsKeysRefused) as caught:
        await fetch(CHAIN)
    where = {"environment": "AWS_SESSION_TOKEN", "profile": "profile default", "program": "credential_process"}
    assert (caught.value.needs, where[place] in caught.value.hint) == (Needs.USER, True)
    assert "IAM" not in caught.value.hint


async def test_expired_keys_of_a_source_profile_need_the_user(cloud: AwsServer, tmp_path: Path) -> None:
    """AWS refuses AssumeRole then. The hint names the profile that holds the keys."""
    cloud.answers["AssumeRole"] = sts_error("ExpiredToken", "expired", 403)
    config = f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n[profile base]\n{KEYS}aws_session_token = x\n"
    (tmp_path / ".aws/config").write_text(config)
    with raises_problem(AwsKeysRefused) as caught:
        await fetch(CHAIN)
    assert "profile base of ~/.aws" in caught.value.hint


async def test_expired_keys_of_a_role_renew_by_themselves(cloud: AwsServer) -> None:
    """The metadata service issues new ones."""
    cloud.instance_role = "env"
    cloud.answers["GetAuthorizationToken"] = ecr_error("ExpiredTokenException")
    with raises_problem(AwsAccessDenied, match="session of the keys has expired") as caught:
        await fetch(CHAIN)
    assert (caught.value.needs, caught.value.hint.startswith("wait")) == (Needs.ADMIN, True)


async def test_uses_the_profile_in_the_secret(cloud: AwsServer, tmp_path: Path) -> None:
    """It takes precedence over `aws.profile`, over keys in the environment, and over a web identity."""
    sections = (f"[{name}]\naws_access_key_id=AKIA{name.upper()}\naws_secret_access_key=x\n" for name in ("a", "b"))
    (tmp_path / ".aws/credentials").write_text("".join(sections))
    settings = AwsSettings(profile="a", identity_token_file=tmp_path / "none", call_timeout_s=5)
    await fetch(replace(CHAIN, profile="b"), settings)
    assert cloud.calls.pop().key == "AKIAB"
    await fetch(replace(CHAIN, profile="b", role_arn=ROLE), settings)
    assert cloud.only("AssumeRole").key == "AKIAB"
