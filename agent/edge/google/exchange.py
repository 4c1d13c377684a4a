"""Exchanges what an identity has for an access token: an identity token, a refresh token, or another access token."""

import json
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from agent.edge.cloud_http import CloudHttp, CloudRequest
from agent.edge.google.token import GoogleToken
from agent.model import jwt
from agent.model.cloud_reply import CloudReply
from agent.model.google_credentials import UNIVERSE, AuthorizedUser, ExternalAccount
from agent.model.google_errors import ERRORS, SCOPE, exchange_problem, impersonation_problem, refresh_problem
from agent.model.sensitive import Sensitive
from agent.model.text import printable

_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type's name


@dataclass(frozen=True, slots=True)
class TokenExchange:
    """Each method sends one request. They raise a ProblemError if Google gives no token."""

    http: CloudHttp

    async def federated(self, account: ExternalAccount, subject: Sensitive, place: str, scope: str) -> GoogleToken:
        """Exchange the token of another identity provider (workload identity federation)."""
        form = {
            "grant_type": _GRANT,
            "audience": account.audience,
            "scope": scope,
            "requested_token_type": _ACCESS_TOKEN,
            "subject_token": subject.reveal(),
            "subject_token_type": account.token_type,
        }
        host = urlsplit(account.token_url).hostname or account.token_url
        reply = await self.http.ask(
            CloudRequest(host, account.token_url, form=form),
            lambda reply: exchange_problem(reply, account.audience, jwt.described(subject.reveal())),
        )
        return _token(reply, place, _federated_principal(account.audience, subject))

    async def refreshed(self, user: AuthorizedUser, place: str) -> GoogleToken:
        """Use the refresh token of a person's gcloud login."""
        form = {
            "grant_type": "refresh_token",
            "client_id": user.client_id,
            "client_secret": user.client_secret.reveal(),
            "refresh_token": user.refresh_token.reveal(),
        }
        host = f"oauth2.{user.universe}"
        reply = await self.http.ask(CloudRequest(host, f"https://{host}/token", form=form), refresh_problem)
        return _token(reply, place, f"user:{user.account}" if user.account else None)

    async def impersonated(self, base: GoogleToken, account: str, universe: str = UNIVERSE) -> GoogleToken:
        """Use the right of `base` to get a token for a service account."""
        url = f"https://iamcredentials.{universe}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        headers = {"Authorization": f"Bearer {base.secret.reveal()}", "Content-Type": "application/json"}
        body = json.dumps({"scope": [SCOPE], "lifetime": "3600s"}).encode()
        reply = await self.http.ask(
            CloudRequest(f"iamcredentials.{universe}", url, headers, body=body),
            lambda reply: impersonation_problem(reply, account, base.principal),
        )
        token = ERRORS.needed(reply, reply.secret("accessToken"), "accessToken")
        expires_at = ERRORS.needed(reply, reply.ends_at("expireTime"), "expireTime")
        place = f"{base.place}, as {account}"
        return GoogleToken(token, expires_at, place, f"serviceAccount:{account}", server_time=reply.server_time)


def _token(reply: CloudReply, place: str, principal: str | None) -> GoogleToken:
    token = ERRORS.needed(reply, reply.secret("access_token"), "access_token")
    expires_at = ERRORS.needed(reply, reply.ends_in(), "expires_in")
    return GoogleToken(token, expires_at, place, principal, server_time=reply.server_time)


def _federated_principal(audience: str, subject: Sensitive) -> str | None:
    """Return the name of the identity in IAM policies, if the provider maps the subject as usual (`assertion.sub`)."""
    name = jwt.text(jwt.claims(subject.reveal()), "sub")
    pool, separator, _ = audience.partition("/providers/")
    return printable(f"principal:{pool}/subject/{name}", 400) if name and separator else None
