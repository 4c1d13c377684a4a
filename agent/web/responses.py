"""Builds responses. All of them, errors included, are JSON, are revalidated by caches, and are not sniffed."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from agent.model.text import printable
from agent.services.ports import Log

SECURITY_HEADERS: Final = {"Server": "registry-agent", "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
"""Headers of every response: it is the state of this moment, and browsers must not guess its type."""
_ETAG: Final = re.compile(r'(?:W/)?("[^"]*")')


def error_response(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an error as `{"error": {"code", "message"}}`."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


def bad_request(message: str) -> web.HTTPBadRequest:
    """Return an exception to raise. Its text becomes the error's message."""
    return web.HTTPBadRequest(text=message)


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SECURITY_HEADERS)


def errors(agent_log: Log) -> Middleware:
    """Return the middleware that turns every error into JSON. An internal error's details go to the log only."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as raised:
            return _as_json(request, raised)
        except (asyncio.CancelledError, ConnectionError):  # the client has gone, or the server is shutting down
            raise
        except Exception as error:  # noqa: BLE001 - one failing request must not affect others
            agent_log.error(
                "status.request_failed",
                path=printable(request.path, 100),
                error=type(error).__name__,
                message=printable(str(error)),
            )
            return error_response(
                HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "the agent failed to answer; see its log"
            )

    return middleware


def without_quotes(
    handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """Wrap aiohttp's handler of all requests.

    If there is no route, aiohttp refuses an unknown `Expect` header before any middleware, and quotes it, although it
    may contain a secret.
    """

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPExpectationFailed as raised:
            return _as_json(request, raised)

    return handle


def _as_json(request: web.BaseRequest, raised: web.HTTPException) -> web.Response:
    """Convert what aiohttp raises (unknown path, wrong method, body too large) and `bad_request`."""
    path = printable(request.path, 100)
    match raised:
        case web.HTTPNotFound():
            return error_response(
                raised.status, "not_found", f"there is nothing at {path}; GET /openapi.json lists all paths"
            )
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(raised.allowed_methods))
            message = f"{path} does not support {printable(request.method, 20)}, only {allowed}"
            return error_response(raised.status, "method_not_allowed", message, {"Allow": allowed})
        case web.HTTPRequestEntityTooLarge():
            return error_response(raised.status, "too_large", "the body is longer than 16 KiB")
        case web.HTTPBadRequest():
            return error_response(raised.status, "bad_request", raised.text or "the request is invalid")
    phrase = HTTPStatus(raised.status).phrase
    return error_response(raised.status, phrase.lower().replace(" ", "_"), phrase.lower())


def none_match(request: web.Request, etag: str) -> bool:
    """Return whether the client already has this version, by weak comparison (RFC 9110, section 13.1.2)."""
    given = ",".join(request.headers.getall("If-None-Match", ()))
    return given.strip() == "*" or etag.removeprefix("W/") in _ETAG.findall(given)
