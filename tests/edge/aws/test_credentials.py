"""The default AWS chain: each place where credentials may be, and what is said where there are none."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.model.problems.aws import AwsAccessDenied, AwsCredentialsMissing, AwsIdentityRejected, AwsIdentityUnavailable
from agent.settings import AwsSettings
from tests.edge.aws.aws_server import ROLE, AwsServer, clear_environment, ecr_error, fetch, identity, serve, sts_error
from tests.problems import raises_problem

CHAIN = identity(keys=None)


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[AwsServer]:
    async with serve() as server:
        clear_environment(monkeypatch, tmp_path, server.url)
        yield server


def aws_file(home: Path, name: str, text: str) -> None:
    (home / ".aws").mkdir(exist_ok=True)
    (home / ".aws" / name).write_text(text)


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


async def test_the_environment_comes_first(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the metadata service is then not asked."""
    cloud.instance_role = "env"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "env-session")
    await fetch(CHAIN)
    asked = cloud.only("GetAuthorizationToken")
    assert (asked.key, asked.session_token, cloud.metadata) == ("AKIAOFTHEENV", "env-session", [])


async def test_the_profile_of_the_settings_is_used(cloud: AwsServer, tmp_path: Path) -> None:
    """`aws.profile` names a section of the shared files; a changed file holds at the next question."""
    for key in ("AKIAOFTHEPROFILE", "AKIAROTATED"):
        aws_file(tmp_path, "credentials", f"[team]\naws_access_key_id={key}\naws_secret_access_key=x\n")
        await fetch(CHAIN, AwsSettings(profile="team"))
        assert cloud.asked.pop().key == key
        cloud.asked.clear()


async def test_a_profile_that_is_not_there_is_named(cloud: AwsServer) -> None:
    """Instead of another identity being taken in its place."""
    with raises_problem(AwsCredentialsMissing, match="not-there"):
        await fetch(CHAIN, AwsSettings(profile="not-there"))
    assert cloud.asked == []


