"""Turns the AWS SDK's exceptions into problems. The SDK's own texts may hold signed headers or a proxy password."""

import os
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    HTTPClientError,
    InvalidProxiesConfigError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnectionError

from agent.edge.aws.replies import server_time
from agent.edge.http import ProxyUnusable, proxy_for
from agent.model import hints
from agent.model.aws_errors import SOMEBODY_ELSE, SUBJECT, AwsRefusal, problem_of
from agent.model.problem import Problem
from agent.model.problems.aws import AwsError, AwsUnreachable
from agent.model.sensitive import Sensitive
from agent.model.text import printable

_TLS_HINT: Final = (
    "ask your network administrator for the CA certificate of the proxy that intercepts TLS, and set AWS_CA_BUNDLE or "
    "SSL_CERT_FILE to its file"
)

_SHORTEST_KEY: Final = 16

TRANSPORT_ERRORS: Final = (HTTPClientError, NoConnectionError, InvalidProxiesConfigError)


@dataclass(frozen=True, slots=True)
class AwsCall:
    """A request to AWS: the action, a description of the caller, and the secrets sent with it."""

    action: str
    principal: str
    secrets: tuple[Sensitive, ...] = ()
    own_keys: bool = False


def problem_from(error: Exception, call: AwsCall, seen_at: datetime, timeout_s: float) -> Problem:
    """Return the problem for any error of the SDK, including those from parsing a reply that is not from AWS."""
    if isinstance(error, ClientError):
        return problem_of(_refusal(error, call, seen_at))
    if isinstance(error, TimeoutError | ReadTimeoutError):
        return AwsUnreachable(SUBJECT, f"AWS did not answer {call.action} within {timeout_s:g} s")
    if isinstance(error, TRANSPORT_ERRORS):
        return _transport_problem(error, call)
    if isinstance(error, BotoCoreError):
        return AwsError(SUBJECT, f"{call.action} could not be called: {clean(str(error), call.secrets)}")
    return AwsError(
        SUBJECT,
        f"the answer to {call.action} is not valid: {type(error).__name__}",
        hint=SOMEBODY_ELSE,
    )


def _refusal(error: ClientError, call: AwsCall, seen_at: datetime) -> AwsRefusal:
    reply: Any = error.response
    metadata = reply.get("ResponseMetadata") or {}
    details = reply.get("Error") or {}
    code = str(details.get("Code") or "")
    # In this protocol the code may be in a header, but the SDK reads it only from the body.
    header = str((metadata.get("HTTPHeaders") or {}).get("x-amzn-errortype") or "")
    if header and (not code or code.isdigit()):
        code = header.partition(":")[0].rpartition("#")[2]
    # Do not mask short secrets here: one may be part of a real error code, which must stay readable.
    long_secrets = [secret for secret in call.secrets if len(secret.reveal()) >= _SHORTEST_KEY]
    return AwsRefusal(
        action=call.action,
        code=printable(clean(code, long_secrets), 80),
        message=clean(str(details.get("Message") or ""), call.secrets),
        status=int(metadata.get("HTTPStatusCode") or 0),
        who=call.principal,
        seen_at=seen_at,
        own_keys=call.own_keys,
        server_time=server_time(reply),
    )


def _transport_problem(error: BotoCoreError, call: AwsCall) -> Problem:
    hint = None
    proxy = _unreached_proxy(error)
    match error:
        case _ if proxy is not None:
            reason, hint = f"the proxy {proxy} cannot be reached{_inner(error)}", hints.PROXY
        case ProxyConnectionError() | InvalidProxiesConfigError():
            reason, hint = f"the proxy did not forward the request{_inner(error)}", hints.PROXY
        case SSLError():
            reason, hint = f"its certificate was not accepted{_inner(error)}", _TLS_HINT
        case ConnectTimeoutError():
            reason = "connecting timed out"
        case ConnectionClosedError():
            reason = "the connection was closed before the answer was complete"
        case NoConnectionError():
            reason = f"no connection{_inner(error)}"
        case _ if isinstance(error.kwargs.get("error"), OSError):
            # For example, a CA bundle that cannot be read.
            reason, hint = f"no connection could be set up{_inner(error)}", _TLS_HINT
        case _ if (fault := _proxy_fault(error)) is not None:
            reason, hint = fault, hints.PROXY
        case _:
            return AwsError(SUBJECT, f"the answer to {call.action} is not HTTP")
    return AwsUnreachable(SUBJECT, f"{call.action} did not reach {_host(error)}: {reason}", hint=hint)


def _unreached_proxy(error: BotoCoreError) -> str | None:
    """Return host and port of a proxy that cannot be reached.

    If the name of the proxy does not resolve, the SDK reports it as if it were AWS's name. Only the host in the inner
    error shows that it is the proxy.
    """
    match error.kwargs.get("error"):
        case aiohttp.ClientProxyConnectionError() as inner:
            return f"{inner.host}:{inner.port}"
        case aiohttp.ClientConnectorDNSError() as inner if inner.host != _host(error).partition(":")[0]:
            return f"{inner.host}:{inner.port}"
    return None


def _proxy_fault(error: BotoCoreError) -> str | None:
    """Return which variable holds an unusable proxy URL. The SDK fails in many different ways on such a URL."""
    if isinstance(error.kwargs.get("error"), aiohttp.ClientResponseError):
        return None  # something answered, so the proxy URL works
    for scheme in ("https", "http"):
        try:
            proxy_for(f"{scheme}://amazonaws.com")
        except ProxyUnusable as unusable:
            return str(unusable)
    return None


def _host(error: Exception) -> str:
    """Return host and port of the request, without a user name that the URL may contain."""
    url = getattr(error, "kwargs", {}).get("endpoint_url")
    try:
        parts = urlsplit(str(url or ""))
        port = parts.port
    except ValueError:
        return "AWS"
    return f"{parts.hostname}:{port}" if port else parts.hostname or "AWS"


def _inner(error: BotoCoreError) -> str:
    """Return the reason from the system or the TLS library. It contains no address."""
    inner = error.kwargs.get("error")
    certificate = getattr(inner, "certificate_error", None)
    system = getattr(inner, "os_error", None) or inner
    status = getattr(inner, "status", None)
    reason = (
        getattr(certificate, "verify_message", None)
        or getattr(system, "verify_message", None)
        or _system_reason(system)
        or (f"status {status}" if status else None)
    )
    return f": {printable(str(reason), 200)}" if reason else ""


def _system_reason(error: object) -> str | None:
    """Return the text for the error number, because asyncio replaces the original text with an address."""
    if not isinstance(error, OSError):
        return None
    # The numbers of these two are not errno values.
    other_numbers = isinstance(error, ssl.SSLError | socket.gaierror)
    return error.strerror if other_numbers or not error.errno else os.strerror(error.errno)


def clean(text: str, secrets: Iterable[Sensitive]) -> str:
    """Mask `secrets` in a text from outside and make it printable."""
    for secret in secrets:
        if secret:
            text = text.replace(secret.reveal(), "***")
    return printable(text)
