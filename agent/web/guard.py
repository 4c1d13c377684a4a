"""Who may ask over TCP: a browser that was lured there by another site may not, nor may anyone without the token.

The Unix socket needs none of this: its file's mode says who may ask.
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web

from agent.model.loopback import is_loopback
from agent.settings import StatusSettings
from agent.web import responses
from agent.web.token import Bearer, TokenFile

HEALTH: Final = frozenset({"/livez", "/readyz"})
"""Asked by probes, by address and without a token: they tell nothing but yes or no."""
SHELL: Final = frozenset({"/", "/card"})
"""The static shells of page and card; the page asks the person for the token."""
MAY_RENEW: Final = web.RequestKey("may_renew", bool)
"""What the guard notes in a request; on the Unix socket, which has none, everybody may."""
_NAME: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
"""What a Host may look like and be told back: another text may hold what only its sender should read."""
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]@/ ]+)(?::[0-9]*)?")
_CORS_REQUESTS: Final = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-None-Match, Last-Event-ID",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
}


class Guard:
    def __init__(self, settings: Callable[[], StatusSettings], token: TokenFile) -> None:
        self._settings: Final = settings
        self._token: Final = token
        self._known: tuple[StatusSettings, str] | None = None

    @web.middleware
    async def middleware(self, request: web.Request, handler: responses.Handler) -> web.StreamResponse:
        if request.path in HEALTH:
            return await handler(request)
        if self._is_preflight(request):
            return web.Response(status=HTTPStatus.NO_CONTENT, headers=_CORS_REQUESTS)
        bearer = await self._token.check(request.headers.get("Authorization"))
        request[MAY_RENEW] = bearer is Bearer.RIGHT
        return self._refusal(request, bearer) or await handler(request)

    def allows(self, request: web.BaseRequest) -> bool:
        """Whether there is nothing to look at but the `Host`, which is right, and nothing to add to the answer."""
        settings = self._settings()
        return settings.token_file is None and not settings.allow_origins and self._knows_host(request)

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let pages of the allowed origins read the answer, a refusal too."""
        allowed = self._settings().allow_origins
        if not allowed:
            return
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin in allowed:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = "ETag"

    def _is_preflight(self, request: web.Request) -> bool:
        asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        return asks and request.headers.get("Origin") in self._settings().allow_origins

    def _refusal(self, request: web.Request, bearer: Bearer) -> web.Response | None:
        if bearer is Bearer.RIGHT:
            return None
        if not self._knows_host(request):
            host = request.headers.get("Host", "nothing")
            named = host if _NAME.fullmatch(host) else "what is no host name"
            return responses.error_response(
                HTTPStatus.FORBIDDEN,
                "host_not_allowed",
                f"the Host header says {named}, which is not loopback's name: "
                "add it to status.allow_hosts, or send the token of status.token_file",
            )
        if request.path in SHELL:
            return None
        return _without_token(request) if bearer is Bearer.NOT_CONFIGURED else _unauthorized(bearer)

    def _knows_host(self, request: web.BaseRequest) -> bool:
        given, settings = request.headers.getall("Host", ()), self._settings()
        if len(given) != 1:
            return False
        if self._known is not None and self._known[0] is settings and self._known[1] == given[0]:
            return True
        knows = _is_allowed(given[0], settings)
        if knows:  # the last one alone: most ask by one and the same name, and no crowd of names is kept
            self._known = settings, given[0]
        return knows


def _is_allowed(value: str, settings: StatusSettings) -> bool:
    host = _host(value)
    if host is None:
        return False
    listening = _host(settings.listen.lower())
    return is_loopback(host) or host == listening or any(_matches(host, name) for name in settings.allow_hosts)


def _host(value: str) -> str | None:
    """A `Host` header's name without its port; None where it is no host."""
    match = _HOST.fullmatch(value.strip().lower())
    return match[1].removesuffix(".") if match else None


def _matches(host: str, pattern: str) -> bool:
    """`*.example.com` is everything below that domain."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:].lower()) and host != pattern[1:].lower()
    return host == _host(pattern)


def _without_token(request: web.Request) -> web.Response | None:
    nothing_takes_it = request.match_info.http_exception is not None  # which is told as such
    if request.method != "POST" or nothing_takes_it:
        return None
    return responses.error_response(
        HTTPStatus.FORBIDDEN,
        "token_not_configured",
        "over TCP this needs a token: set status.token_file, or ask on the Unix socket (`registry-agent renew`)",
    )


def _unauthorized(bearer: Bearer) -> web.Response:
    if bearer is Bearer.UNREADABLE:
        return responses.error_response(
            HTTPStatus.SERVICE_UNAVAILABLE, "token_unreadable", "the agent cannot read status.token_file; see its owner"
        )
    wrong = bearer is Bearer.WRONG
    challenge = 'Bearer realm="registry-agent"' + (', error="invalid_token"' if wrong else "")
    message = "the token is not the one in status.token_file" if wrong else "send Authorization: Bearer and the token"
    return responses.error_response(HTTPStatus.UNAUTHORIZED, "unauthorized", message, {"WWW-Authenticate": challenge})
