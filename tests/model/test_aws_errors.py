"""The errors that AWS returns become the right problems."""

from datetime import UTC, datetime, timedelta

import pytest

from agent.model import hints
from agent.model.aws_errors import WEB_IDENTITY_ACTION, AwsRefusal, problem_of
from agent.model.clock_skew import cloud_clock_skew
from agent.model.problem import Needs, Problem, RetryClass
from agent.model.problems.aws import AwsAccessDenied, AwsError, AwsIdentityRejected, AwsThrottled, ClockSkew, NotAws

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN = "ecr:GetAuthorizationToken"


def refusal(
    code: str,
    message: str = "",
    *,
    action: str = TOKEN,
    status: int = 400,
    own_keys: bool = False,
    server_time: datetime | None = None,
) -> Problem:
    return problem_of(AwsRefusal(action, code, message, status, "the env's role", NOW, own_keys, server_time))


@pytest.mark.parametrize("status", [400, 403])
@pytest.mark.parametrize(
    ("code", "expected", "retry_class"),
    [
        ("ThrottlingException", AwsThrottled, RetryClass.SOON),
        ("Throttling", AwsThrottled, RetryClass.SOON),
        ("TooManyRequestsException", AwsThrottled, RetryClass.SOON),
        ("RequestLimitExceeded", AwsThrottled, RetryClass.SOON),
        ("AccessDeniedException", AwsAccessDenied, RetryClass.REJECTED),
        ("AccessDenied", AwsAccessDenied, RetryClass.REJECTED),
        ("UnauthorizedOperation", AwsAccessDenied, RetryClass.REJECTED),
        ("UnrecognizedClientException", AwsAccessDenied, RetryClass.REJECTED),
        ("InvalidClientTokenId", AwsAccessDenied, RetryClass.REJECTED),
        ("SignatureDoesNotMatch", AwsAccessDenied, RetryClass.REJECTED),
        ("RequestExpired", ClockSkew, RetryClass.SOON),
        ("RequestTimeTooSkewed", ClockSkew, RetryClass.SOON),
        ("InvalidSignatureException", ClockSkew, RetryClass.SOON),
        ("ServerException", AwsError, RetryClass.SOON),
        ("SomethingNew", AwsError, RetryClass.SOON),
    ],
)
def test_the_error_code_decides_and_not_the_status(
    code: str, status: int, expected: type[Problem], retry_class: RetryClass
) -> None:
    """AWS uses status 400 for throttling and for denied permissions."""
    problem = refusal(code, status=status)
    assert type(problem) is expected
    assert problem.retry_class is retry_class


@pytest.mark.parametrize("status", [301, 403, 404, 502])
def test_an_answer_that_is_not_from_aws_is_not_a_denial(status: int) -> None:
    """A proxy's 403 must not make people search their IAM policies."""
    problem = refusal(str(status), status=status)
    assert type(problem) is (AwsError if status >= 500 else NotAws)
    assert f"status {status}" in problem.message
    assert "proxy" in problem.hint


def test_status_511_is_a_captive_portal() -> None:
    """No other server sends it. The user must log in to the network."""
    problem = refusal("511", status=511)
    assert (problem.code, problem.needs, problem.hint) == ("aws_error", Needs.USER, hints.CAPTIVE_PORTAL)


def test_a_denial_names_the_action_that_is_missing_and_the_arn() -> None:
    """Both come from AWS's text. For ECR Public, the action may differ from the one that the agent called."""
    message = (
        "User: arn:aws:iam::1:user/a is not authorized to perform: sts:GetServiceBearerToken on resource: "
        "arn:aws:sts::1:self with an explicit deny in a service control policy"
    )
    problem = refusal("AccessDeniedException", message)
    assert problem.message == (
        "AWS denied sts:GetServiceBearerToken to arn:aws:iam::1:user/a on arn:aws:sts::1:self "
        "with an explicit deny in a service control policy"
    )


