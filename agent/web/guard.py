"""Access control over TCP: refuses requests that another site makes a browser send, and requests without the token.

The Unix socket needs no guard: the permissions of its file control access.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from agent.model.loopback import is_loopback
from agent.settings import StatusSettings
from agent.web import responses
from agent.web.token import Bearer, TokenFile

HEALTH: Final = frozenset({"/livez", "/readyz"})
"""Paths for health probes, which use an IP address and have no token. They answer only yes or no."""
SHELL: Final = frozenset({"/", "/card"})
"""The static HTML of the page and the card. It contains no status, and the page asks the person for the token."""
MAY_RENEW: Final = web.RequestKey("may_renew", bool)
"""Whether the request may renew. The guard sets it; on the Unix socket, which has no guard, every request may."""
_NAME: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
"""A Host header that an error message may quote. Any other text is not quoted, because it may contain a secret."""
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]@/ ]+)(?::[0-9]*)?")
_CORS_REQUESTS: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-None-Match, Last-Event-ID",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """`socket_only` are paths that exist on the Unix socket only. Here, they never ask for a token."""

    settings: Callable[[], StatusSettings]
    token: TokenFile
    socket_only: frozenset[str] = frozenset()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in self.socket_only:
            raise web.HTTPNotFound
        # Browsers send preflights without credentials, so this comes before the token is checked.
        if self._is_preflight(request):
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=_CORS_REQUESTS)
        if request.path in HEALTH:
            return await handler(request)
        bearer = await self.token.check(request.headers.get("Authorization"))
        request[MAY_RENEW] = bearer is Bearer.RIGHT
        return self._refusal(request, bearer) or await handler(request)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let pages of the allowed origins read the answer, even if it is an error."""
        allowed = self.settings().allow_origins
        if not allowed:
            return
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin in allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "ETag"

    def _is_preflight(self, request: web.Request) -> bool:
        asked = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return asked and request.headers.get("Origin") in self.settings().allow_origins

    def _refusal(self, request: web.Request, bearer: Bearer) -> web.Response | None:
        # The right token makes any Host safe: a page that rebinds its name to loopback does not have the token.
        if bearer is Bearer.RIGHT:
            return None
        if not self._knows_host(request):
            host = request.headers.get("Host", "missing")
            quoted = host if _NAME.fullmatch(host) else "not a host name"
            return responses.error_response(
                HTTPStatus.FORBIDDEN,
                "host_not_allowed",
                f"the Host header ({quoted}) is not allowed: "
                "add the name to status.allow_hosts, or send the token from status.token_file",
            )
        if request.path in SHELL:
            return None
        return _without_token(request) if bearer is Bearer.NOT_CONFIGURED else _unauthorized(bearer)

    def _knows_host(self, request: web.Request) -> bool:
        settings, given = self.settings(), request.headers.getall("Host", ())
        # With two, a proxy may have checked the other one.
        host = _host(given[0]) if len(given) == 1 else None
        if host is None:
            return False
        known = is_loopback(host) or host == _host(settings.listen)
        return known or any(_matches(host, name) for name in settings.allow_hosts)


def _host(value: str) -> str | None:
    """Return the name in a `Host` header without the port, or None if it is not a valid host."""
    match = _HOST.fullmatch(value.strip().lower())
    return match[1].removesuffix(".") if match else None


def _matches(host: str, pattern: str) -> bool:
    """Return whether the pattern matches. `*.example.com` matches every name below that domain."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:].lower()) and host != pattern[1:].lower()
    return host == _host(pattern)


def _without_token(request: web.Request) -> web.Response | None:
    no_route = request.match_info.http_exception is not None  # answered with 404 or 405 later
    if request.method != "POST" or no_route:
        return None
    return responses.error_response(
        HTTPStatus.FORBIDDEN,
        "token_not_configured",
        "over TCP this needs a token: set status.token_file, or use the Unix socket (`registry-agent renew`)",
    )


def _unauthorized(bearer: Bearer) -> web.Response:
    if bearer is Bearer.UNREADABLE:
        message = "the agent cannot read status.token_file"
        return responses.error_response(HTTPStatus.SERVICE_UNAVAILABLE, "token_unreadable", message)
    wrong = bearer is Bearer.WRONG
    challenge = 'Bearer realm="registry-agent"' + (', error="invalid_token"' if wrong else "")
    message = "the token is not the one in status.token_file" if wrong else "send Authorization: Bearer and the token"
    return responses.error_response(HTTPStatus.UNAUTHORIZED, "unauthorized", message, {"WWW-Authenticate": challenge})
