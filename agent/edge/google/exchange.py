"""Exchanges what an identity has for an access token: an identity token, a refresh token, or another access token."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from agent.edge.cloud_http import CloudHttp, CloudRequest
from agent.edge.google.token import GoogleToken
from agent.model import jwt
from agent.model.cloud_reply import CloudReply
from agent.model.google_credentials import AuthorizedUser, ExternalAccount
from agent.model.google_errors import ERRORS, exchange_problem, impersonation_problem, refresh_problem
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
        if account.user_project is not None:
            form["options"] = json.dumps({"userProject": account.user_project})
        host = urlsplit(account.token_url).hostname or account.token_url
        reply = await self.http.ask(
            CloudRequest(host, account.token_url, form=form),
            lambda reply: exchange_problem(reply, account.audience, jwt.described(subject.reveal())),
        )
        return _token(reply, place, account.universe, _federated_principal(account.audience, subject))

    async def refreshed(self, user: AuthorizedUser, place: str, login_again: str) -> GoogleToken:
        """Use the refresh token of a person's gcloud login. `login_again` is the hint if it has ended."""
        form = {
            "grant_type": "refresh_token",
            "client_id": user.client_id,
            "client_secret": user.client_secret.reveal(),
            "refresh_token": user.refresh_token.reveal(),
        }
        host = f"oauth2.{user.universe}"
        reply = await self.http.ask(
            CloudRequest(host, f"https://{host}/token", form=form),
            lambda reply: refresh_problem(reply, place, login_again),
        )
        return _token(reply, place, user.universe, f"user:{user.account}" if user.account else None)

    async def impersonated(
        self, base: GoogleToken, account: str, scope: str, delegates: Sequence[str], lifetime_s: int
    ) -> GoogleToken:
        """Use the right of `base` to get a token for a service account."""
        host = f"iamcredentials.{base.universe}"
        url = f"https://{host}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        headers = {"Authorization": f"Bearer {base.secret.reveal()}", "Content-Type": "application/json"}
        body = json.dumps({"scope": [scope], "lifetime": f"{lifetime_s}s", "delegates": delegates}).encode()
        reply = await self.http.ask(
            CloudRequest(host, url, headers, body=body),
            lambda reply: impersonation_problem(reply, account, base.principal, is_machines=base.is_machines),
        )
        token = ERRORS.needed(reply, reply.secret("accessToken"), "accessToken")
        expires_at = ERRORS.needed(reply, reply.ends_at("expireTime"), "expireTime")
        place = f"{base.place}, as {account}"
        principal = f"serviceAccount:{account}"
        return GoogleToken(token, expires_at, place, principal, server_time=reply.server_time, universe=base.universe)


def _token(reply: CloudReply, place: str, universe: str, principal: str | None) -> GoogleToken:
    token = ERRORS.needed(reply, reply.secret("access_token"), "access_token")
    # The end on Google's clock, as the other tokens that carry the server's time.
    expires_at = ERRORS.needed(reply, reply.ends_in(reply.server_time or reply.seen_at), "expires_in")
    return GoogleToken(token, expires_at, place, principal, server_time=reply.server_time, universe=universe)


def _federated_principal(audience: str, subject: Sensitive) -> str | None:
    """Return the name of the identity in IAM policies, if the provider maps the subject as usual (`assertion.sub`)."""
    name = jwt.text(jwt.claims(subject.reveal()), "sub")
    pool, separator, _ = audience.partition("/providers/")
    return printable(f"principal:{pool}/subject/{name}", 400) if name and separator else None
