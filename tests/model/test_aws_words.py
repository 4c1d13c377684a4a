"""What a person reads after an error of AWS: the whole message and the whole hint."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from agent.model import hints
from agent.model.aws_errors import SOMEBODY_ELSE, WEB_IDENTITY_ACTION, AwsRefusal, problem_of
from agent.model.aws_keys import IN_SECRET, in_profile, replace_hint
from agent.model.problem import Problem, RetryClass
from agent.model.problems.aws import (
    AwsAccessDenied,
    AwsError,
    AwsIdentityRejected,
    AwsKeysRefused,
    AwsThrottled,
    ClockSkew,
    NotAws,
)

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN: Final = "ecr:GetAuthorizationToken"
ADA: Final = "arn:aws:iam::1:user/team/ada"
DEV: Final = "arn:aws:sts::1:assumed-role/dev/session"
SOON: Final = RetryClass.SOON
NO_AWS_ERROR: Final = f"{TOKEN} was answered with status %d and without an AWS error"
REFUSED: Final = f"AWS refused {TOKEN} to the env's role: "
TIME: Final = f"AWS refused {TOKEN} because of the signature's time: this machine's clock is "
SCOPE: Final = "Credential should be scoped to a valid region"
REGION: Final = "fix the region (in the secret, or aws.region) or AWS_ENDPOINT_URL: the endpoint is in another region"
NEW_KEYS: Final = (
    "wait: each attempt gets new keys from the same source; if the problem persists, ask your AWS administrator to "
    "check the role behind that source"
)


def denied(arn: str, action: str, more: str = "") -> str:
    """AWS's own text."""
    return f"User: {arn} is not authorized to perform: {action}{more}"


def policy(action: str, holder: str, resource: str = "*") -> str:
    """The hint with a statement that can be pasted."""
    statement = f'{{"Effect": "Allow", "Action": {action}, "Resource": "{resource}"}}'
    return f"ask your AWS administrator to add {statement} to the IAM policy of {holder}"


@pytest.mark.parametrize(
    ("refusal", "problem"),
    [
        ({"code": "SlowDown"}, AwsThrottled("aws", f"AWS throttled {TOKEN} (SlowDown)")),
        ({"code": "429"}, AwsThrottled("aws", f"AWS throttled {TOKEN} (429)")),
        ({"code": "", "status": 200}, NotAws("aws", NO_AWS_ERROR % 200, hint=SOMEBODY_ELSE)),
        ({"code": "499", "status": 499}, NotAws("aws", NO_AWS_ERROR % 499, hint=SOMEBODY_ELSE)),
        ({"code": "500", "status": 500}, AwsError("aws", NO_AWS_ERROR % 500, hint=SOMEBODY_ELSE)),
        ({"code": "599", "status": 599}, AwsError("aws", NO_AWS_ERROR % 599, hint=SOMEBODY_ELSE)),
        ({"code": "511", "status": 511}, NotAws("aws", NO_AWS_ERROR % 511, hint=hints.CAPTIVE_PORTAL)),
        ({"code": "ServerException"}, AwsError("aws", f"AWS failed at {TOKEN}: ServerException")),
        (
            {"code": "ServerException", "message": "try\x1blater" + "." * 300},
            AwsError("aws", f"AWS failed at {TOKEN}: ServerException (try later{'.' * 190}…)"),
        ),
        (
            {"code": "SignatureDoesNotMatch", "message": SCOPE},
            AwsError("aws", f"AWS failed at {TOKEN}: SignatureDoesNotMatch ({SCOPE})", hint=REGION),
        ),
        (
            {"code": "InvalidSignatureException", "message": SCOPE},
            AwsError("aws", f"AWS failed at {TOKEN}: InvalidSignatureException ({SCOPE})", hint=REGION),
        ),
        (
            {"code": "ExpiredToken", "own_keys": True},
            AwsKeysRefused(
                "aws",
                f"{REFUSED}the session of the keys has expired (ExpiredToken)",
                hint=replace_hint(IN_SECRET, temporary=True),
            ),
        ),
        (
            {"code": "ExpiredToken"},
            AwsAccessDenied(
                "aws",
                f"{REFUSED}the session of the keys has expired (ExpiredToken)",
                hint=NEW_KEYS,
                retry_class=SOON,
            ),
        ),
        (
            {"code": "InvalidClientTokenId", "own_keys": True},
            AwsKeysRefused(
                "aws",
                f"{REFUSED}AWS does not know the access key (InvalidClientTokenId)",
                hint=replace_hint(IN_SECRET, temporary=False),
            ),
        ),
        (
            {"code": "InvalidClientTokenId", "key_place": in_profile("dev"), "temporary": True},
            AwsKeysRefused(
                "aws",
                f"{REFUSED}AWS does not know the access key (InvalidClientTokenId)",
                hint=replace_hint(in_profile("dev"), temporary=True),
            ),
        ),
        (
            {"code": "SignatureDoesNotMatch", "message": "it does not match"},
            AwsAccessDenied("aws", f"{REFUSED}the secret access key is wrong (SignatureDoesNotMatch)", hint=NEW_KEYS),
        ),
        (
            {"code": "RequestExpired", "server_time": NOW - timedelta(minutes=7)},
            ClockSkew("aws", f"{TIME}7 min ahead of AWS's"),
        ),
        ({"code": "RequestExpired"}, ClockSkew("aws", f"{TIME}more than 5 min off")),
    ],
)
def test_each_refusal_has_its_words(refusal: dict[str, Any], problem: Problem) -> None:
    """With the right person to act, and the right pace."""
    assert problem_of(AwsRefusal(**({"action": TOKEN, **BASE} | refusal))) == problem


