"""Turns the errors that AWS returns into problems.

The error code decides, not the HTTP status: AWS uses status 400 both for throttling and for denied permissions.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from agent.model import hints
from agent.model.aws_keys import IN_SECRET, KeyPlace, replace_hint
from agent.model.clock_skew import clock_distance, cloud_clock_skew
from agent.model.outside_values import from_rfc3339
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
from agent.model.text import printable

# The subject until a service adds the registry (`Problem.about`).
SUBJECT: Final = "aws"
SOMEBODY_ELSE: Final = (
    "fix AWS_ENDPOINT_URL or HTTPS_PROXY, or log in to the network's captive portal: a proxy or another server "
    "answered instead of AWS"
)
WEB_IDENTITY_ACTION: Final = "sts:AssumeRoleWithWebIdentity"
_THROTTLED: Final = re.compile(r"(?:Request)?Throttl\w*|TooManyRequests\w*|RequestLimitExceeded|SlowDown")
_DENIED: Final = re.compile(r"AccessDenied\w*|Unauthorized\w*|NotAuthorized\w*")
_EXPIRED: Final = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")
_SIGNATURE: Final = ("InvalidSignatureException", "InvalidSignature", "SignatureDoesNotMatch")
_UNKNOWN_KEYS: Final = ("UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "AuthFailure")
_KEY_FAULTS: Final = {
    **dict.fromkeys(_EXPIRED, "the session of the keys has expired"),
    **dict.fromkeys(_SIGNATURE, "the secret access key is wrong"),
    **dict.fromkeys(_UNKNOWN_KEYS, "AWS does not know the access key"),
}
_KEYS_OF_A_ROLE: Final = (
    "wait: each attempt gets new keys from the same source; if the problem persists, ask your AWS administrator to "
    "check the role behind that source"
)
_OTHER_REGION: Final = (
    "fix the region (in the secret, or aws.region) or AWS_ENDPOINT_URL: the endpoint is in another region"
)
_SERVER_ERRORS: Final = range(500, 600)
_TIME: Final = frozenset({"RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"})
_WRONG_KEY: Final = "does not match"
_WRONG_PLACE: Final = "should be scoped to"
_ABOUT_TIME: Final = re.compile(r"expired|not yet current|too skewed|in the future", re.IGNORECASE)
# Example of AWS's text, where the last time is AWS's own: Signature expired: 20260101T000000Z is now earlier than
# 20260101T001000Z (20260101T001500Z - 5 min.)
_MOMENT: Final = r"(\d{8}T\d{6}Z)"
_SIGNED_AND_SERVER: Final = re.compile(rf"{_MOMENT}\D+{_MOMENT}\s*\({_MOMENT}")
_WHO_AND_WHAT: Final = re.compile(r"User: (?P<arn>arn:\S+) is not authorized to perform: (?P<action>[\w-]+:\w+)")
_ON_WHAT: Final = re.compile(r"on resource: (?P<resource>arn:\S+)")
_WHY: Final = re.compile(r"\b(?P<why>(?:because|with an explicit deny) .*)", re.DOTALL)
# Errors of AssumeRoleWithWebIdentity that a new token may fix. The hint is for the case that it does not.
_NEW_TOKEN_HELPS: Final = {
    "InvalidIdentityToken": "ask your AWS administrator to add the token's issuer as an identity provider of the "
    "role's account (IAM, Identity providers), with the audience sts.amazonaws.com",
    "ExpiredTokenException": "wait: each attempt uses a new token; if the problem persists, ask your platform team why "
    "aws.identity_token_file or aws.identity_token_command provides expired tokens",
    "IDPCommunicationError": "wait: the agent tries again until AWS reaches the token's issuer",
}


@dataclass(frozen=True, slots=True)
class AwsRefusal:
    """An error that AWS returned.

    `code` and `message` are AWS's texts. `scrub` masks the secrets in what is shown of them. `who` describes the
    identity. `own_keys` is True if the keys come from the secret, and `key_place` is another place where the user
    writes them: then only a person can replace them. `temporary` is whether they are a session's. `server_time` is the
    Date header of the reply, and `seen_at` is the time of our clock at that moment.
    """

    action: str
    code: str
    message: str
    status: int
    who: str
    seen_at: datetime
    own_keys: bool = False
    server_time: datetime | None = None
    key_place: KeyPlace | None = None
    temporary: bool = False
    scrub: Callable[[str], str] = str

    @property
    def shown_code(self) -> str:
        return printable(self.scrub(self.code), 80)

    @property
    def shown_message(self) -> str:
        return printable(self.scrub(self.message))


def problem_of(refusal: AwsRefusal) -> Problem:
    """Return the problem behind a refusal; its subject is "aws"."""
    code = refusal.code
    if _THROTTLED.fullmatch(code) or code == "429":
        return AwsThrottled(SUBJECT, f"AWS throttled {refusal.action} ({refusal.shown_code})")
    # If a reply has no AWS error document, the SDK uses the HTTP status as the code.
    if not code or code.isdigit():
        return _not_from_aws(refusal)
    # A 5xx is a failure of STS and not a refusal, except for the codes that a new token may fix.
    if refusal.action == WEB_IDENTITY_ACTION and (refusal.status < 500 or code in _NEW_TOKEN_HELPS):  # noqa: PLR2004 - HTTP's own limit
        return _web_identity_refused(refusal)
    return _signed_request_refused(refusal)


def _signed_request_refused(refusal: AwsRefusal) -> Problem:
    code = refusal.code
    if code in _TIME or (code in _SIGNATURE and _is_about_time(refusal)):
        return ClockSkew(SUBJECT, f"AWS refused {refusal.action} because of the signature's time: {_clock(refusal)}")
    if _DENIED.fullmatch(code):
        return _denied(refusal)
    other_region = code in _SIGNATURE and _WRONG_PLACE in refusal.message
    if code in _KEY_FAULTS and not other_region:
        return _keys_refused(refusal)
    message = f"AWS failed at {refusal.action}: {refusal.shown_code}{_words(refusal)}"
    return AwsError(SUBJECT, message, hint=_OTHER_REGION if other_region else None)


def _not_from_aws(refusal: AwsRefusal) -> AwsError:
    """Handle a status without AWS's error document, such as a gateway's page, a redirect or a captive portal."""
    message = f"{refusal.action} was answered with status {refusal.status} and without an AWS error"
    if refusal.status == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        return NotAws(SUBJECT, message, hint=hints.CAPTIVE_PORTAL)
    # A gateway's 5xx may pass. Anything else stays until a person acts.
    return (AwsError if refusal.status in _SERVER_ERRORS else NotAws)(SUBJECT, message, hint=SOMEBODY_ELSE)


def _web_identity_refused(refusal: AwsRefusal) -> AwsIdentityRejected:
    return AwsIdentityRejected(
        SUBJECT,
        f"AWS refused {WEB_IDENTITY_ACTION} to {refusal.who}: {refusal.shown_code}{_words(refusal)}",
        hint=_NEW_TOKEN_HELPS.get(refusal.code),
        retry_class=RetryClass.SOON if refusal.code in _NEW_TOKEN_HELPS else None,
    )


def _denied(refusal: AwsRefusal) -> AwsAccessDenied:
    text = refusal.shown_message
    found = _WHO_AND_WHAT.search(text)
    action, who = (found["action"], found["arn"]) if found else (refusal.action, refusal.who)
    on, why = _ON_WHAT.search(text), _WHY.search(text)
    message = f"AWS denied {action} to {who}"
    message += f" on {on['resource'].rstrip('.,')}" if on else ""
    message += f" {printable(why['why'], 200)}" if why else "" if found else _words(refusal)
    return AwsAccessDenied(SUBJECT, message, hint=_permission(action, who, on["resource"] if on else None, message))


def _permission(action: str, who: str, resource: str | None, message: str) -> str:
    """Return the hint with the missing policy statement, ready to paste. GetAuthorizationToken only accepts "*"."""
    # An Allow statement cannot override an explicit Deny.
    if "explicit deny" in message:
        return f"ask your AWS administrator to remove the Deny statement that covers {action} for {_holder(who)}"
    # ECR Public needs both actions, but AWS names only one of them at a time.
    actions = f'["{action}", "sts:GetServiceBearerToken"]' if action.startswith("ecr-public:") else f'"{action}"'
    if action.startswith("sts:Assume") and resource is None:
        return f"ask your AWS administrator to let {_holder(who)} call {action} on the role in the secret"
    # In AWS's text, punctuation may follow the ARN.
    on = (resource or "").rstrip(".,") if action.startswith("sts:Assume") else "*"
    statement = f'{{"Effect": "Allow", "Action": {actions}, "Resource": "{on}"}}'
    trust = "; the role's trust policy must also allow that identity" if on != "*" else ""
    return f"ask your AWS administrator to add {statement} to the IAM policy of {_holder(who)}{trust}"


def _holder(who: str) -> str:
    """Return what an ARN's IAM policy is attached to: the role of a session, else the user."""
    kind, *names = who.rpartition(":")[2].split("/")
    if not names or kind not in ("user", "role", "assumed-role"):
        return "this identity"
    # A session's ARN ends with role/session. In the ARN of a user or a role, the name comes after the path.
    return f"role {names[0]}" if kind == "assumed-role" else f"{kind} {names[-1]}"


