"""A simulated IAM Identity Center: it issues keys, and renews access tokens.

The answers follow botocore's service models (sso 2019-06-10: GetRoleCredentials; sso-oidc 2019-06-10: CreateToken).
Point `AWS_ENDPOINT_URL_SSO` and `AWS_ENDPOINT_URL_SSO_OIDC` at it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from aiohttp import web

from tests.fakecloud.principals import Principal

_KEYS_LIFE: Final = timedelta(hours=1)


class SsoPortal:
    """Issues the keys of `session`. Each refresh token is accepted once. `new_secret` creates a secret with that name.

    Attributes:
        token: the access token that is accepted.
        refresh_token: the refresh token that is accepted.
        renewals: how often the access token was renewed.
        life: of renewed access tokens.
    """

    def __init__(self, session: Principal, new_secret: Callable[[str], str]) -> None:
        self.client_secret: Final = new_secret("the secret of the SSO client")
        self.renewals = 0
        self.life = timedelta(hours=1)
        self._session: Final = session
        self._new_secret: Final = new_secret
        self.end_session()

    def end_session(self) -> None:
        """Accept only new tokens from now on."""
        self.token = self._new_secret("the SSO token")
        self.refresh_token = self._new_secret("the refresh token of SSO")

    def login(self, life: timedelta) -> dict[str, str]:
        """Return what `aws sso login` writes into its file, with an access token that ends after `life`."""
        now = datetime.now(UTC)
        return {
            "accessToken": self.token,
            "expiresAt": f"{now + life:%Y-%m-%dT%H:%M:%SZ}",
            "refreshToken": self.refresh_token,
            "clientId": "the-client",
            "clientSecret": self.client_secret,
            "registrationExpiresAt": f"{now + timedelta(days=90):%Y-%m-%dT%H:%M:%SZ}",
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/token":
            return self._renew(await request.json())
        if request.headers.get("x-amz-sso_bearer_token") != self.token:
            return _refused(401, "UnauthorizedException", "Session token not found or invalid")
        keys = {
            "accessKeyId": self._session.access_key_id,
            "secretAccessKey": self._session.secret_access_key,
            "sessionToken": self._session.session_token,
            "expiration": int((datetime.now(UTC) + _KEYS_LIFE).timestamp() * 1000),
        }
        return web.json_response({"roleCredentials": keys})

    def _renew(self, fields: dict[str, str]) -> web.Response:
        wanted = {
            "grantType": "refresh_token",
            "clientId": "the-client",
            "clientSecret": self.client_secret,
            "refreshToken": self.refresh_token,
        }
        if fields != wanted:
            return _refused(400, "InvalidGrantException", "Invalid refresh token provided")
        self.renewals += 1
        self.end_session()
        life_s = int(self.life.total_seconds())
        return web.json_response(
            {"accessToken": self.token, "expiresIn": life_s, "refreshToken": self.refresh_token, "tokenType": "Bearer"}
        )


def _refused(status: int, error: str, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status, headers={"x-amzn-ErrorType": error})
