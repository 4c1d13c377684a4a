"""Turns the AWS SDK's exceptions into problems. The SDK's own texts may hold signed headers or a proxy password."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from agent.edge.aws.replies import server_time
from agent.edge.request_faults import fault_of
from agent.model import hints
from agent.model.aws_errors import SOMEBODY_ELSE, SUBJECT, AwsRefusal, problem_of
from agent.model.aws_keys import KeyPlace
from agent.model.docker_results import Fault
from agent.model.problem import Problem
from agent.model.problems.aws import AwsBlockedBySettings, AwsError, AwsUnreachable, NotAws

_TLS_HINT: Final = (
    "ask your network administrator for the CA certificate of the proxy that intercepts TLS, and set AWS_CA_BUNDLE or "
    "SSL_CERT_FILE to its file"
)

_LONGEST: Final = 4000


@dataclass(frozen=True, slots=True)
class AwsCall:
    """A request to AWS: the action, a description of the caller, and what the keys are."""

    action: str
    principal: str
    own_keys: bool = False
    key_place: KeyPlace | None = None
    temporary: bool = False


def problem_from(
    error: Exception, call: AwsCall, seen_at: datetime, timeout_s: float, scrub: Callable[[str], str]
) -> Problem:
    """Return the problem for any error of the SDK, including those from parsing a reply that is not from AWS.

    `scrub` removes known secrets from what AWS answers, or from what the SDK quotes.
    """
    if isinstance(error, ClientError):
        return problem_of(_refusal(error, call, seen_at, scrub))
    if isinstance(error, TimeoutError):
        return AwsUnreachable(SUBJECT, f"AWS did not answer {call.action} within {timeout_s:g} s")
    if isinstance(error, EndpointConnectionError):
        inner = error.kwargs["error"]
        if isinstance(inner, TimeoutError) and not isinstance(inner, aiohttp.ConnectionTimeoutError):
            return problem_from(inner, call, seen_at, timeout_s, scrub)
        host = urlsplit(str(error.kwargs["endpoint_url"])).netloc.rpartition("@")[2]
        return _no_answer(inner, call, host, scrub)
    if isinstance(error, BotoCoreError):
        return AwsError(SUBJECT, f"{call.action} could not be called: {scrub(str(error))}")
    return AwsError(SUBJECT, f"the answer to {call.action} is not valid: {type(error).__name__}", hint=SOMEBODY_ELSE)


def _refusal(error: ClientError, call: AwsCall, seen_at: datetime, scrub: Callable[[str], str]) -> AwsRefusal:
    reply: Any = error.response
    metadata = reply.get("ResponseMetadata") or {}
    details = reply.get("Error") or {}
    code = str(details.get("Code") or "")
    # In this protocol the code may be in a header, but the SDK reads it only from the body.
    header = str((metadata.get("HTTPHeaders") or {}).get("x-amzn-errortype") or "")
    if header and (not code or code.isdigit()):
        code = header.partition(":")[0].rpartition("#")[2]
    return AwsRefusal(
        action=call.action,
        code=code[:_LONGEST],
        message=str(details.get("Message") or "")[:_LONGEST],
        status=int(metadata.get("HTTPStatusCode") or 0),
        who=call.principal,
        seen_at=seen_at,
        own_keys=call.own_keys,
        server_time=server_time(reply),
        key_place=call.key_place,
        temporary=call.temporary,
        scrub=scrub,
    )


def _no_answer(error: Exception, call: AwsCall, host: str, scrub: Callable[[str], str]) -> Problem:
    fault, detail = fault_of(error)
    shown = reason = scrub(detail)
    hint = None
    kind: type[AwsUnreachable | NotAws] = AwsUnreachable
    match fault:
        case Fault.UNREACHABLE if hints.ABOUT_PROXY.search(detail) and hints.FROM_CAPTIVE_PORTAL.search(detail):
            kind, hint = NotAws, hints.CAPTIVE_PORTAL
        case Fault.UNREACHABLE if hints.ABOUT_PROXY.search(detail) and hints.PROXY_RULES_REFUSE.search(detail):
            hint = hints.proxy_rules(host)
        case Fault.UNREACHABLE if hints.ABOUT_PROXY.search(detail):
            kind, hint = AwsBlockedBySettings, hints.PROXY
        case Fault.NONSENSE:
            return AwsError(SUBJECT, f"the answer to {call.action} is not HTTP")
        case Fault.TIMEOUT:
            reason = "connecting timed out"
        case Fault.DNS:
            reason = "its name does not resolve"
        case Fault.TLS if hints.NAMES_CA_VARIABLE.search(detail):
            kind, reason, hint = AwsBlockedBySettings, f"no secure connection: {shown}", hints.CA_VARIABLE
        case Fault.TLS:
            reason, hint = f"no secure connection: {shown}", _TLS_HINT
    return kind(SUBJECT, f"{call.action} did not reach {host}: {reason}", hint=hint)
