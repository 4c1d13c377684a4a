"""The simulated instance metadata service. Only version 2: a client needs a session token to get the keys."""

import json
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

from aiohttp import web

from tests.fakecloud.principals import Principal

PATH: Final = "/latest/"
TTL_HEADER: Final = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN_HEADER: Final = "X-aws-ec2-metadata-token"
INSTANCE_ID: Final = "i-0de4c0ffee0de4c0f"

_MAX_TTL_S: Final = 21600
_CREDENTIALS: Final = "/latest/meta-data/iam/security-credentials/"


class MetadataService:
    """Answers for one instance with one role. `tokens` are the session tokens that clients got.

    Args:
        role: the role's name.
        region: the instance's region.
        session: returns the role's session, renewed when it is about to expire.
        now: the cloud's clock.
    """

    def __init__(
        self, *, role: str, region: str, session: Callable[[], Principal], now: Callable[[], datetime]
    ) -> None:
        self._role: Final = role
        self._region: Final = region
        self._session: Final = session
        self._now: Final = now
        self.tokens: Final[set[str]] = set()

    def action(self, request: web.BaseRequest) -> str:
        """Return the name under which `PretendAws` counts the request and makes it fail."""
        if request.path == "/latest/api/token":
            return "imds:token"
        return "imds:credentials" if request.path.startswith(_CREDENTIALS) else "imds:other"

    def answer(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/latest/api/token":
            return self._new_token(request)
        if request.headers.get(TOKEN_HEADER) not in self.tokens:
            return web.Response(status=401)
        if request.path.startswith(_CREDENTIALS):
            return self._credentials(request.path.removeprefix(_CREDENTIALS))
        if request.path == "/latest/dynamic/instance-identity/document":
            return self._identity_document()
        if request.path == "/latest/meta-data/placement/region":
            return web.Response(text=self._region)
        return web.Response(status=404)

    def _new_token(self, request: web.BaseRequest) -> web.Response:
        ttl = request.headers.get(TTL_HEADER, "")
        if request.method != "PUT" or not ttl.isdecimal() or not 0 < int(ttl) <= _MAX_TTL_S:
            return web.Response(status=405 if request.method != "PUT" else 400)
        token = secrets.token_urlsafe(40)
        self.tokens.add(token)
        return web.Response(text=token, headers={TTL_HEADER: ttl})

    def _credentials(self, role: str) -> web.Response:
        if not role:
            return web.Response(text=self._role)
        if role != self._role:
            return web.Response(status=404)
        session = self._session()
        assert session.expires_at is not None
        document = {
            "Code": "Success",
            "LastUpdated": _time(self._now()),
            "Type": "AWS-HMAC",
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret_access_key,
            "Token": session.session_token,
            "Expiration": _time(session.expires_at),
        }
        return web.Response(text=json.dumps(document), content_type="text/plain")

    def _identity_document(self) -> web.Response:
        document = {
            "accountId": self._session().account,
            "region": self._region,
            "availabilityZone": f"{self._region}a",
            "instanceId": INSTANCE_ID,
        }
        return web.Response(text=json.dumps(document), content_type="text/plain")


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
