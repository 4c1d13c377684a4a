"""Tests of getting a token from AWS: the identity that is used, the calls, and the handling of the answers."""

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.edge.aws.sdk import AwsSdk
from agent.model.credential import AwsKeys
from agent.model.problems.aws import AwsError
from agent.model.sensitive import Sensitive
from agent.settings import AwsSettings
from tests.edge.aws.aws_server import (
    EXPIRES,
    KEYS,
    REGION,
    ROLE,
    AwsServer,
    clear_environment,
    ecr,
    fetch,
    identity,
    serve,
    sts_error,
)
from tests.problems import raises_problem


@pytest.fixture
async def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[AwsServer]:
    async with serve() as server:
        clear_environment(monkeypatch, tmp_path, server.url)
        yield server


def test_loads_the_sdk_only_when_needed() -> None:
    """In an environment without ECR, the agent imports these two modules but never loads botocore."""
    code = (
        "import sys, agent.edge.clouds, agent.services.credentials\n"
        "sys.exit(any(m.partition('.')[0] in ('botocore', 'aiobotocore') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_uses_the_keys_in_the_secret(cloud: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses them even if the environment has other keys and a profile that does not exist."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFSOMEBODYELSE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("AWS_PROFILE", "not-there")
    token = await fetch(identity())
    assert (token.username, token.password, token.expires_at) == ("AWS", Sensitive("the-token"), EXPIRES)
    assert token.identity == "arn:aws:sts::123456789012:assumed-role/env/i-0abc"
    call = cloud.only("GetAuthorizationToken")
    assert (call.key, call.region, call.parameters) == (KEYS.access_key_id, REGION, {})
    assert cloud.metadata == []


async def test_temporary_keys_carry_their_session_token(cloud: AwsServer) -> None:
    """The `session_token` of the secret is sent with the keys."""
    keys = AwsKeys("ASIAOFTHESECRET00", Sensitive("k"), Sensitive("the-session"))
    await fetch(identity(keys=keys))
    call = cloud.only("GetAuthorizationToken")
    assert (call.key, call.session_token) == ("ASIAOFTHESECRET00", "the-session")


async def test_assumes_the_role_with_the_keys_in_the_secret(cloud: AwsServer, tmp_path: Path) -> None:
    """It does so even if there is a web identity token: with keys given, no other source is used."""
    token_file = tmp_path / "token"
    token_file.write_text("web-token")
    settings = AwsSettings(identity_token_file=token_file)
    token = await fetch(identity(role_arn=ROLE, external_id="ext-1"), settings, user="änne b")
    assume = cloud.only("AssumeRole")
    assert assume.key == KEYS.access_key_id
    assert assume.parameters["RoleArn"] == ROLE
    assert assume.parameters["ExternalId"] == "ext-1"
    assert assume.parameters["RoleSessionName"] == "registry-agent--nne-b"
    call = cloud.only("GetAuthorizationToken")
    assert (call.key, call.session_token) == ("ASIAOFTHEROLE0000", "role-session")
    assert token.identity == "arn:aws:sts::123456789012:assumed-role/pull/registry-agent-vscode"
    assert cloud.actions() == ["AssumeRole", "GetAuthorizationToken"]
    assert len(cloud.calls) == 2, "the answer for the role contains the ARN"


async def test_a_web_identity_token_assumes_the_role_unsigned(
    cloud: AwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is the proof. Other keys in the environment are neither needed nor sent."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFSOMEBODYELSE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    token_file = tmp_path / "token"
    token_file.write_text("web-token\n")
    await fetch(identity(keys=None, role_arn=ROLE), AwsSettings(identity_token_file=token_file))
    assume = cloud.only("AssumeRoleWithWebIdentity")
    assert assume.key is None
    assert assume.parameters["WebIdentityToken"] == "web-token"
    assert assume.parameters["RoleSessionName"] == "registry-agent-vscode"
    assert cloud.only("GetAuthorizationToken").key == "ASIAOFTHEROLE0000"


async def test_without_a_web_identity_the_default_chain_assumes_the_role(
    cloud: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role comes from the secret, and the base identity from the environment."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    await fetch(identity(keys=None, role_arn=ROLE))
    assert cloud.only("AssumeRole").key == "AKIAOFTHEENV"
    assert cloud.only("GetAuthorizationToken").key == "ASIAOFTHEROLE0000"


async def test_uses_us_east_1_for_ecr_public(cloud: AwsServer) -> None:
    """Its API exists only there, and its authorizationData is an object."""
    cloud.answers["GetAuthorizationToken"] = lambda: cloud.token(public=True)
    token = await fetch(identity(public=True, region="us-east-1"))
    assert token.password == Sensitive("the-token")
    assert cloud.only("GetAuthorizationToken").region == "us-east-1"


@pytest.mark.parametrize("fault", ["refused", "silent"])
async def test_a_token_does_not_wait_for_the_arn_of_its_owner(cloud: AwsServer, fault: str) -> None:
    """Many networks allow only ECR. The ARN is then unknown, until STS returns it at a later renewal."""
    if fault == "silent":
        cloud.silent.add("GetCallerIdentity")
    else:
        cloud.answers["GetCallerIdentity"] = sts_error("AccessDenied", "no", 403)
    aws = AwsSdk(user="vscode", environ={}, now=lambda: datetime.now(UTC))
    assert (await aws.fetch_token(identity(), AwsSettings())).identity is None
    cloud.silent.clear()
    cloud.answers.clear()
    for _ in range(2):
        token = await aws.fetch_token(identity(), AwsSettings())
        assert token.identity == "arn:aws:sts::123456789012:assumed-role/env/i-0abc"
    assert [call.action for call in cloud.calls].count("GetCallerIdentity") == 2


async def test_returns_the_time_of_the_server(cloud: AwsServer) -> None:
    """A wrong clock is then visible even if AWS tolerates it."""
    cloud.date = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    token = await fetch(identity())
    assert token.server_time == cloud.date


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (lambda _: ecr(200, {}), "authorizationData is missing"),
        (lambda _: ecr(200, {"authorizationData": []}), "authorizationData is missing"),
        (lambda s: s.token(authorizationToken=None), "authorizationToken is missing"),
        (lambda s: s.token(authorizationToken="no*base64"), "not base64"),
        (lambda s: s.token(authorizationToken="bm9jb2xvbg=="), "a colon"),
        (lambda s: s.token(authorizationToken="QVdTOmEKYg=="), "a colon"),
        (lambda s: s.token(expiresAt=None), "expiresAt is missing"),
        (lambda s: s.token(expiresAt="yesterday"), "GetAuthorizationToken is not valid"),
        (lambda _: ecr(200, [1, 2]), "GetAuthorizationToken"),
        (lambda _: web.Response(text="<html>sign in</html>", content_type="text/html"), "authorizationData is missing"),
        (lambda _: web.Response(status=403, text="<html>blocked</html>"), "status 403"),
        (lambda _: web.Response(status=502, text="<html>bad gateway</html>"), "status 502"),
    ],
)
async def test_reports_what_is_wrong_with_a_reply(cloud: AwsServer, answer: Any, fault: str) -> None:
    """A captive portal, a gateway or a broken server gives an AwsError, never a crash and never a quoted token."""
    cloud.answers["GetAuthorizationToken"] = lambda: answer(cloud)
    with raises_problem(AwsError) as caught:
        await fetch(identity())
    assert fault in caught.value.message
    assert "no*base64" not in caught.value.message


async def test_does_not_follow_a_redirect(cloud: AwsServer, tmp_path: Path) -> None:
    """A 307 would send the web identity token to any other host."""
    async with serve() as elsewhere:
        cloud.answers["AssumeRoleWithWebIdentity"] = lambda: web.Response(
            status=307, headers={"Location": elsewhere.url + "/"}
        )
        token_file = tmp_path / "token"
        token_file.write_text("web-token")
        with raises_problem(AwsError, match="AssumeRoleWithWebIdentity"):
            await fetch(identity(keys=None, role_arn=ROLE), AwsSettings(identity_token_file=token_file))
        assert elsewhere.calls == []


async def test_works_with_the_moto_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tokens of moto always expired in 2015."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - heavy, and for this test alone

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        clear_environment(monkeypatch, tmp_path, f"http://{host}:{port}")
        token = await fetch(identity(role_arn=ROLE))
    finally:
        server.stop()
    assert token.username == "AWS"
    assert token.expires_at is not None
    assert token.expires_at.year == 2015
    assert token.identity is not None
    assert token.identity.startswith("arn:aws:sts::123456789012:assumed-role/pull/registry-agent-vscode")
