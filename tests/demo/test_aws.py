"""The pretend AWS is taken for AWS by AWS's own client."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's own name for it

from agent.demo.aws import PretendAws
from agent.demo.aws_faults import AWS_FAULTS, AwsFault
from agent.demo.listener import Listener
from agent.demo.principals import Principal
from agent.demo.tokens import Verdict

ROLE = "arn:aws:iam::999999999999:role/team/pull"
CONFIG = AioConfig(retries={"total_max_attempts": 1}, read_timeout=1, connect_timeout=1)


class Account:
    """A pretend AWS that serves, and a client of it."""

    def __init__(self, aws: PretendAws, url: str) -> None:
        self.aws = aws
        self.user = aws.add_user("bob")
        self._url = url

    async def ask(self, service: str, operation: str, keys: Principal | None = None, **fields: str) -> dict[str, Any]:
        """Call `operation` as `keys`; None goes through the default chain, which finds the instance role."""
        given = (
            {}
            if keys is None
            else {
                "aws_access_key_id": keys.access_key_id,
                "aws_secret_access_key": keys.secret_access_key,
                "aws_session_token": keys.session_token,
            }
        )
        client = get_session().create_client(
            service,  # type: ignore[call-overload]  # the stubs want a literal
            region_name="us-east-1" if service == "ecr-public" else "eu-west-1",
            endpoint_url=self._url,
            config=CONFIG,
            **given,
        )
        async with client as connected:
            answer: dict[str, Any] = await getattr(connected, operation)(**fields)
            return answer

    async def token(self, keys: Principal | None = None) -> dict[str, Any]:
        answer = await self.ask("ecr", "get_authorization_token", keys)
        data: dict[str, Any] = answer["authorizationData"][0]
        return data


@pytest.fixture
async def account(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Account]:
    aws = PretendAws()
    async with Listener(aws.handle) as door:
        for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", door.url)
        yield Account(aws, door.url)


async def test_the_instance_role_gets_a_token_that_lives_as_long_as_said(account: Account) -> None:
    """Metadata service, signature and ECR work together; the token is good for its region until it ends."""
    account.aws.token_life_s = 90
    data = await account.token()
    left = data["expiresAt"] - datetime.now(UTC)
    assert timedelta(seconds=80) < left <= timedelta(seconds=90)
    token = account.aws.tokens.issued[0]
    assert token.principal == "arn:aws:sts::123456789012:assumed-role/dev-environment/i-0de4c0ffee0de4c0f"
    assert account.aws.valid("AWS", token.password, "eu-west-1") is Verdict.OK
    assert account.aws.valid("AWS", token.password, "eu-west-2") is Verdict.FOREIGN
    assert account.aws.valid("AWS", token.password + "x") is Verdict.WRONG
    account.aws.clock_offset = timedelta(seconds=91)
    assert account.aws.valid("AWS", token.password) is Verdict.EXPIRED


async def test_public_tokens_are_an_object_and_serve_only_the_public_registry(account: Account) -> None:
    """ECR Public answers with an object where ECR has a list."""
    answer = await account.ask("ecr-public", "get_authorization_token", account.user)
    assert "authorizationToken" in answer["authorizationData"]
    assert account.aws.tokens.issued[0].region == "public"


async def test_a_role_is_assumed_with_keys_or_with_a_web_identity(account: Account) -> None:
    """The session has a name, keys that work, and an ARN of the role's account."""
    session = await account.ask("sts", "assume_role", account.user, RoleArn=ROLE, RoleSessionName="registry-agent-bob")
    assert session["AssumedRoleUser"]["Arn"] == "arn:aws:sts::999999999999:assumed-role/pull/registry-agent-bob"
    keys = account.aws.principals.find(session["Credentials"]["AccessKeyId"])
    assert (await account.ask("sts", "get_caller_identity", keys))["Account"] == "999999999999"

    web = {"RoleArn": ROLE, "RoleSessionName": "registry-agent-bob", "WebIdentityToken": "a.web.token"}
    with pytest.raises(ClientError, match="InvalidIdentityToken"):
        await account.ask("sts", "assume_role_with_web_identity", None, **web)
    account.aws.web_identities["a.web.token"] = "workspace:1"
    answer = await account.ask("sts", "assume_role_with_web_identity", None, **web)
    assert answer["SubjectFromWebIdentityToken"] == "workspace:1"