def test_a_denial_without_details_names_the_call_and_the_identity() -> None:
    """The agent knows both itself."""
    assert refusal("AccessDenied").message == f"AWS denied {TOKEN} to the env's role"


@pytest.mark.parametrize("code", ["AccessDenied", "IDPRejectedClaim", "MalformedPolicyDocument"])
def test_a_refused_web_identity_needs_a_person(code: str) -> None:
    """Unless a new token may help, as in the next test."""
    problem = refusal(code, action=WEB_IDENTITY_ACTION, status=403)
    assert type(problem) is AwsIdentityRejected
    assert problem.retry_class is RetryClass.REJECTED


@pytest.mark.parametrize("code", ["InvalidIdentityToken", "ExpiredTokenException", "IDPCommunicationError"])
def test_a_web_identity_error_that_a_new_token_may_fix_is_retried_soon(code: str) -> None:
    """Each of these errors has its own hint."""
    problem = refusal(code, action=WEB_IDENTITY_ACTION)
    assert type(problem) is AwsIdentityRejected
    assert problem.retry_class is RetryClass.SOON
    assert problem.hint != AwsIdentityRejected.hint


def test_expired_keys_from_the_credential_chain_are_retried_soon() -> None:
    """They may renew themselves. Keys in a secret cannot: a person must replace them."""
    assert refusal("ExpiredTokenException").retry_class is RetryClass.SOON
    own = refusal("ExpiredTokenException", own_keys=True)
    assert own.retry_class is RetryClass.REJECTED
    assert "in the secret" in own.hint


def test_a_message_about_refused_keys_does_not_quote_aws() -> None:
    """AWS's text for SignatureDoesNotMatch contains the signed headers, including the session token."""
    message = "The Canonical String should have been x-amz-security-token:FwoGSECRET; does not match"
    assert "FwoGSECRET" not in refusal("SignatureDoesNotMatch", message).message


@pytest.mark.parametrize(
    ("message", "server_time", "words"),
    [
        (
            "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T001500Z - 5 min.)",
            NOW,
            "15 min behind",
        ),
        (
            "Signature not yet current: 20260101T010000Z is later than 20260101T000500Z (20260101T000000Z + 5 min.)",
            None,
            "60 min ahead of",
        ),
        ("Signature expired: 20261399T999999Z is odd", NOW + timedelta(hours=1), "60 min behind"),
        ("Signature expired", None, "more than 5 min off"),
    ],
)
def test_the_message_shows_how_wrong_the_clock_is(message: str, server_time: datetime | None, words: str) -> None:
    """The difference comes from AWS's text, else from the Date of its reply."""
    problem = refusal("InvalidSignatureException", message, server_time=server_time)
    assert type(problem) is ClockSkew
    assert words in problem.message


def test_a_wrong_secret_key_is_not_a_wrong_clock() -> None:
    """Both give the same code. AWS's text distinguishes them, and otherwise the clocks do."""
    message = "The request signature we calculated does not match the signature you provided"
    assert type(refusal("InvalidSignatureException", message)) is AwsAccessDenied
    skewed = refusal("SignatureDoesNotMatch", message, server_time=NOW + timedelta(hours=1))
    assert type(skewed) is ClockSkew


@pytest.mark.parametrize(("off_s", "skewed"), [(0, False), (300, False), (-300, False), (301, True), (-301, True)])
def test_a_clock_that_is_off_by_more_than_five_minutes_is_reported(off_s: int, skewed: bool) -> None:
    """AWS accepts smaller differences, so they cause no warning."""
    assert (cloud_clock_skew(NOW + timedelta(seconds=off_s), NOW) is not None) is skewed
    assert cloud_clock_skew(None, NOW) is None


def test_control_characters_do_not_reach_a_message() -> None:
    """AWS's text comes from outside."""
    assert "\x1b" not in refusal("SomethingNew", "a\x1b[31mb").message
