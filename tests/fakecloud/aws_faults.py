"""AWS's refusals in the form of its two protocols, and the table of faults that tests can set."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final
from xml.sax.saxutils import escape

from tests.fakecloud.faults import GARBAGE, Answer, Broken, Fault

STS_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"


class Protocol(Enum):
    """The protocol of a service: JSON 1.1 for ECR, the XML query protocol for STS."""

    JSON = "application/x-amz-json-1.1"
    QUERY = "text/xml"


@dataclass(frozen=True, slots=True)
class AwsFault:
    """One refusal. STS often uses another code and status for it than the JSON services do.

    In `message`, `{arn}`, `{action}` and `{resource}` are replaced with those of the call.
    """

    message: str
    code: str
    status: int = 400
    query_code: str | None = None
    query_status: int | None = None


class Refused(Exception):  # noqa: N818 - a server's answer, not an error in this program
    """AWS refuses the call."""

    def __init__(self, fault: AwsFault, **details: str) -> None:
        super().__init__(fault.code)
        self.fault: Final = fault
        self.message: Final = fault.message.format(**details)


_BAD_SIGNATURE: Final = ("InvalidSignatureException", 400, "SignatureDoesNotMatch", 403)

AWS_FAULTS: Final[Mapping[str, AwsFault | Fault]] = MappingProxyType(
    {
        # The comments name the warning that the agent should raise, or the cause.
        "throttled": AwsFault("Rate exceeded", "ThrottlingException", 400, "Throttling", 400),  # aws_throttled
        "access_denied": AwsFault(  # aws_access_denied; of AssumeRoleWithWebIdentity aws_identity_rejected
            "User: {arn} is not authorized to perform: {action} on resource: {resource} because no identity-based "
            "policy allows the {action} action",
            "AccessDeniedException",
            400,
            "AccessDenied",
            403,
        ),
        "expired_credentials": AwsFault(  # an expired session: the agent gets a new one
            "The security token included in the request is expired", "ExpiredTokenException", 400, "ExpiredToken", 403
        ),
        "unknown_key": AwsFault(  # deleted or mistyped keys
            "The security token included in the request is invalid.",
            "UnrecognizedClientException",
            400,
            "InvalidClientTokenId",
            403,
        ),
        "unsigned": AwsFault(
            "Missing Authentication Token",
            "MissingAuthenticationTokenException",
            400,
            "MissingAuthenticationToken",
            403,
        ),
        "bad_signature": AwsFault(  # a wrong secret access key
            "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
            "Access Key and signing method. Consult the service documentation for details.",
            *_BAD_SIGNATURE,
        ),
        "wrong_scope": AwsFault("Credential should be scoped to correct service: '{service}'. ", *_BAD_SIGNATURE),
        "signature_expired": AwsFault(  # clock_skew; PretendAws.clock_offset causes it too
            "Signature expired: {signed_at} is now earlier than {earliest} ({now} - 5 min.)", *_BAD_SIGNATURE
        ),
        "signature_early": AwsFault(  # clock_skew
            "Signature not yet current: {signed_at} is still later than {latest} ({now} + 5 min.)", *_BAD_SIGNATURE
        ),
        "server_error": AwsFault("An internal error", "ServerException", 500, "InternalFailure", 500),  # aws_error
        "unavailable": AwsFault("Service Unavailable", "ServiceUnavailableException", 503, "ServiceUnavailable", 503),
        "unknown_action": AwsFault("The action is not one of this service", "UnknownOperationException", 400),
        # AssumeRoleWithWebIdentity: retry the first, get a new web token for the next two, the last needs a person
        "idp_communication": AwsFault("Couldn't communicate with the identity provider", "IDPCommunicationError"),
        "invalid_web_token": AwsFault("No OpenIDConnect provider found for this token", "InvalidIdentityToken"),
        "expired_web_token": AwsFault("Token expired: current date must be before it ends", "ExpiredTokenException"),
        "idp_rejected_claim": AwsFault("The claim was rejected", "IDPRejectedClaim", 403),
        # Faults below the protocol
        "silent": Broken.SILENT,  # aws_unreachable
        "reset": Broken.RESET,  # aws_unreachable
        "garbage": GARBAGE,  # aws_error
        "not_found": Answer(404),  # from the metadata service: the instance has no role
    }
)


def refusal(name: str, **details: str) -> Refused:
    """Return the refusal `name` of `AWS_FAULTS`, as an exception to raise."""
    fault = AWS_FAULTS[name]
    if not isinstance(fault, AwsFault):
        raise TypeError(f"{name} is not a refusal by AWS")
    return Refused(fault, **details)


def render(refused: Refused, protocol: Protocol, request_id: str) -> tuple[int, str]:
    """Return the status and body of a refusal."""
    fault = refused.fault
    if protocol is Protocol.JSON:
        return fault.status, json.dumps({"__type": fault.code, "message": refused.message})
    status = fault.query_status or fault.status
    kind = "Receiver" if status >= 500 else "Sender"
    return status, (
        f'<ErrorResponse xmlns="{STS_NAMESPACE}"><Error><Type>{kind}</Type>'
        f"<Code>{fault.query_code or fault.code}</Code><Message>{escape(refused.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
