"""Fetches secrets from a URL: https, http to this machine, or a Unix socket."""

import re
from pathlib import Path
from typing import Final

import aiohttp

from agent.edge.http import HttpClient, Reply
from agent.edge.request_faults import reason_of
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

_FULL_HOST: Final = re.compile(r"((?:[\w-]+\.)+[\w-]+|localhost|\[[\da-fA-F:.]+\])(?::\d+)?[/?#]")


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
            message = f"{source} gives no secrets: {reason_of(error, _DEADLINE_S)}"
            raise ProblemError(SecretsUnavailable(source, message)) from error

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
    """Return the URL without user name, query and fragment, because they may be secret.

    A password that is not percent-encoded may contain `/`, `?` or `#`. So nothing before the last `@` is shown. Only a
    full host name is: then the `@` is most likely in the path or query, and nothing after the host is shown.
    """
    scheme, separator, rest = url.partition("://")
    host = _FULL_HOST.match(rest)
    if host and "@" in rest:
        return f"{scheme}{separator}{host[1]}/…"
    return scheme + separator + re.split("[?#]", rest.rpartition("@")[2])[0]


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
