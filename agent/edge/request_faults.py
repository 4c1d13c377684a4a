"""Explains why one of the agent's own HTTP requests got no usable answer."""

import os
import re
import socket
import ssl
from typing import Final

import aiohttp

from agent.edge.ca_certificates import CaFileError
from agent.model.docker_results import Fault
from agent.model.text import printable

_PYTHON_DETAILS: Final = re.compile(r"\[SSL: \w+\] | \(_ssl\.c:\d+\)")
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")


def fault_of(error: Exception) -> tuple[Fault, str]:
    """Return the kind of failure, and its details without an address or a password."""
    fault, detail = Fault.UNREACHABLE, str(error) or type(error).__name__
    match error:
        case TimeoutError():
            fault, detail = Fault.TIMEOUT, ""
        case aiohttp.ClientConnectorDNSError() | socket.gaierror():
            fault, detail = Fault.DNS, ""
        case aiohttp.ClientConnectorCertificateError():
            fault, detail = Fault.TLS, str(error.certificate_error)
        case ssl.SSLError() | aiohttp.ClientSSLError() | CaFileError():
            fault = Fault.TLS
        case aiohttp.ClientProxyConnectionError():
            detail = f"the proxy {error.host}:{error.port} cannot be reached: {system_reason(error.os_error)}"
        case aiohttp.ClientHttpProxyError():
            detail = f"the proxy answered with status {error.status}"
        case aiohttp.ClientResponseError():  # not HTTP; the rest of its text quotes the answer
            fault, detail = Fault.NONSENSE, error.message.partition("\n")[0].rstrip(":").lower()
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():  # the text may quote a partial answer
            partial = not isinstance(getattr(error, "message", None), str)
            detail = f"it closed the connection {'in the middle of its answer' if partial else 'without an answer'}"
        case OSError():  # aiohttp.ClientOSError is one
            detail = system_reason(error)
    # What the HTTP client knows about the cause: the variable with the proxy, or with a CA file that cannot be used.
    parts = [_PYTHON_DETAILS.sub("", detail), *getattr(error, "__notes__", ())]
    return fault, printable("; ".join(part for part in parts if part))


def reason_of(error: Exception, timeout_s: float) -> str:
    """Return what went wrong, in words that follow the server's name. `timeout_s` is the deadline of the request."""
    fault, detail = fault_of(error)
    match fault:
        case Fault.TIMEOUT:
            return f"no answer within {timeout_s:g} s"
        case Fault.DNS:
            return "its name does not resolve"
        case Fault.NONSENSE:
            return "its answer is not HTTP"
        case Fault.TLS:
            return f"no TLS connection: {detail}"
    return detail


def system_reason(error: OSError) -> str:
    """Return the text of the system error. asyncio adds its own text, once for each address of a name."""
    if isinstance(error, socket.gaierror):
        return "its name does not resolve"
    number = error.errno or next((int(found) for found in _ERRNO.findall(str(error))), None)
    return os.strerror(number).lower() if number else str(error)
