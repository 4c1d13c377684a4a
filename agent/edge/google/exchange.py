"""Exchanges what an identity has for an access token: an identity token, a refresh token, or another access token."""

import json
from dataclasses import dataclass
from typing import Final

from agent.edge.cloud_http import CloudHttp, CloudRequest, NoAnswerError
from agent.edge.google.token import GoogleToken
from agent.model import jwt
from agent.model.cloud_reply import CloudReply
from agent.model.google_credentials import UNIVERSE, AuthorizedUser, ExternalAccount
from agent.model.google_errors import (
    SCOPE,
    SUBJECT,
    exchange_problem,
    impersonation_problem,
    invalid_answer,
    refresh_problem,
)
from agent.model.problem import ProblemError
from agent.model.problems.google import GoogleUnreachable
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
        reply = await self._send(CloudRequest("Google's Security Token Service", account.token_url, form=form))
        if not reply.ok:
            raise ProblemError(exchange_problem(reply, account.audience))
        return _token(reply, place, _federated_principal(account.audience, subject))

    async def refreshed(self, user: AuthorizedUser, place: str) -> GoogleToken:
        """Use the refresh token of a person's gcloud login."""
        form = {
            "grant_type": "refresh_token",
            "client_id": user.client_id,
            "client_secret": user.client_secret.reveal(),
            "refresh_token": user.refresh_token.reveal(),
        }
        url = f"https://oauth2.{user.universe}/token"
        reply = await self._send(CloudRequest("Google's login server", url, form=form))
        if not reply.ok:
            raise ProblemError(refresh_problem(reply))
        return _token(reply, place, f"user:{user.account}" if user.account else None)

    async def impersonated(self, base: GoogleToken, account: str, universe: str = UNIVERSE) -> GoogleToken:
        """Use the right of `base` to get a token for a service account."""
        url = f"https://iamcredentials.{universe}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        headers = {"Authorization": f"Bearer {base.secret.reveal()}", "Content-Type": "application/json"}
        body = json.dumps({"scope": [SCOPE], "lifetime": "3600s"}).encode()
        reply = await self._send(CloudRequest(f"iamcredentials.{universe}", url, headers, body=body))
        if not reply.ok:
            raise ProblemError(impersonation_problem(reply, account, base.principal))
        token, expires_at = reply.secret("accessToken"), reply.ends_at("expireTime")
        if token is None or expires_at is None:
            raise ProblemError(invalid_answer(reply, "accessToken" if token is None else "expireTime"))
        place = f"{base.place}, as {account}"
        return GoogleToken(token, expires_at, place, f"serviceAccount:{account}", server_time=reply.server_time)

    async def _send(self, request: CloudRequest) -> CloudReply:
        try:
            return await self.http.send(request)
        except NoAnswerError as error:
            raise ProblemError(GoogleUnreachable(SUBJECT, f"no answer from {error}")) from None


def _token(reply: CloudReply, place: str, principal: str | None) -> GoogleToken:
    token, expires_at = reply.secret("access_token"), reply.ends_in()
    if token is None or expires_at is None:
        raise ProblemError(invalid_answer(reply, "access_token" if token is None else "expires_in"))
    return GoogleToken(token, expires_at, place, principal, server_time=reply.server_time)


def _federated_principal(audience: str, subject: Sensitive) -> str | None:
    """Return the name of the identity in IAM policies, if the provider maps the subject as usual (`assertion.sub`)."""
    name = jwt.text(jwt.claims(subject.reveal()), "sub")
    pool, separator, _ = audience.partition("/providers/")
    return printable(f"principal:{pool}/subject/{name}", 400) if name and separator else None
