"""Sends the requests that lead to a cloud's token, and turns each answer into a value."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import aiohttp

from agent.edge.ca_certificates import CaFileError
from agent.edge.http import HttpClient
from agent.edge.request_faults import fault_of, reason_of
from agent.model.cloud_errors import CloudErrors
from agent.model.cloud_reply import LONGEST_TEXT, CloudReply, fields_of
from agent.model.docker_results import Fault
from agent.model.http_headers import parse_date, parse_retry_after
from agent.model.problem import Problem, ProblemError
from agent.model.text import printable

_LARGEST: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class CloudRequest:
    """One request. With a `form`, it is a POST of that form.

    Attributes:
        action: what it asks, for messages.
        direct: send it without a proxy. Metadata services are on this machine or its host.
    """

    action: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    body: bytes | None = None
    direct: bool = False
    ca_files: Iterable[Path] = ()


class NoAnswerError(Exception):
    """There was no answer. `fault` is its kind, and `detail` has the words for it."""

    def __init__(self, action: str, fault: Fault, detail: str) -> None:
        super().__init__(f"{action}: {detail}")
        self.fault: Final = fault
        self.detail: Final = detail


@dataclass(frozen=True, slots=True)
class CloudHttp:
    """Sends one request at a time to the services of one cloud, without redirects, within `timeout_s`.

    `scrub` masks the known secrets in the answers.
    """

    http: HttpClient
    now: Callable[[], datetime]
    timeout_s: float
    errors: CloudErrors
    scrub: Callable[[str], str]

    async def ask(self, request: CloudRequest, explain: Callable[[CloudReply], Problem | None]) -> CloudReply:
        """Return the answer, if it has status 200. For `explain`, see `CloudErrors.problem`.

        Raises:
            ProblemError: it has another one, or there is no answer.
        """
        try:
            reply = await self.send(request)
        except NoAnswerError as error:
            raise self.errors.no_answer(error) from None
        if not reply.ok:
            raise ProblemError(self.errors.problem(reply, explain))
        return reply

    async def send(self, request: CloudRequest) -> CloudReply:
        """Return the answer, whatever its status.

        Raises:
            NoAnswerError: there was none, in time or at all.
        """
        headers, body = dict(request.headers), request.body
        if request.form is not None:
            headers["Content-Type"], body = "application/x-www-form-urlencoded", urlencode(request.form).encode()
        try:
            reply = await self.http.request(
                "GET" if body is None else "POST",
                request.url,
                headers={"Accept": "application/json", **headers},
                body=body,
                timeout=self.timeout_s,
                limit=_LARGEST,
                direct=request.direct,
                ca_files=request.ca_files,
            )
        except (TimeoutError, OSError, ValueError, aiohttp.ClientError, CaFileError) as error:
            # Not chained: the error's frames hold the tokens that were sent.
            detail = self.scrub(reason_of(error, self.timeout_s))
            raise NoAnswerError(request.action, fault_of(error)[0], detail) from None
        now = self.now()
        return CloudReply(
            action=request.action,
            status=reply.status,
            seen_at=now,
            fields=fields_of(reply.body),
            text=printable(reply.body.decode(errors="replace"), LONGEST_TEXT),
            body=reply.body,
            retry_after=parse_retry_after(reply.headers.get("Retry-After"), now),
            server_time=parse_date(reply.headers.get("Date")),
            flavor=reply.headers.get("Metadata-Flavor", ""),
            challenge=reply.headers.get("WWW-Authenticate", ""),
            scrub=self.scrub,
        )
