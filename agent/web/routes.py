"""The HTTP routes. `openapi.json` describes them for clients."""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from importlib import resources
from typing import Final

from aiohttp import HttpVersion11, web

from agent.blocking import BlockingCalls
from agent.model.registry import HostnameError, parse_hostname
from agent.model.snapshot import Snapshot
from agent.model.status import Phase
from agent.services.ports import Board, StatusDocument
from agent.web import responses
from agent.web.events import EventStream
from agent.web.guard import MAY_RENEW
from agent.web.pages import Pages

BODY_LIMIT: Final = 16 << 10
LONGEST_WAIT_S: Final = 60.0
_LOG_LINES: Final = 1000
_BODY_PATIENCE_S: Final = 10.0
_FIRST_SECRETS_S: Final = 5.0
"""How long a renewal waits until an agent that has just started has read its secrets."""
_CALLS: Final = BlockingCalls("metrics", limit=2)
_REVISION: Final = re.compile(r"-?[0-9]{1,15}")
_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,40})?(?:e-[0-9]{1,3})?")


@dataclass(eq=False)
class Routes:
    """Answers each path.

    Args:
        renew: starts to renew one registry, or all, and returns the ids of the attempts. It raises LookupError if there
            is no secret for the registry.
        recent_events: returns the last events as JSON lines, the newest last.
        timeline: returns what changed in the last day as JSON lines, the newest last.
        metrics: returns the metrics as Prometheus text, and its content type. It may block, so it runs in a thread.
    """

    board: Board
    document: StatusDocument
    renew: Callable[[str | None], list[str]]
    recent_events: Callable[[int], Sequence[str]]
    timeline: Callable[[], Sequence[str]]
    metrics: Callable[[Snapshot], tuple[bytes, str]]
    pages: Pages
    events: EventStream = field(init=False)

    def __post_init__(self) -> None:
        self.events = EventStream(self.board, self.document)

    def table(self) -> list[web.RouteDef]:
        """Return all routes. Every `GET` route also answers `HEAD`."""
        routes = [
            web.get("/v1/status", self._status),
            web.get("/v1/events", self.events.answer),
            web.get("/v1/logs", self._logs),
            web.get("/v1/timeline", self._timeline_route),
            web.post("/v1/renew", self._renew),
            web.get("/v1/rights", _rights),
            web.get("/livez", self._livez),
            web.get("/readyz", self._readyz),
            web.get("/metrics", self._prometheus),
            web.get("/openapi.json", _openapi),
            web.get("/", self.pages.page),
            web.get("/card", self.pages.card),
        ]
        # aiohttp itself would answer the header `Expect` before the guard has checked the request.
        return [
            web.RouteDef(each.method, each.path, each.handler, {"expect_handler": _continue_later}) for each in routes
        ]

    async def _status(self, request: web.Request) -> web.Response:
        snapshot = await self._wait_for_change(request)
        headers = {"ETag": snapshot.etag}
        if responses.none_match(request, snapshot.etag):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(
            body=self.document.encode(snapshot), headers=headers, content_type="application/json", charset="utf-8"
        )

    async def _wait_for_change(self, request: web.Request) -> Snapshot:
        """Return the current snapshot.

        With `since` and `wait`, first wait that many seconds at most for a revision other than `since`.
        """
        since = _parameter(request, "since", _REVISION, "a revision, which is a whole number")
        wait = _parameter(request, "wait", _SECONDS, "a number of seconds")
        if since is not None and wait is not None:
            try:
                async with asyncio.timeout(min(float(wait), LONGEST_WAIT_S)):
                    return await self.board.changed(int(since))
            except TimeoutError:
                pass
        return self.board.snapshot

    async def _logs(self, request: web.Request) -> web.Response:
        lines = _parameter(request, "lines", re.compile(r"[0-9]{1,9}"), "a whole number")
        number = _LOG_LINES if lines is None else min(int(lines), _LOG_LINES)
        return _lines(self.recent_events(number) if number else ())

    async def _timeline_route(self, _request: web.Request) -> web.Response:
        return _lines(self.timeline())

    async def _renew(self, request: web.Request) -> web.Response:
        hostname = _hostname(await _body(request))
        snapshot = await self._wait_for_secrets(hostname)
        try:
            attempt_ids = self.renew(hostname)
        except LookupError:
            known = ", ".join(row.hostname for row in snapshot.registries) or "none"
            pending = "; not every secret source has answered yet" if snapshot.phase is Phase.STARTING else ""
            message = f"there is no secret for {hostname}; there are secrets for: {known}{pending}"
            return responses.error_response(HTTPStatus.NOT_FOUND, "unknown_registry", message)
        return web.json_response({"attempt_ids": attempt_ids}, status=HTTPStatus.ACCEPTED)

    async def _wait_for_secrets(self, hostname: str | None) -> Snapshot:
        """Return the snapshot once the registry, or any if None, is known, or once all secret sources were read.

        It waits `_FIRST_SECRETS_S` at most.
        """
        snapshot = self.board.snapshot
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_SECRETS_S):
                while snapshot.phase is Phase.STARTING and not any(
                    hostname in (None, row.hostname) for row in snapshot.registries
                ):
                    snapshot = await self.board.changed(snapshot.revision)
        return snapshot

    async def _livez(self, _request: web.Request) -> web.Response:
        # It checks nothing: a restart of the agent would not fix a registry.
        return web.json_response({"live": True})

    async def _readyz(self, _request: web.Request) -> web.Response:
        phase = self.board.snapshot.phase
        ready = phase is Phase.RUNNING
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response({"ready": ready, "phase": phase.value}, status=status)

    async def _prometheus(self, _request: web.Request) -> web.Response:
        # In a thread, because the first request loads the library.
        body, content_type = await _CALLS.call("metrics", lambda: self.metrics(self.board.snapshot), timeout=None)
        return web.Response(body=body, headers={"Content-Type": content_type})