BASE: Final[dict[str, Any]] = {"message": "", "status": 400, "who": "the env's role", "seen_at": NOW}


@pytest.mark.parametrize(
    ("code", "status", "kind", "hint"),
    [
        (
            *("InvalidIdentityToken", 400, AwsIdentityRejected),
            (
                "ask your AWS administrator to add the token's issuer as an identity provider of the role's account "
                "(IAM, Identity providers), with the audience sts.amazonaws.com"
            ),
        ),
        (
            *("IDPCommunicationError", 500, AwsIdentityRejected),
            "wait: the agent tries again until AWS reaches the token's issuer",
        ),
        ("AccessDenied", 499, AwsIdentityRejected, None),
        ("InternalFailure", 500, AwsError, None),
        ("InternalFailure", 503, AwsError, None),
    ],
)
def test_a_web_identity_is_refused_or_sts_fails(code: str, status: int, kind: type[Problem], hint: str | None) -> None:
    """A server error says nothing about the token, unless the code does."""
    refusal = AwsRefusal(WEB_IDENTITY_ACTION, code, "why", status, "the env's role", NOW)
    retry_class = SOON if hint else None
    if kind is AwsError:
        assert problem_of(refusal) == AwsError("aws", f"AWS failed at {WEB_IDENTITY_ACTION}: {code} (why)")
    else:
        message = f"AWS refused {WEB_IDENTITY_ACTION} to the env's role: {code} (why)"
        assert problem_of(refusal) == AwsIdentityRejected("aws", message, hint=hint, retry_class=retry_class)


@pytest.mark.parametrize(
    ("message", "who", "action", "shown", "hint"),
    [
        (
            *(denied(ADA, TOKEN, " on resource: * because no identity-based policy allows it"), "x", TOKEN),
            f"AWS denied {TOKEN} to {ADA} because no identity-based policy allows it",
            policy(f'"{TOKEN}"', "user ada"),
        ),
        (
            *(denied(ADA, "ecr-public:GetAuthorizationToken"), "x", TOKEN),
            f"AWS denied ecr-public:GetAuthorizationToken to {ADA}",
            policy('["ecr-public:GetAuthorizationToken", "sts:GetServiceBearerToken"]', "user ada"),
        ),
        (
            *(denied(ADA, "sts:AssumeRole", " on resource: arn:aws:iam::1:role/x."), "x", "sts:AssumeRole"),
            f"AWS denied sts:AssumeRole to {ADA} on arn:aws:iam::1:role/x",
            policy('"sts:AssumeRole"', "user ada", "arn:aws:iam::1:role/x")
            + "; the role's trust policy must also allow that identity",
        ),
        (
            *("no", DEV, "sts:AssumeRole"),
            f"AWS denied sts:AssumeRole to {DEV} (no)",
            "ask your AWS administrator to let role dev call sts:AssumeRole on the role in the secret",
        ),
        (
            *(denied(DEV, "ecr:X", " on resource: arn:aws:ecr:y, with an explicit deny in a policy"), "x", TOKEN),
            f"AWS denied ecr:X to {DEV} on arn:aws:ecr:y with an explicit deny in a policy",
            "ask your AWS administrator to remove the Deny statement that covers ecr:X for role dev",
        ),
        (
            *("", "arn:aws:iam::1:role/path/dev", TOKEN),
            f"AWS denied {TOKEN} to arn:aws:iam::1:role/path/dev",
            policy(f'"{TOKEN}"', "role dev"),
        ),
        *(
            ("", who, TOKEN, f"AWS denied {TOKEN} to {who}", policy(f'"{TOKEN}"', "this identity"))
            for who in ("arn:aws:iam::1:root", "arn:aws:iam::1:group/x", "role", "the env's role")
        ),
    ],
)
def test_a_denial_says_what_to_change(message: str, who: str, action: str, shown: str, hint: str) -> None:
    """The policy statement can be pasted. An explicit deny cannot be overridden by one."""
    problem = problem_of(AwsRefusal(action, "AccessDenied", message, 400, who, NOW))
    assert problem == AwsAccessDenied("aws", shown, hint=hint)
