"""A simulated registry: it authenticates logins at `/v2/`, and forwards other requests to a real registry, if given.

registry = PretendRegistry(BasicAuth({"robot": "secret"}))
async with Listener(registry.handle) as listener:
    docker login listener.address
"""

import base64
import binascii
import json
import secrets
from collections import Counter
from collections.abc import Mapping
from typing import Final, Protocol

from aiohttp import web

from agent.demo.faults import Fault, act_out
from agent.demo.tokens import Verdict
from agent.demo.upstream import Upstream

ECR_EXPIRED: Final = "Your authorization token has expired. Reauthenticate and try again."

_API_VERSION: Final = {"Docker-Distribution-Api-Version": "registry/2.0"}


class Refusal(Exception):  # noqa: N818 - an answer, not an error in this program
    """The registry's answer to a login that it does not accept."""

    def __init__(self, answer: web.Response, username: str | None = None) -> None:
        super().__init__(f"HTTP {answer.status}")
        self.answer: Final = answer
        self.username: Final = username
        """The user whose password was wrong, or None if the request had no password."""


class Auth(Protocol):
    """How a registry authenticates requests."""

    async def login(self, request: web.BaseRequest) -> str:
        """Authenticate a request. Returns the user name.

        Raises:
            Refusal: the login is not accepted; it has the registry's answer.
        """
        ...

    async def own_answer(self, request: web.BaseRequest) -> web.Response | None:
        """The answer to a request of the authentication itself, such as for a token. None for other requests."""
        ...


class BasicAuth:
    """Basic authentication, as with htpasswd. `users` maps names to passwords and may change."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self.users: Final = users

    async def login(self, request: web.BaseRequest) -> str:
        given = basic(request)
        challenge = {"WWW-Authenticate": f'Basic realm="{request.host}"'}
        if given is None:
            raise Refusal(errors(401, "UNAUTHORIZED", "authentication required", challenge))
        if self.users.get(given[0]) != given[1]:
            raise Refusal(errors(401, "UNAUTHORIZED", "authentication required", challenge), given[0])
        return given[0]

    async def own_answer(self, _request: web.BaseRequest) -> web.Response | None:
        return None


class TokenAuth:
    """As Docker Hub and ghcr.io: `/v2/` refers to `/token`, which checks the password and issues a bearer token."""

    def __init__(self, users: Mapping[str, str], *, token_life_s: int = 300) -> None:
        self.users: Final = users
        self._life_s: Final = token_life_s
        self._issued: Final[dict[str, str]] = {}

    async def login(self, request: web.BaseRequest) -> str:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        username = self._issued.get(token) if kind.lower() == "bearer" else None
        if username is None:
            realm = f'Bearer realm="{request.scheme}://{request.host}/token",service="{request.host}"'
            raise Refusal(errors(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": realm}))
        return username

    async def own_answer(self, request: web.BaseRequest) -> web.Response | None:
        """Issue a token, for a `GET` with Basic or for OAuth2's `POST` of a form.

        See distribution/spec/auth/token and distribution/spec/auth/oauth in the registry's documentation.
        """
        if request.path != "/token":
            return None
        given = basic(request)
        if request.method == "POST":
            form = await request.post()
            given = (str(form.get("username", "")), str(form.get("password", "")))
        if given is None:
            raise Refusal(errors(401, "UNAUTHORIZED", "authentication required"))
        if self.users.get(given[0]) != given[1]:
            raise Refusal(errors(401, "UNAUTHORIZED", "incorrect username or password"), given[0])
        token = secrets.token_urlsafe(32)
        self._issued[token] = given[0]
        return web.json_response({"token": token, "access_token": token, "expires_in": self._life_s})


class TokenVerifier(Protocol):
    """Knows which ECR tokens are valid, such as `PretendAws`."""

    def valid(self, username: str, password: str, region: str | None = None) -> Verdict: ...


class EcrAuth:
    """As ECR: Basic with user `AWS` and a token that AWS issued for this region (`public` for ECR Public)."""

    def __init__(self, aws: TokenVerifier, region: str) -> None:
        self._aws: Final = aws
        self._region: Final = region

    async def login(self, request: web.BaseRequest) -> str:
        given = basic(request)
        challenge = {
            "WWW-Authenticate": f'Basic realm="{request.scheme}://{request.host}/",service="ecr.amazonaws.com"'
        }
        if given is None:
            raise Refusal(errors(401, "UNAUTHORIZED", "Not Authorized", challenge))
        verdict = self._aws.valid(*given, self._region)
        if verdict is Verdict.OK:
            return given[0]
        if verdict is Verdict.EXPIRED:
            raise Refusal(errors(403, "DENIED", ECR_EXPIRED), given[0])
        if verdict is Verdict.FOREIGN:
            raise Refusal(web.Response(status=400), given[0])
        raise Refusal(errors(401, "UNAUTHORIZED", "Not Authorized", challenge), given[0])

    async def own_answer(self, _request: web.BaseRequest) -> web.Response | None:
        return None


class PretendRegistry:
    """One registry. While `fault` is not None, it is the answer to every request.

    Without an upstream it has no images: `/v2/` works, everything else is 404. Use `Listener.down()` for an outage.

    Attributes:
        logins: the number of accepted requests, by user name.
        wrong: the number of refused passwords or tokens, by user name.
    """

    def __init__(self, auth: Auth | None, *, upstream: Upstream | None = None) -> None:
        self._auth: Final = auth
        self._upstream: Final = upstream
        self.fault: Fault | None = None
        self.logins: Final[Counter[str]] = Counter()
        self.wrong: Final[Counter[str]] = Counter()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.fault is not None:
            return await act_out(self.fault, request)
        if self._auth is not None:
            try:
                answer = await self._auth.own_answer(request)
                if answer is not None:
                    return answer
                self.logins[await self._auth.login(request)] += 1
            except Refusal as refusal:
                if refusal.username is not None:
                    self.wrong[refusal.username] += 1
                return refusal.answer
        if self._upstream is not None:
            return await self._upstream.pass_on(request)
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


def errors(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error answer of the registry API (OCI distribution spec, error codes)."""
    body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]})
    return web.Response(
        status=status, text=body, content_type="application/json", headers={**_API_VERSION, **(headers or {})}
    )
