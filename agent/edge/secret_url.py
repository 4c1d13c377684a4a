"""Secrets from an address: https, http to this machine, or a Unix socket."""

import asyncio
import os
import re
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from agent.edge.http import BodyTooLarge, HttpClient, ProxyUnusable, Reply, TokenFileError, read_token_file
from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretsUnavailable
from agent.model.secret_formats import DocumentError, FetchResult, read_answer

_DEADLINE_S: Final = 10.0
_LARGEST: Final = 4 * 1024 * 1024
_OK: Final = 200
_NOT_MODIFIED: Final = 304
_ETAG: Final = re.compile(r"[ -~]{1,1000}")
"""One that a request can carry back; any other is let go, and the next answer comes whole."""
_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (TimeoutError, f"did not answer within {_DEADLINE_S:.0f} s"),
    (BodyTooLarge, f"answered more than {_LARGEST // 1024 // 1024} MiB"),
    (aiohttp.ClientConnectorDNSError, "does not resolve"),
    (aiohttp.ClientSSLError, "does not speak TLS as it should"),
    (aiohttp.ClientProxyConnectionError, "cannot be asked: no connection to the proxy"),
    (aiohttp.ClientConnectorError, "cannot be reached"),
    (aiohttp.ClientConnectionError, "closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "broke off in the middle of its answer"),
)
"""The first that fits: some are kinds of others."""


class SecretUrl:
    """Asks for all secrets, and whether they changed since the answer that bore `etag`."""

    def __init__(self, http: HttpClient) -> None:
        self._http: Final = http

    async def fetch(self, url: str, token_file: Path | None, etag: str | None) -> FetchResult:
        """The answer; its `reading` is None where nothing changed.

        Raises:
            SecretsUnavailable: why not; its subject is the address without user name and query.
        """
        source = without_secrets(url)
        try:
            reply = await self._ask(url, await _headers(token_file, etag))
            return _answer(reply, source, etag)
        except TokenFileError as error:
            raise ProblemError(
                SecretsUnavailable(
                    source,
                    str(error),
                    hint="put the token there, or correct secrets.token_file; whoever runs the platform provides it",
                )
            ) from error
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            raise ProblemError(SecretsUnavailable(source, f"{source} {_why(error)}")) from error

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
    """The address without user name, query and fragment, which may be secret."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


async def _headers(token_file: Path | None, etag: str | None) -> dict[str, str]:
    headers = {"Accept": "application/json"}
    if token_file is not None:
        token = await asyncio.to_thread(read_token_file, token_file)
        headers["Authorization"] = f"Bearer {token.reveal()}"
    if etag is not None:
        headers["If-None-Match"] = etag
    return headers


def _answer(reply: Reply, source: str, etag: str | None) -> FetchResult:
    if reply.status == _NOT_MODIFIED and etag is not None:
        return FetchResult(None, etag)
    if reply.status != _OK:
        raise ProblemError(SecretsUnavailable(source, f"{source} {_refusal(reply.status)}"))
    given = reply.headers.get("ETag", "")
    try:
        return FetchResult(
            read_answer(reply.body.decode("utf-8-sig"), source), given if _ETAG.fullmatch(given) else None
        )
    except UnicodeDecodeError:
        raise ProblemError(SecretsUnavailable(source, f"{source} answered what is not UTF-8")) from None
    except DocumentError as error:
        raise ProblemError(SecretsUnavailable(source, f"the answer of {source} {error}")) from error


def _refusal(status: int) -> str:
    match status:
        case 401 | 403:
            return f"refused secrets.token_file's token (status {status})"
        case 301 | 302 | 303 | 307 | 308:
            return f"redirects elsewhere (status {status}), which is not followed"
    return f"answered with status {status}"


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"has a certificate that does not hold: {_certificate_fault(error.certificate_error)}"
    if isinstance(error, ProxyUnusable):
        return f"cannot be asked: {error}"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"cannot be asked: the proxy answered with status {error.status}"
    words = next(
        (words for kind, words in _WORDS if isinstance(error, kind)), f"cannot be asked: {type(error).__name__}"
    )
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        # asyncio puts an address in the place of strerror's text.
        return f"{words}: {os.strerror(error.os_error.errno).lower()}"
    return words


def _certificate_fault(error: Exception) -> str:
    return error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else "it cannot be verified"