async def _rights(request: web.Request) -> web.Response:
    """Answer what this client may do, so that a page knows whether to show a button."""
    return web.json_response({"renew": request.get(MAY_RENEW, True)})


def _lines(lines: Sequence[str]) -> web.Response:
    text = "".join(f"{line}\n" for line in lines)
    return web.Response(body=text.encode(errors="replace"), content_type="application/x-ndjson", charset="utf-8")


async def _openapi(_request: web.Request) -> web.Response:
    file = resources.files("agent.web").joinpath("openapi.json")
    body = await _CALLS.call("openapi", file.read_bytes, timeout=None)
    return web.Response(body=body, content_type="application/json", charset="utf-8")


def _parameter(request: web.Request, name: str, pattern: re.Pattern[str], meaning: str) -> str | None:
    value = request.query.get(name)
    if value is not None and not pattern.fullmatch(value):
        raise responses.bad_request(f"the parameter {name} must be {meaning}")
    return value


async def _continue_later(_request: web.Request) -> None:
    """Do not send `100 Continue` yet: `_body` sends it, once the guard has allowed the request. Ignore all else."""


async def _body(request: web.Request) -> object:
    if request.headers.get("Expect", "").lower() == "100-continue" and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # otherwise aiohttp assumes that the response has started
    try:
        async with asyncio.timeout(_BODY_PATIENCE_S):
            content = await request.read()
        return json.loads(content) if content.strip() else {}
    except (ValueError, RecursionError):
        raise responses.bad_request("the body is not JSON") from None
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except web.RequestPayloadError:
        raise responses.bad_request("the body is broken") from None


def _hostname(body: object) -> str | None:
    """Return the canonical name of the requested registry, or None for all."""
    if not isinstance(body, dict):
        raise responses.bad_request('the body must be an object, such as {} or {"hostname": "ghcr.io"}')
    hostname = body.get("hostname")
    if hostname is None:
        return None
    if not isinstance(hostname, str):
        raise responses.bad_request("hostname must be a string")
    try:
        return parse_hostname(hostname).hostname
    except HostnameError as error:
        raise responses.bad_request(str(error)) from error
