"""AWS's own client works with the simulated AWS."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError  # noqa: A004 - botocore's own name for it

from agent.demo.listener import Listener
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.aws_faults import AWS_FAULTS, AwsFault
from tests.fakecloud.principals import Principal
from tests.fakecloud.tokens import Verdict

ROLE = "arn:aws:iam::999999999999:role/team/pull"
CONFIG = AioConfig(retries={"total_max_attempts": 1}, read_timeout=1, connect_timeout=1)


class Account:
    """A running simulated AWS, and a client for it."""

    def __init__(self, aws: PretendAws, url: str) -> None:
        self.aws = aws
        self.user = aws.add_user("bob")
        self._url = url

    async def call(self, service: str, operation: str, keys: Principal | None = None, **fields: str) -> dict[str, Any]:
        """Call `operation` with `keys`. None uses the default credential chain, which finds the instance role."""
        credentials = (
            {}
            if keys is None
            else {
                "aws_access_key_id": keys.access_key_id,
                "aws_secret_access_key": keys.secret_access_key,
                "aws_session_token": keys.session_token,
            }
        )
        client = get_session().create_client(
            service,  # type: ignore[call-overload]  # the stubs require a literal
            region_name="us-east-1" if service == "ecr-public" else "eu-west-1",
            endpoint_url=self._url,
            config=CONFIG,
            **credentials,
        )
        async with client as connected:
            answer: dict[str, Any] = await getattr(connected, operation)(**fields)
            return answer

    async def token(self, keys: Principal | None = None) -> dict[str, Any]:
        answer = await self.call("ecr", "get_authorization_token", keys)
        data: dict[str, Any] = answer["authorizationData"][0]
        return data


@pytest.fixture
async def account(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Account]:
    aws = PretendAws()
    async with Listener(aws.handle) as listener:
        for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", listener.url)
        yield Account(aws, listener.url)


async def test_the_instance_role_gets_a_token_with_the_configured_life(account: Account) -> None:
    """Metadata service, signature and ECR work together. The token is valid in its region until it expires."""
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


async def test_public_tokens_are_an_object_and_only_for_the_public_registry(account: Account) -> None:
    """ECR Public answers with an object, ECR with a list."""
    answer = await account.call("ecr-public", "get_authorization_token", account.user)
    assert "authorizationToken" in answer["authorizationData"]
    assert account.aws.tokens.issued[0].region == "public"


async def test_assumes_a_role_with_keys_or_with_a_web_identity(account: Account) -> None:
    """The session has a name, working keys, and an ARN in the role's account."""
    session = await account.call("sts", "assume_role", account.user, RoleArn=ROLE, RoleSessionName="registry-agent-bob")
    assert session["AssumedRoleUser"]["Arn"] == "arn:aws:sts::999999999999:assumed-role/pull/registry-agent-bob"
    keys = account.aws.principals.find(session["Credentials"]["AccessKeyId"])
    assert (await account.call("sts", "get_caller_identity", keys))["Account"] == "999999999999"

    web = {"RoleArn": ROLE, "RoleSessionName": "registry-agent-bob", "WebIdentityToken": "a.web.token"}
    with pytest.raises(ClientError, match="InvalidIdentityToken"):
        await account.call("sts", "assume_role_with_web_identity", None, **web)
    account.aws.web_identities["a.web.token"] = "workspace:1"
    answer = await account.call("sts", "assume_role_with_web_identity", None, **web)
    assert answer["SubjectFromWebIdentityToken"] == "workspace:1"


async def test_does_not_assume_a_role_without_its_external_id(account: Account) -> None:
    """The refusal names the caller, the action and the role."""
    account.aws.external_ids[ROLE] = "77"
    with pytest.raises(ClientError, match=f"user/bob is not authorized to perform: sts:AssumeRole on resource: {ROLE}"):
        await account.call("sts", "assume_role", account.user, RoleArn=ROLE, RoleSessionName="bob")
    await account.call("sts", "assume_role", account.user, RoleArn=ROLE, RoleSessionName="bob", ExternalId="77")


async def test_wrong_keys_and_expired_sessions_get_different_errors(account: Account) -> None:
    """The simulated AWS really verifies signatures."""
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        await account.token(replace(account.user, secret_access_key="wrong"))
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        await account.token(replace(account.user, access_key_id="AKIAAAAAAAAAAAAAAAAA"))
    expired = account.aws.principals.session(ROLE, "bob", datetime.now(UTC))
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        await account.token(expired)


@pytest.mark.parametrize(("minutes", "words"), [(20, "Signature expired: "), (-20, "Signature not yet current: ")])
async def test_refuses_a_wrong_clock_with_both_times(account: Account, minutes: int, words: str) -> None:
    """If the clocks differ by more than five minutes. The `Date` header shows the cloud's time."""
    account.aws.clock_offset = timedelta(minutes=minutes)
    with pytest.raises(ClientError, match=f"{words}.* 5 min") as refused:
        await account.token(account.user)
    date = refused.value.response["ResponseMetadata"]["HTTPHeaders"]["date"]
    assert date[17:22] == account.aws.now().strftime("%H:%M")


@pytest.mark.parametrize("name", [name for name, fault in AWS_FAULTS.items() if isinstance(fault, AwsFault)])
async def test_each_refusal_reaches_the_client_until_it_is_healed(account: Account, name: str) -> None:
    """With its own code from ECR and from STS. Each call is recorded with the code."""
    fault = AWS_FAULTS[name]
    assert isinstance(fault, AwsFault)
    account.aws.fail("ecr:GetAuthorizationToken", name)
    account.aws.fail("sts:GetCallerIdentity", name)
    with pytest.raises(ClientError) as at_ecr:
        await account.token(account.user)
    assert at_ecr.value.response["Error"]["Code"] == fault.code
    with pytest.raises(ClientError) as at_sts:
        await account.call("sts", "get_caller_identity", account.user)
    assert at_sts.value.response["Error"]["Code"] == (fault.query_code or fault.code)
    assert account.aws.calls[0].refused == fault.code
    account.aws.heal()
    await account.token(account.user)
    assert account.aws.count("ecr:GetAuthorizationToken", account.user.arn) == 2


@pytest.mark.parametrize("name", ["silent", "reset"])
async def test_a_cloud_that_does_not_answer_can_still_shut_down(account: Account, name: str) -> None:
    """The call fails, and the silent request does not delay closing the port."""
    account.aws.fail("ecr:GetAuthorizationToken", name)
    with pytest.raises((ConnectionError, HTTPClientError)):
        await account.token(account.user)


async def test_the_metadata_service_requires_a_session_token() -> None:
    """It refuses a request without the token (version 1), and a PUT without a TTL."""
    async with Listener(PretendAws().handle) as listener, aiohttp.ClientSession(listener.url) as client:
        roles = "/latest/meta-data/iam/security-credentials/"
        assert (await client.get(roles)).status == 401
        assert (await client.put("/latest/api/token")).status == 400
        life = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        token = await (await client.put("/latest/api/token", headers=life)).text()
        answer = await client.get(roles, headers={"X-aws-ec2-metadata-token": token})
        assert await answer.text() == "dev-environment"
