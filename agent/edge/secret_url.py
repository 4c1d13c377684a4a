"""Fetches secrets from a URL: https, http to this machine, or a Unix socket."""

import os
import re
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from agent.edge.ca_certificates import CaFileError
from agent.edge.http import BodyTooLarge, HttpClient, ProxyUnusable, Reply
from agent.edge.token_file import TokenFileError, read_token
from agent.model.document_text import DocumentError, text_of
from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretsUnavailable
from agent.model.secret_formats import FetchResult, read_answer

_DEADLINE_S: Final = 10.0
_LARGEST: Final = 4 * 1024 * 1024
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_ETAG: Final = re.compile(r"[ -~]{1,1000}")
"""An ETag that a request can send back. Any other is ignored, and the next request gets the full answer."""
_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (TimeoutError, f"did not answer within {_DEADLINE_S:.0f} s"),
    (BodyTooLarge, f"sent more than {_LARGEST // 1024 // 1024} MiB"),
    (aiohttp.ClientConnectorDNSError, "does not resolve"),
    (aiohttp.ClientSSLError, "failed the TLS handshake"),
    (aiohttp.ClientProxyConnectionError, "cannot be reached: no connection to the proxy"),
    (aiohttp.ClientConnectorError, "cannot be reached"),
    (aiohttp.ClientConnectionError, "closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "closed the connection in the middle of its answer"),
)
"""The first match counts, because some classes are subclasses of others."""


class SecretUrl:
    """Fetches all secrets, or finds that they have not changed since the answer with `etag`."""

    def __init__(self, http: HttpClient) -> None:
        self._http: Final = http

    async def fetch(self, url: str, token_file: Path | None, etag: str | None) -> FetchResult:
        """Return the answer. Its `parsed` is None if nothing has changed.

        Raises a ProblemError with the reason. Its subject is the URL without user name and query.
        """
        source = without_secrets(url)
        try:
            reply = await self._ask(url, await _headers(token_file, etag))
            return _answer(reply, source, etag)
        except TokenFileError as error:
            hint = "put the token in that file, or fix secrets.token_file; ask your platform team for the token"
            raise ProblemError(SecretsUnavailable(source, str(error), hint=hint)) from error
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            raise ProblemError(SecretsUnavailable(source, f"{source} {_reason(error)}")) from error

    async def _ask(self, url: str, headers: dict[str, str]) -> Reply:
        socket = Path(url.removeprefix("unix:")) if url.startswith("unix:") else None
        return await self._http.request(
            "GET",
            url if socket is None else "http://localhost/v1/secrets",
            headers=headers,
            timeout=_DEADLINE_S,
            limit=_LARGEST,
            unix_socket=socket,
        )


def without_secrets(url: str) -> str:
    """Return the URL without user name, query and fragment, because they may be secret."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


async def _headers(token_file: Path | None, etag: str | None) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if token_file is not None:
        token = await read_token(token_file)
        headers["Authorization"] = f"Bearer {token.reveal()}"
    if etag is not None:
        headers["If-None-Match"] = etag
    return headers


def _answer(reply: Reply, source: str, etag: str | None) -> FetchResult:
    # A 304 is valid only as the answer to a conditional request.
    if reply.status == _NOT_MODIFIED and etag is not None:
        return FetchResult(None, etag)
    if reply.status != _OK:
        fault, hint = _refusal(reply.status)
        raise ProblemError(SecretsUnavailable(source, f"{source} {fault}", hint=hint))
    given = reply.headers.get("ETag", "")
    try:
        return FetchResult(read_answer(text_of(reply.body), source), given if _ETAG.fullmatch(given) else None)
    except DocumentError as error:
        raise ProblemError(SecretsUnavailable(source, f"the answer from {source} {error}")) from error


def _refusal(status: int) -> tuple[str, str | None]:
    match status:
        case 401 | 403:
            hint = "put a valid token into a file, and its path into secrets.token_file; ask your platform team for one"
            return f"rejected the token in secrets.token_file (status {status})", hint
        case 301 | 302 | 303 | 307 | 308:
            fault = f"answered with a redirect (status {status}), and redirects are not followed"
            return fault, "set secrets.url to the address that it redirects to; ask your platform team for it"
        case 404:
            return f"answered with status {status}", "check the path in secrets.url; ask your platform team for it"
    return f"answered with status {status}", None


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        # The notes name a variable with a CA file that cannot be used.
        notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
        return f"has an invalid certificate: {_certificate_fault(error.certificate_error)}{notes}"
    if isinstance(error, ProxyUnusable | CaFileError):
        return f"cannot be reached: {error}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"cannot be reached: the proxy answered with status {error.status}"
    reason = next(
        (reason for kind, reason in _REASONS if isinstance(error, kind)), f"cannot be reached: {type(error).__name__}"
    )
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        # asyncio replaces the text of strerror with an address.
        return f"{reason}: {os.strerror(error.os_error.errno).lower()}"
    return reason


def _certificate_fault(error: Exception) -> str:
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else "it cannot be verified"
