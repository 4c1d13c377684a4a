"""Tests of the default AWS credential chain: each source of credentials, and the messages if there are none."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from agent.model.problems.aws import (
    AwsAccessDenied,
    AwsCredentialsMissing,
    AwsIdentityRejected,
    AwsIdentityUnavailable,
    AwsSetupUnusable,
)
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
    """The metadata service gets no request then."""
    cloud.instance_role = "env"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "env-session")
    await fetch(CHAIN)
    call = cloud.only("GetAuthorizationToken")
    assert (call.key, call.session_token, cloud.metadata) == ("AKIAOFTHEENV", "env-session", [])


async def test_uses_the_profile_in_the_settings(cloud: AwsServer, tmp_path: Path) -> None:
    """`aws.profile` names a section of the shared files. A changed file takes effect at the next request."""
    for key in ("AKIAOFTHEPROFILE", "AKIAROTATED"):
        aws_file(tmp_path, "credentials", f"[team]\naws_access_key_id={key}\naws_secret_access_key=x\n")
        await fetch(CHAIN, AwsSettings(profile="team"))
        assert cloud.calls.pop().key == key
        cloud.calls.clear()


async def test_names_a_missing_profile(cloud: AwsServer) -> None:
    """The agent does not use another identity instead."""
    with raises_problem(AwsCredentialsMissing, match="not-there"):
        await fetch(CHAIN, AwsSettings(profile="not-there"))
    assert cloud.calls == []


async def test_uses_the_web_identity_of_the_environment(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EKS sets these variables."""
    (tmp_path / "token").write_text("web-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    await fetch(CHAIN)
    assert cloud.only("AssumeRoleWithWebIdentity").key is None
    assert cloud.only("GetAuthorizationToken").key == "ASIAOFTHEROLE0000"


async def test_a_rejected_web_identity_is_aws_identity_rejected(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the same code as a token from the settings."""
    cloud.answers["AssumeRoleWithWebIdentity"] = sts_error("AccessDenied", "Not authorized", 403)
    (tmp_path / "token").write_text("web-token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    with raises_problem(AwsIdentityRejected, match="AccessDenied"):
        await fetch(CHAIN)


async def test_a_missing_web_identity_token_is_aws_identity_unavailable(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This includes a FIFO, for which the SDK would wait forever in the event loop."""
    os.mkfifo(tmp_path / "token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    with raises_problem(AwsIdentityUnavailable, match="not a regular file"):
        await fetch(CHAIN)
    assert cloud.calls == []


@pytest.mark.parametrize("readable", [True, False])
async def test_reads_the_web_identity_token_of_a_source_profile(
    cloud: AwsServer, tmp_path: Path, *, readable: bool
) -> None:
    """A FIFO does not block here either."""
    token = tmp_path / "token"
    if readable:
        token.write_text("web-token")
    else:
        os.mkfifo(token)
    base = f"[profile base]\nrole_arn={ROLE}\nweb_identity_token_file={token}\n"
    aws_file(tmp_path, "config", f"{base}[profile team]\nrole_arn={ROLE}\nsource_profile=base\n")
    if readable:
        await fetch(CHAIN, AwsSettings(profile="team"))
        assert cloud.only("AssumeRoleWithWebIdentity").key is None
        assert cloud.only("AssumeRole").key == "ASIAOFTHEROLE0000"
        return
    with raises_problem(AwsIdentityUnavailable, match="not a regular file"):
        await fetch(CHAIN, AwsSettings(profile="team"))
    assert cloud.calls == []


async def test_a_file_of_an_older_tool_is_used_too_and_does_not_block(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK reads it in the event loop, where a FIFO would block forever."""
    (tmp_path / "boto").write_text("[Credentials]\naws_access_key_id=AKIAOFBOTO\naws_secret_access_key=x\n")
    monkeypatch.setenv("BOTO_CONFIG", str(tmp_path / "boto"))
    await fetch(CHAIN)
    assert cloud.only("GetAuthorizationToken").key == "AKIAOFBOTO"
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setenv("AWS_CREDENTIAL_FILE", str(tmp_path / "fifo"))
    with raises_problem(AwsSetupUnusable, match="AWS_CREDENTIAL_FILE cannot be read: no end after 0.5 s"):
        await fetch(CHAIN, AwsSettings(call_timeout_s=1))
    os.close(os.open(tmp_path / "fifo", os.O_WRONLY | os.O_NONBLOCK))  # ends the read


async def test_uses_the_container_endpoint(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """ECS and EKS Pod Identity set these variables. The message does not show the token that a refusal quotes."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{cloud.url}/container")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token")
    await fetch(CHAIN)
    assert cloud.only("GetAuthorizationToken").key == "ASIAOFTHECONTAINER"
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "container-token-not")
    with raises_problem(AwsCredentialsMissing, match=r"container endpoint.*403") as caught:
        await fetch(CHAIN)
    assert "container-token-not" not in caught.value.message


async def test_reports_a_container_endpoint_on_a_foreign_host(
    cloud: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over plain HTTP, the SDK sends requests only to this machine and to AWS's own addresses."""
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://evil.example/creds")
    with raises_problem(AwsCredentialsMissing, match=r"host in AWS_CONTAINER_CREDENTIALS_FULL_URI is not allowed"):
        await fetch(CHAIN)
    assert cloud.calls == []


async def test_uses_the_instance_role_with_imds_v2(cloud: AwsServer) -> None:
    """It requests a session token, then the name of the role, then the keys."""
    cloud.instance_role = "env"
    token = await fetch(CHAIN)
    call = cloud.only("GetAuthorizationToken")
    assert (call.key, call.session_token) == ("ASIAOFTHEINSTANCE", "instance-session")
    role = "/latest/meta-data/iam/security-credentials/"
    assert cloud.metadata == ["PUT /latest/api/token", f"GET {role}", f"GET {role}env"]
    assert token.identity == "arn:aws:sts::123456789012:assumed-role/env/i-0abc"


async def test_names_a_denied_instance_role(cloud: AwsServer) -> None:
    """If AWS names no principal, the message names the source of the keys."""
    cloud.instance_role = "env"
    cloud.answers["GetAuthorizationToken"] = ecr_error("AccessDeniedException")
    with raises_problem(AwsAccessDenied, match=r"ecr:GetAuthorizationToken to .* from the instance metadata service"):
        await fetch(CHAIN)


@pytest.mark.parametrize("silent", [False, True])
async def test_names_the_sources_if_there_are_no_credentials(cloud: AwsServer, silent: bool) -> None:
    """It shows the address of the metadata service. A silent one (hop limit 1) does not block the agent."""
    if silent:
        cloud.silent.add("metadata")
    started = asyncio.get_running_loop().time()
    with raises_problem(AwsCredentialsMissing) as caught:
        await fetch(CHAIN, AwsSettings(call_timeout_s=2.5))
    assert asyncio.get_running_loop().time() - started < 10
    for place in ("AWS_ACCESS_KEY_ID", "profile default", "AWS_WEB_IDENTITY", "container endpoint", cloud.url):
        assert place in caught.value.message
    assert "hop limit" in caught.value.hint


async def test_reports_a_disabled_metadata_service(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent sends no request to it."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with raises_problem(AwsCredentialsMissing, match="turned off by AWS_EC2_METADATA_DISABLED"):
        await fetch(CHAIN)
    assert cloud.metadata == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.1.1"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/keys"),
    ],
)
async def test_no_metadata_service_is_asked_through_a_proxy(
    cloud: AwsServer, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """They are on this machine or its host, where a proxy cannot reach them, and they answer with keys."""
    proxied: list[str] = []

    async def proxy(request: web.BaseRequest) -> web.StreamResponse:
        proxied.append(str(request.url))
        return web.Response(text="{}")

    async with RawTestServer(proxy) as server:
        monkeypatch.setenv("http_proxy", str(server.make_url("")))
        monkeypatch.setenv(variable, value)
        with raises_problem(AwsCredentialsMissing):
            await fetch(CHAIN, AwsSettings(call_timeout_s=2.5))
    assert (proxied, cloud.calls) == ([], [])


async def test_reports_an_incomplete_pair_of_keys(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person forgot to set the other half."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEENV")
    with raises_problem(AwsCredentialsMissing, match="AWS_SECRET_ACCESS_KEY"):
        await fetch(CHAIN)
    assert cloud.calls == []


class TestCredentialProcess:
    """The agent runs the program of a profile like any other program."""

    KEYS = '{"Version": 1, "AccessKeyId": "AKIAOFTHEPROGRAM", "SecretAccessKey": "x"}'

    @pytest.mark.parametrize("nested", [False, True])
    async def test_prints_keys_and_sees_no_secret(
        self, cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool
    ) -> None:
        """The program sees no secret of the agent's environment, even if it belongs to a source profile."""
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
            ("echo c4n4ry >&2; exit 3", "/keys exited with status 3; run it by hand"),
            ("printf '\\377c4n4ry' >&2; kill -9 $$", "/keys was killed by signal 9; run it by hand"),
            ("echo c4n4ry", "its answer is not valid"),
            ("""echo '{"Version": "c4n4ry"}'""", "must print JSON with Version 1"),
            ("""echo '{"Version": 1, "c4n4ry": ""}'""", "must print JSON with Version 1"),
            (f'echo \'{KEYS[:-1]}, "Expiration": "c4n4ry"}}\'', "its answer is not valid"),
        ],
    )
    @pytest.mark.parametrize("nested", [False, True])
    async def test_reports_a_failure_without_its_output(
        self, cloud: AwsServer, tmp_path: Path, script: str, words: str, nested: bool
    ) -> None:
        """Its output and arguments may hold a secret, even if it belongs to a source profile."""
        process = f"credential_process = {program(tmp_path / 'keys', script)} c4n4ry\n"
        role = f"role_arn = {ROLE}\nsource_profile = source\n[profile source]\n" if nested else ""
        aws_file(tmp_path, "config", f"[default]\n{role}{process}")
        with raises_problem(AwsCredentialsMissing, match=words) as caught:
            await fetch(CHAIN)
        assert "c4n4ry" not in caught.value.message + caught.value.hint
        assert cloud.calls == []

    async def test_a_hanging_program_ends_at_the_deadline(self, cloud: AwsServer, tmp_path: Path) -> None:
        """The message reports the timeout."""
        path = program(tmp_path / "keys", "sleep 60")
        aws_file(tmp_path, "config", f"[default]\ncredential_process = {path}\n")
        with raises_problem(AwsCredentialsMissing, match=r"no answer within 2.5 s"):
            await fetch(CHAIN, AwsSettings(call_timeout_s=2.5))
        assert cloud.calls == []


async def test_a_refused_role_of_a_profile_is_access_denied(cloud: AwsServer, tmp_path: Path) -> None:
    """With `role_arn` in ~/.aws/config, AWS refuses AssumeRole and not the token."""
    cloud.answers["AssumeRole"] = sts_error("AccessDenied", "no", 403)
    aws_file(tmp_path, "credentials", "[base]\naws_access_key_id=AKIAOFTHEBASE\naws_secret_access_key=x\n")
    aws_file(tmp_path, "config", f"[default]\nrole_arn = {ROLE}\nsource_profile = base\n")
    with raises_problem(AwsAccessDenied, match="sts:AssumeRole"):
        await fetch(CHAIN)
