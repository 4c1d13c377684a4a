"""A simulated AWS on one port, for one instance with one role: the metadata service, ECR and STS.

It grants every request, because only the demo's agent uses it. Its ECR tokens are short-lived, and a registry can check
them with `login`.
"""

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

from agent.demo.registries import Refusal, basic, errors

_USER: Final = "AWS"
_ROLE: Final = "dev-environment"
_SESSION: Final = f"assumed-role/{_ROLE}/i-0de4c0ffee0de4c0f"
_CREDENTIALS: Final = "/latest/meta-data/iam/security-credentials/"
_SESSION_LIFE: Final = timedelta(hours=1)

_CALLER: Final = f"""\
<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>\
<Arn>arn:aws:sts::123456789012:{_SESSION}</Arn><UserId>AROADEMO:i-0de4c0ffee0de4c0f</UserId>\
<Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"""


class DemoAws:
    """Answers like AWS. `tokens` maps each ECR token that was issued to its expiry."""

    def __init__(self, token_life_s: float) -> None:
        self._token_life: Final = timedelta(seconds=token_life_s)
        self.tokens: Final[dict[str, datetime]] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request to any of the services."""
        if request.path.startswith("/latest/"):
            return self._metadata(request.path)
        if request.headers.get("X-Amz-Target", "").endswith(".GetAuthorizationToken"):
            return self._new_token()
        return web.Response(text=_CALLER, content_type="text/xml")

    async def login(self, request: web.BaseRequest) -> str:
        """Authenticate a request to an ECR registry: user `AWS` with a token that is still valid."""
        given = basic(request)
        if given is None or not self.valid(*given):
            challenge = {"WWW-Authenticate": f'Basic realm="https://{request.host}/",service="ecr.amazonaws.com"'}
            refused = errors(401, "UNAUTHORIZED", "Not Authorized", challenge)
            raise Refusal(refused, given[0] if given else None)
        return given[0]

    def valid(self, username: str, password: str) -> bool:
        expires_at = self.tokens.get(password)
        return username == _USER and expires_at is not None and datetime.now(UTC) < expires_at

    def _metadata(self, path: str) -> web.Response:
        if path == "/latest/api/token":
            return web.Response(text="session", headers={"X-aws-ec2-metadata-token-ttl-seconds": "21600"})
        if path == _CREDENTIALS:
            return web.Response(text=_ROLE)
        if path != _CREDENTIALS + _ROLE:
            return web.Response(status=404)
        now = datetime.now(UTC)
        keys = {
            "Code": "Success",
            "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "Type": "AWS-HMAC",
            "AccessKeyId": "ASIADEMODEMODEMODEMO",
            "SecretAccessKey": secrets.token_hex(20),
            "Token": secrets.token_urlsafe(120),
            "Expiration": f"{now + _SESSION_LIFE:%Y-%m-%dT%H:%M:%SZ}",
        }
        return web.json_response(keys)

    def _new_token(self) -> web.Response:
        token = secrets.token_urlsafe(48)
        self.tokens[token] = expires_at = datetime.now(UTC) + self._token_life
        data = {
            "authorizationToken": base64.b64encode(f"{_USER}:{token}".encode()).decode(),
            "expiresAt": round(expires_at.timestamp(), 3),
        }
        return web.json_response({"authorizationData": [data]}, content_type="application/x-amz-json-1.1")
