"""The ECR tokens of the simulated cloud. Each is issued for a principal and a region, and expires."""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

ECR_USER: Final = "AWS"


class Verdict(StrEnum):
    """How a registry rates a user name and a password."""

    OK = "ok"
    EXPIRED = "expired"
    FOREIGN = "foreign"
    """A token for another region."""
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Token:
    """A token that was issued. `region` is `public` for ECR Public."""

    password: str
    principal: str
    region: str
    issued_at: datetime
    expires_at: datetime


class Tokens:
    """All tokens that were issued. Times are aware and in UTC."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now: Final = now
        self._issued: Final[dict[str, Token]] = {}

    @property
    def issued(self) -> list[Token]:
        return list(self._issued.values())

    def issue(self, principal: str, region: str, expires_at: datetime) -> Token:
        """Issue a token that looks like ECR's: base64 of JSON, of which only the expiry is readable."""
        content = {
            "payload": secrets.token_urlsafe(48),
            "datakey": secrets.token_urlsafe(24),
            "version": "2",
            "type": "DATA_KEY",
            "expiration": int(expires_at.timestamp()),
        }
        password = base64.b64encode(json.dumps(content).encode()).decode()
        token = Token(password, principal, region, self._now(), expires_at)
        self._issued[password] = token
        return token

    def verdict(self, username: str, password: str, region: str | None = None) -> Verdict:
        """Return how a registry in `region` rates this login now. With None, the region is not checked."""
        token = self._issued.get(password) if username == ECR_USER else None
        if token is None:
            return Verdict.WRONG
        if region not in (None, token.region):
            return Verdict.FOREIGN
        return Verdict.EXPIRED if self._now() >= token.expires_at else Verdict.OK

    def end_all(self) -> None:
        """Expire all tokens issued so far, as when a role's session is revoked."""
        now = self._now()
        for password, token in self._issued.items():
            self._issued[password] = replace(token, expires_at=min(token.expires_at, now))