async def test_a_role_that_demands_an_external_id_is_not_assumed_without(account: Account) -> None:
    """The refusal names the caller, the action and the role."""
    account.aws.external_ids[ROLE] = "77"
    with pytest.raises(ClientError, match=f"user/bob is not authorized to perform: sts:AssumeRole on resource: {ROLE}"):
        await account.ask("sts", "assume_role", account.user, RoleArn=ROLE, RoleSessionName="bob")
    await account.ask("sts", "assume_role", account.user, RoleArn=ROLE, RoleSessionName="bob", ExternalId="77")


async def test_wrong_keys_and_ended_sessions_are_told_apart(account: Account) -> None:
    """Signatures are really verified."""
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        await account.token(replace(account.user, secret_access_key="wrong"))
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        await account.token(replace(account.user, access_key_id="AKIAAAAAAAAAAAAAAAAA"))
    ended = account.aws.principals.session(ROLE, "bob", datetime.now(UTC))
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        await account.token(ended)


@pytest.mark.parametrize(("minutes", "words"), [(20, "Signature expired: "), (-20, "Signature not yet current: ")])
async def test_a_wrong_clock_is_refused_with_both_times(account: Account, minutes: int, words: str) -> None:
    """Over five minutes apart, and the `Date` header shows the cloud's time."""
    account.aws.clock_offset = timedelta(minutes=minutes)
    with pytest.raises(ClientError, match=f"{words}.* 5 min") as refused:
        await account.token(account.user)
    date = refused.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert date[17:22] == account.aws.now().strftime("%H:%M")


@pytest.mark.parametrize("name", [name for name, fault in AWS_FAULTS.items() if isinstance(fault, AwsFault)])
async def test_each_refusal_of_the_table_reaches_the_client_until_it_is_healed(account: Account, name: str) -> None:
    """By its own code, at ECR and at STS, and each call is noted with it."""
    fault = AWS_FAULTS[name]
    assert isinstance(fault, AwsFault)
    account.aws.fail("ecr:GetAuthorizationToken", name)
    account.aws.fail("sts:GetCallerIdentity", name)
    with pytest.raises(ClientError) as at_ecr:
        await account.token(account.user)
    assert at_ecr.value.response["Error"]["Code"] == fault.code
    with pytest.raises(ClientError) as at_sts:
        await account.ask("sts", "get_caller_identity", account.user)
    assert at_sts.value.response["Error"]["Code"] == (fault.query_code or fault.code)
    assert account.aws.calls[0].refused == fault.code
    account.aws.heal()
    await account.token(account.user)
    assert account.aws.count("ecr:GetAuthorizationToken", account.user.arn) == 2


@pytest.mark.parametrize("name", ["silent", "reset"])
async def test_a_cloud_that_does_not_answer_ends_the_call_and_the_port_still_closes(
    account: Account, name: str
) -> None:
    """A silent request does not hold up whoever takes the cloud down."""
    account.aws.fail("ecr:GetAuthorizationToken", name)
    with pytest.raises((ConnectionError, HTTPClientError)):
        await account.token(account.user)


async def test_the_metadata_service_wants_its_session_token_first() -> None:
    """Version 1 is off: a request without the token is refused, as is a PUT without a life."""
    async with Listener(PretendAws().handle) as door, aiohttp.ClientSession(door.url) as client:
        roles = "/latest/meta-data/iam/security-credentials/"
        assert (await client.get(roles)).status == 401
        assert (await client.put("/latest/api/token")).status == 400
        life = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        token = await (await client.put("/latest/api/token", headers=life)).text()
        answer = await client.get(roles, headers={"X-aws-ec2-metadata-token": token})
        assert await answer.text() == "dev-environment"
