"""What AWS can refuse with, in the words of its two protocols, and the table of faults that tests can set."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Final
from xml.sax.saxutils import escape

from agent.demo.faults import GARBAGE, Answer, Broken, Fault

STS_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"


class Protocol(Enum):
    """How a service speaks: ECR in JSON 1.1, STS in the XML query protocol."""

    JSON = "application/x-amz-json-1.1"
    QUERY = "text/xml"


@dataclass(frozen=True, slots=True)
class AwsFault:
    """One refusal; JSON services and STS often name it differently.

    In `message`, `{arn}`, `{action}` and `{resource}` stand for the call's own.
    """

    message: str
    code: str
    status: int = 400
    query_code: str | None = None
    query_status: int | None = None


class Refused(Exception):  # noqa: N818 - the answer of a server, not a fault of this program
    """AWS says no."""

    def __init__(self, fault: AwsFault, **details: str) -> None:
        super().__init__(fault.code)
        self.fault: Final = fault
        self.message: Final = fault.message.format(**details)


_BAD_SIGNATURE: Final = ("InvalidSignatureException", 400, "SignatureDoesNotMatch", 403)

AWS_FAULTS: Final[Mapping[str, AwsFault | Fault]] = MappingProxyType(
    {
        # name                 what the agent should make of it
        "throttled": AwsFault("Rate exceeded", "ThrottlingException", 400, "Throttling", 400),  # aws_throttled
        "access_denied": AwsFault(  # aws_access_denied; of AssumeRoleWithWebIdentity aws_identity_rejected
            "User: {arn} is not authorized to perform: {action} on resource: {resource} because no identity-based "
            "policy allows the {action} action",
            "AccessDeniedException",
            400,
            "AccessDenied",
            403,
        ),
        "expired_credentials": AwsFault(  # a session that ended: get a new one
            "The security token included in the request is expired", "ExpiredTokenException", 400, "ExpiredToken", 403
        ),
        "unknown_key": AwsFault(  # keys that AWS does not know (deleted, mistyped)
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
        "signature_expired": AwsFault(  # clock_skew; comes by itself with PretendAws.clock_offset
            "Signature expired: {signed_at} is now earlier than {earliest} ({now} - 5 min.)", *_BAD_SIGNATURE
        ),
        "signature_early": AwsFault(  # clock_skew
            "Signature not yet current: {signed_at} is still later than {latest} ({now} + 5 min.)", *_BAD_SIGNATURE
        ),
        "server_error": AwsFault("An internal error", "ServerException", 500, "InternalFailure", 500),  # aws_error
        "unavailable": AwsFault("Service Unavailable", "ServiceUnavailableException", 503, "ServiceUnavailable", 503),
        "unknown_action": AwsFault("The action is not one of this service", "UnknownOperationException", 400),
        # AssumeRoleWithWebIdentity: the first can be retried, two need a new web token, the last needs a person
        "idp_communication": AwsFault("Couldn't communicate with the identity provider", "IDPCommunicationError"),
        "invalid_web_token": AwsFault("No OpenIDConnect provider found for this token", "InvalidIdentityToken"),
        "expired_web_token": AwsFault("Token expired: current date must be before it ends", "ExpiredTokenException"),
        "idp_rejected_claim": AwsFault("The claim was rejected", "IDPRejectedClaim", 403),
        # below the protocol
        "silent": Broken.SILENT,  # aws_unreachable
        "reset": Broken.RESET,  # aws_unreachable
        "garbage": GARBAGE,  # aws_error
        "not_found": Answer(404),  # of the metadata service: no role is attached
    }
)


def refusal(name: str, **details: str) -> Refused:
    """The fault of that name, ready to be raised."""
    fault = AWS_FAULTS[name]
    if not isinstance(fault, AwsFault):
        raise TypeError(f"{name} is not something that AWS says")
    return Refused(fault, **details)


def render(refused: Refused, protocol: Protocol, request_id: str) -> tuple[int, str]:
    """Status and body of a refusal."""
    fault = refused.fault
    if protocol is Protocol.JSON:
        return fault.status, json.dumps({"__type": fault.code, "message": refused.message})
    status = fault.query_status or fault.status
    kind = "Receiver" if status >= 500 else "Sender"  # noqa: PLR2004 - from here on HTTP blames the server
    return status, (
        f'<ErrorResponse xmlns="{STS_NAMESPACE}"><Error><Type>{kind}</Type>'
        f"<Code>{fault.query_code or fault.code}</Code><Message>{escape(refused.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