def _keys_refused(refusal: AwsRefusal) -> AwsAccessDenied:
    """AWS does not know the keys, or they have expired. AWS's text is left out: it may quote the signed headers."""
    expired = refusal.code in _EXPIRED
    place = IN_SECRET if refusal.own_keys else refusal.key_place
    kind = AwsAccessDenied if place is None else AwsKeysRefused
    return kind(
        SUBJECT,
        f"AWS refused {refusal.action} to {refusal.who}: {_KEY_FAULTS[refusal.code]} ({refusal.code})",
        hint=replace_hint(place, temporary=expired or refusal.temporary) if place else _KEYS_OF_A_ROLE,
        # Keys from the credential chain may renew themselves. Keys in a secret do not.
        retry_class=RetryClass.SOON if expired and not refusal.own_keys else None,
    )


def _is_about_time(refusal: AwsRefusal) -> bool:
    """Whether the clock is wrong, not the secret key. Both give these codes: only AWS's text and the clocks differ."""
    if _ABOUT_TIME.search(refusal.message) or cloud_clock_skew(refusal.server_time, refusal.seen_at):
        return True
    # Without one of the known texts, a wrong clock is the most likely cause.
    known = _WRONG_KEY in refusal.message or _WRONG_PLACE in refusal.message
    return refusal.code == "InvalidSignatureException" and not known


def _clock(refusal: AwsRefusal) -> str:
    # The times in AWS's text are more exact than the Date header.
    times = _SIGNED_AND_SERVER.search(refusal.message)
    signed, server = (from_rfc3339(times[1]), from_rfc3339(times[3])) if times else (None, None)
    if signed and server:
        return clock_distance(signed - server, "AWS's")
    if refusal.server_time is not None:
        return clock_distance(refusal.seen_at - refusal.server_time, "AWS's")
    return "this machine's clock is more than 5 min off"


def _words(refusal: AwsRefusal) -> str:
    words = printable(refusal.shown_message, 200)
    return f" ({words})" if words else ""
