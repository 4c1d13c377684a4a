"""The AWS SDK's exceptions as problems: in our words, since its own may hold signed headers or a proxy's password."""

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

from agent.edge.aws.ecr_token import server_time
from agent.edge.http import ProxyUnusable, proxy_for
from agent.model import hints
from agent.model.aws_errors import SOMEBODY_ELSE, SUBJECT, AwsRefusal, problem_of
from agent.model.problem import Problem
from agent.model.problems.aws import AwsError, AwsUnreachable
from agent.model.sensitive import Sensitive
from agent.model.text import printable

_TLS_HINT: Final = (
    "a proxy with a CA of its own may stand between: get that CA's certificate from the network's administrator and "
    "name the file in AWS_CA_BUNDLE or SSL_CERT_FILE"
)

_AS_LONG_AS_KEYS: Final = 16

TRANSPORT_ERRORS: Final = (HTTPClientError, NoConnectionError, InvalidProxiesConfigError)


@dataclass(frozen=True, slots=True)
class AwsCall:
    """What AWS is asked, as whom (in words), and which secrets go with it."""

    action: str
    principal: str
    secrets: tuple[Sensitive, ...] = ()
    own_keys: bool = False


def problem_from(error: Exception, call: AwsCall, seen_at: datetime, timeout_s: float) -> Problem:
    """Whatever the SDK raised, or tripped over in a reply that is not AWS's."""
    if isinstance(error, ClientError):
        return problem_of(_refusal(error, call, seen_at))
    if isinstance(error, TimeoutError | ReadTimeoutError):
        return AwsUnreachable(SUBJECT, f"AWS did not answer {call.action} within {timeout_s:g} s")
    if isinstance(error, TRANSPORT_ERRORS):
        return _transport_problem(error, call)
    if isinstance(error, BotoCoreError):
        return AwsError(SUBJECT, f"{call.action} could not be asked: {clean(str(error), call.secrets)}")
    return AwsError(
        SUBJECT,
        f"the answer to {call.action} cannot be understood: {type(error).__name__}",
        hint=SOMEBODY_ELSE,
    )


def _refusal(error: ClientError, call: AwsCall, seen_at: datetime) -> AwsRefusal:
    reply: Any = error.response
    metadata = reply.get("ResponseMetadata") or {}
    told = reply.get("Error") or {}
    code = str(told.get("Code") or "")
    # The SDK reads the code of this protocol from the body only.
    header = str((metadata.get("HTTPHeaders") or {}).get("x-amzn-errortype") or "")
    if header and (not code or code.isdigit()):
        code = header.partition(":")[0].rpartition("#")[2]
    # A short secret may be a part of a real code, by which the refusal is told.
    long_ones = [secret for secret in call.secrets if len(secret.reveal()) >= _AS_LONG_AS_KEYS]
    return AwsRefusal(
        action=call.action,
        code=printable(clean(code, long_ones), 80),
        message=clean(str(told.get("Message") or ""), call.secrets),
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
            reason, hint = f"the proxy did not let it through{_inner(error)}", hints.PROXY
        case SSLError():
            reason, hint = f"its certificate was not accepted{_inner(error)}", _TLS_HINT
        case ConnectTimeoutError():
            reason = "no connection in time"
        case ConnectionClosedError():
            reason = "the connection was closed before the answer was whole"
        case NoConnectionError():
            reason = f"no connection{_inner(error)}"
        case _ if isinstance(error.kwargs.get("error"), OSError):
            # A CA bundle that cannot be read.
            reason, hint = f"no connection could be set up{_inner(error)}", _TLS_HINT
        case _ if (fault := _proxy_fault(error)) is not None:
            reason, hint = fault, hints.PROXY
        case _:
            return AwsError(SUBJECT, f"the answer to {call.action} is not HTTP")
    return AwsUnreachable(SUBJECT, f"{call.action} did not reach {_host(error)}: {reason}", hint=hint)


def _unreached_proxy(error: BotoCoreError) -> str | None:
    """Host and port of a proxy to which there is no connection.

    Where its name does not resolve the SDK says so as if it were of AWS's name; the error's host is the proxy's all the
    same.
    """
    match error.kwargs.get("error"):
        case aiohttp.ClientProxyConnectionError() as inner:
            return f"{inner.host}:{inner.port}"
        case aiohttp.ClientConnectorDNSError() as inner if inner.host != _host(error).partition(":")[0]:
            return f"{inner.host}:{inner.port}"
    return None


def _proxy_fault(error: BotoCoreError) -> str | None:
    """Which variable names a proxy that cannot be used; the SDK trips over its value in many ways."""
    if isinstance(error.kwargs.get("error"), aiohttp.ClientResponseError):
        return None  # something did answer
    for scheme in ("https", "http"):
        try:
            proxy_for(f"{scheme}://amazonaws.com")
        except ProxyUnusable as unusable:
            return str(unusable)
    return None


def _host(error: Exception) -> str:
    """Host and port that were asked, without a user name that the URL may hold."""
    url = getattr(error, "kwargs", {}).get("endpoint_url")
    try:
        parts = urlsplit(str(url or ""))
        port = parts.port
    except ValueError:
        return "AWS"
    return f"{parts.hostname}:{port}" if port else parts.hostname or "AWS"


def _inner(error: BotoCoreError) -> str:
    """The system's own word for what went wrong, which names no address."""
    inner = error.kwargs.get("error")
    certificate = getattr(inner, "certificate_error", None)
    system = getattr(inner, "os_error", None) or inner
    status = getattr(inner, "status", None)
    reason = (
        getattr(certificate, "verify_message", None)
        or getattr(system, "verify_message", None)
        or _system_word(system)
        or (f"status {status}" if status else None)
    )
    return f": {printable(str(reason), 200)}" if reason else ""


def _system_word(error: object) -> str | None:
    """By its number: asyncio puts an address in the place of the text."""
    if not isinstance(error, OSError):
        return None
    others_number = isinstance(error, ssl.SSLError | socket.gaierror)
    return error.strerror if others_number or not error.errno else os.strerror(error.errno)


def clean(text: str, secrets: Iterable[Sensitive]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret.reveal(), "***")
    return printable(text)
