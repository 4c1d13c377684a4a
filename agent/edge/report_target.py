"""Pushes the status to `report.url`: one POST, and a clear message if it fails."""

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from agent.edge.http import HttpClient, Reply
from agent.edge.request_faults import reason_of
from agent.edge.secret_url import without_secrets
from agent.edge.token_file import TokenFileError, read_token
from agent.model.loopback import is_loopback
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import ReportFailed

_TIMEOUT_S: Final = 10.0


class ReportTarget:
    """Posts documents. Its problems show the URL without user name and query, because these may hold a secret."""

    def __init__(self, http: HttpClient, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._http: Final = http
        self._timeout_s: Final = timeout_s

    async def send(self, url: str, token_file: Path | None, document: bytes) -> None:
        """Deliver `document`, which is JSON, to `url` (`https`, `http`, or `unix:/path`).

        Raises a ProblemError with ReportFailed for anything but a 2xx answer.
        """
        subject = without_secrets(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                reply = await self._post(url, token_file, document)
        except (aiohttp.ClientError, OSError) as fault:  # TimeoutError and TokenFileError are OSErrors
            message = f"the status cannot be pushed to {subject}: {reason_of(fault, self._timeout_s)}"
            raise ProblemError(ReportFailed(subject, message)) from fault
        if not HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
            message = f"the status was not accepted: {subject} answered {_answer(reply.status)}"
            raise ProblemError(ReportFailed(subject, message))

    async def _post(self, url: str, token_file: Path | None, document: bytes) -> Reply:
        headers = {"Content-Type": "application/json"}
        if token_file is not None:
            # Plain http would show the token to every machine on the way.
            if not _is_private(url):
                raise TokenFileError("the token is not sent over plain http to another machine; use https")
            token = await read_token(token_file)
            headers["Authorization"] = f"Bearer {token.reveal()}"
        unix_socket = Path(url.removeprefix("unix:")) if url.startswith("unix:") else None
        return await self._http.request(
            "POST",
            "http://localhost/" if unix_socket else url,
            headers=headers,
            body=document,
            timeout=self._timeout_s,
            unix_socket=unix_socket,
        )


def _is_private(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme != "http" or is_loopback(parts.hostname or "")


def _answer(status: int) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"{status}, and redirects are not followed"
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