async def test_web_identity_of_the_environment(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As EKS sets it up."""
    (tmp_path / "token").write_text("web-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    await fetch(CHAIN)
    assert cloud.only("AssumeRoleWithWebIdentity").key is None
    assert cloud.only("GetAuthorizationToken").key == "ASIAOFTHEROLE0000"


async def test_its_refusal_is_an_identity_rejected(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code as where the settings name the token."""
    cloud.answers["AssumeRoleWithWebIdentity"] = sts_error("AccessDenied", "Not authorized", 403)
    (tmp_path / "token").write_text("web-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    with raises_problem(AwsIdentityRejected, match="AccessDenied"):
        await fetch(CHAIN)


async def test_its_missing_token_is_an_identity_unavailable(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A FIFO, which the SDK would wait for in the event loop for ever, included."""
    os.mkfifo(tmp_path / "token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    with raises_problem(AwsIdentityUnavailable, match="not a regular file"):
        await fetch(CHAIN)
    assert cloud.asked == []


async def test_the_container_endpoint(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ECS and EKS Pod Identity set it up; its refusal is told without the token that it may quote."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{cloud.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token")
    await fetch(CHAIN)
    assert cloud.only("GetAuthorizationToken").key == "ASIAOFTHECONTAINER"
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token-not")
    with raises_problem(AwsCredentialsMissing, match=r"container endpoint.*403") as caught:
        await fetch(CHAIN)
    assert "container-token-not" not in caught.value.message


async def test_a_container_endpoint_on_a_foreign_host_is_said(
    cloud: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK asks only this machine and AWS's own addresses over plain HTTP; nobody gave an answer."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/creds")
    with raises_problem(AwsCredentialsMissing, match=r"host of AWS_CONTAINER_CREDENTIALS_FULL_URI is not one"):
        await fetch(CHAIN)
    assert cloud.asked == []


async def test_the_instance_role_by_imds_v2(cloud: AwsServer) -> None:
    """A session token first, then the role's name, then its keys."""
    cloud.instance_role = "env"
    token = await fetch(CHAIN)
    asked = cloud.only("GetAuthorizationToken")
    assert (asked.key, asked.session_token) == ("ASIAOFTHEINSTANCE", "instance-session")
    role = "/latest/meta-data/iam/security-credentials/"
    assert cloud.metadata == ["PUT /latest/api/token", f"GET {role}", f"GET {role}env"]
    assert token.arn == "arn:aws:sts::123456789012:assumed-role/env/i-0abc"


async def test_a_denied_instance_role_is_named(cloud: AwsServer) -> None:
    """Where AWS names nobody, the place where the keys were found tells whose they are."""
    cloud.instance_role = "env"
    cloud.answers["GetAuthorizationToken"] = ecr_error("AccessDeniedException")
    with raises_problem(AwsAccessDenied, match=r"ecr:GetAuthorizationToken to .* from the instance metadata service"):
        await fetch(CHAIN)


@pytest.mark.parametrize("silent", [False, True])
async def test_no_credentials_names_the_places(cloud: AwsServer, silent: bool) -> None:
    """With the metadata service's address; a silent one (a hop limit of 1) holds nothing up."""
    if silent:
        cloud.silent.add("metadata")
    started = asyncio.get_running_loop().time()
    with raises_problem(AwsCredentialsMissing) as caught:
        await fetch(CHAIN, AwsSettings(call_timeout_s=2.5))
    assert asyncio.get_running_loop().time() - started < 10
    for place in ("AWS_ACCESS_KEY_ID", "profile default", "AWS_WEB_IDENTITY", "container endpoint", cloud.url):
        assert place in caught.value.message
    assert "hop limit" in caught.value.hint


async def test_a_metadata_service_turned_off_is_said(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is left alone."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with raises_problem(AwsCredentialsMissing, match="turned off by AWS_EC2_METADATA_DISABLED"):
        await fetch(CHAIN)
    assert cloud.metadata == []


async def test_a_proxy_in_the_way_of_the_metadata_service_is_said(
    cloud: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK sends even this through HTTP_PROXY, where no role can be had; its password is not shown."""
    monkeypatch.setenv("HTTP_PROXY", f"http://user:pw@{cloud.url.removeprefix('http://')}")
    monkeypatch.setenv("http_proxy", os.environ["HTTP_PROXY"])
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.1.1")
    with raises_problem(AwsCredentialsMissing, match=r"http://169.254.1.1, through HTTP_PROXY: name it in NO_PROXY"):
        await fetch(CHAIN)


async def test_half_a_pair_of_keys_is_said(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody forgot the other half."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEENV")
    with raises_problem(AwsCredentialsMissing, match="AWS_SECRET_ACCESS_KEY"):
        await fetch(CHAIN)
    assert cloud.asked == []


class TestCredentialProcess:
    """A profile's program is run as the agent runs every program."""

    KEYS = '{"Version": 1, "AccessKeyId": "AKIAOFTHEPROGRAM", "SecretAccessKey": "x"}'

    @pytest.mark.parametrize("nested", [False, True])
    async def test_it_gives_keys_and_sees_no_secret(
        self, cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
    ) -> None:
        """The agent's environment holds secrets that no child may see; a role's source profile is run alike."""
        monkeypatch.setenv("REGISTRY_AGENT_SECRETS", "very secret")
        path = program(tmp_path / "keys", f"env > {tmp_path}/env\necho '{self.KEYS}'")
        name = "source" if nested else "default"
        config = f"[profile {name}]\ncredential_process = {path}\n"
        if nested:
            config += f"[default]\nrole_arn = {ROLE}\nsource_profile = source\n"
        aws_file(tmp_path, "config", config.replace("[profile default]", "[default]"))
        await fetch(CHAIN)
        if nested:
            assert cloud.only("AssumeRole").key == "AKIAOFTHEPROGRAM"
        else:
            assert cloud.only("GetAuthorizationToken").key == "AKIAOFTHEPROGRAM"
        assert "very secret" not in (tmp_path / "env").read_text()

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            ("echo c4n4ry >&2; exit 3", "/keys ended with status 3; run it by hand"),
            ("printf '\\377c4n4ry' >&2; kill -9 $$", "/keys was killed by signal 9; run it by hand"),
            ("echo c4n4ry", "cannot be understood"),
            ("""echo '{"Version": "c4n4ry"}'""", "must print JSON with Version 1"),
            ("""echo '{"Version": 1, "c4n4ry": ""}'""", "must print JSON with Version 1"),
            (f'echo \'{KEYS[:-1]}, "Expiration": "c4n4ry"}}\'', "cannot be understood"),
        ],
    )
    @pytest.mark.parametrize("nested", [False, True])
    async def test_its_failure_is_said_without_its_words(
        self, cloud: AwsServer, tmp_path: Path, script: str, words: str, nested: bool
    ) -> None:
        """What it printed and its arguments may hold a secret; a role's source profile alike."""
        process = f"credential_process = {program(tmp_path / 'keys', script)} c4n4ry\n"
        role = f"role_arn = {ROLE}\nsource_profile = source\n[profile source]\n" if nested else ""
        aws_file(tmp_path, "config", f"[default]\n{role}{process}")
        with raises_problem(AwsCredentialsMissing, match=words) as caught:
            await fetch(CHAIN)
        assert "c4n4ry" not in caught.value.message + caught.value.hint
        assert cloud.asked == []

    async def test_one_that_hangs_ends_at_the_deadline(self, cloud: AwsServer, tmp_path: Path) -> None:
        """And is said."""
        path = program(tmp_path / "keys", "sleep 60")
        aws_file(tmp_path, "config", f"[default]\ncredential_process = {path}\n")
        with raises_problem(AwsCredentialsMissing, match=r"no answer within 2.5 s"):
            await fetch(CHAIN, AwsSettings(call_timeout_s=2.5))
        assert cloud.asked == []


async def test_a_profiles_role_that_says_no_is_access_denied(cloud: AwsServer, tmp_path: Path) -> None:
    """`role_arn` in ~/.aws/config: AssumeRole was refused, not the token."""
    cloud.answers["AssumeRole"] = sts_error("AccessDenied", "no", 403)
    aws_file(tmp_path, "credentials", "[base]\naws_access_key_id=AKIAOFTHEBASE\naws_secret_access_key=x\n")
    aws_file(tmp_path, "config", f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n")
    with raises_problem(AwsAccessDenied, match="sts:AssumeRole"):
        await fetch(CHAIN)
