"""A simulated registry without images: it authenticates logins at `/v2/`.

registry = LoginRegistry(BasicAuth({"robot": "secret"}))
async with Listener(registry.handle) as listener:
    docker login listener.address
"""

import base64
import binascii
import json
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from aiohttp import web

_API_VERSION: Final = {"Docker-Distribution-Api-Version": "registry/2.0"}

Auth: TypeAlias = Callable[[web.BaseRequest], Awaitable[str | web.Response]]
"""How a registry authenticates a request.

Returns the user name, or the answer to a request of the authentication itself, such as for a token. Raises `Refusal`.
"""


class Refusal(Exception):  # noqa: N818 - an answer, not an error in this program
    """The registry's answer to a login that it does not accept."""

    def __init__(self, answer: web.Response, username: str | None = None) -> None:
        super().__init__(f"HTTP {answer.status}")
        self.answer: Final = answer
        self.username: Final = username
        """The user whose password was wrong, or None if the request had no password."""


class BasicAuth:
    """Basic authentication, as with htpasswd. `users` maps names to passwords and may change."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self.users: Final = users

    async def __call__(self, request: web.BaseRequest) -> str:
        given = basic(request)
        if given is None or self.users.get(given[0]) != given[1]:
            raise _unauthorized(given, challenge=f'Basic realm="{request.host}"')
        return given[0]


class TokenAuth:
    """As Docker Hub and ghcr.io: `/v2/` refers to `/token`, which checks the password and issues a bearer token."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self.users: Final = users
        self._issued: Final[dict[str, str]] = {}

    async def __call__(self, request: web.BaseRequest) -> str | web.Response:
        if request.path == "/token":
            return await self.token(request)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        username = self._issued.get(token) if kind.lower() == "bearer" else None
        if username is None:
            realm = f'Bearer realm="{request.scheme}://{request.host}/token",service="{request.host}"'
            raise _unauthorized(None, challenge=realm)
        return username

    async def token(self, request: web.BaseRequest) -> web.Response:
        """Issue a token, for a `GET` with Basic or for OAuth2's `POST` of a form.

        See distribution/spec/auth/token and distribution/spec/auth/oauth in the registry's documentation.
        """
        given = basic(request)
        if request.method == "POST":
            form = await request.post()
            given = (str(form.get("username", "")), str(form.get("password", "")))
        if given is None or self.users.get(given[0]) != given[1]:
            raise _unauthorized(given)
        # Real tokens end too. These are used once, in the second after they were issued.
        token = secrets.token_urlsafe(32)
        self._issued[token] = given[0]
        return web.json_response({"token": token, "access_token": token, "expires_in": 300})


class LoginRegistry:
    """One registry. Use `Listener.down()` for an outage.

    Attributes:
        logins: the number of accepted requests, by user name.
        wrong: the number of refused passwords or tokens, by user name.
    """

    def __init__(self, auth: Auth) -> None:
        self._auth: Final = auth
        self.logins: Final[Counter[str]] = Counter()
        self.wrong: Final[Counter[str]] = Counter()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            user = await self._auth(request)
        except Refusal as refusal:
            if refusal.username is not None:
                self.wrong[refusal.username] += 1
            return refusal.answer
        if isinstance(user, web.Response):
            return user
        self.logins[user] += 1
        return await self.content(request)

    async def content(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer an authenticated request."""
        if request.path in ("/v2", "/v2/"):
            return web.Response(text="{}", content_type="application/json", headers=_API_VERSION)
        return errors(404, "NAME_UNKNOWN", "repository name not known to registry")


def basic(request: web.BaseRequest) -> tuple[str, str] | None:
    """The user name and password in the `Authorization` header, or None."""
    kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (username, password) if colon else None


def _unauthorized(given: tuple[str, str] | None, challenge: str | None = None) -> Refusal:
    message = "incorrect username or password" if given and not challenge else "authentication required"
    headers = {"WWW-Authenticate": challenge} if challenge else None
    return Refusal(errors(401, "UNAUTHORIZED", message, headers), given[0] if given else None)


def errors(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error answer of the registry API (OCI distribution spec, error codes)."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]})
    return web.Response(
        status=status, text=body, content_type="application/json", headers={**_API_VERSION, **(headers or {})}
    )
