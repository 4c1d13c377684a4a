"""The identities in the simulated AWS: users and role sessions, by access key."""

import secrets
import string
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_KEY_LETTERS: Final = string.ascii_uppercase + "234567"


@dataclass(frozen=True, slots=True)
class Principal:
    """An identity with its keys. A session also has a session token and an expiry."""

    arn: str
    account: str
    user_id: str
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    expires_at: datetime | None = None


class Principals:
    """All identities that have keys, by access key id."""

    def __init__(self) -> None:
        self.by_key: Final[dict[str, Principal]] = {}

    def find(self, access_key_id: str) -> Principal | None:
        return self.by_key.get(access_key_id)

    def user(self, account: str, name: str) -> Principal:
        """Create an IAM user with long-lived keys (`AKIA…`)."""
        key_id = _key_id("AKIA")
        return self._add(
            Principal(f"arn:aws:iam::{account}:user/{name}", account, _key_id("AIDA"), key_id, secrets.token_hex(20))
        )

    def session(self, role_arn: str, session_name: str, expires_at: datetime) -> Principal:
        """Create a session of a role (`ASIA…`). `role_arn` is `arn:aws:iam::ACCOUNT:role/[PATH/]NAME`."""
        account = role_arn.split(":")[4]
        role = role_arn.rsplit("/", 1)[-1]
        return self._add(
            Principal(
                arn=f"arn:aws:sts::{account}:assumed-role/{role}/{session_name}",
                account=account,
                user_id=f"{_key_id('AROA')}:{session_name}",
                access_key_id=_key_id("ASIA"),
                secret_access_key=secrets.token_hex(20),
                session_token=secrets.token_urlsafe(120),
                expires_at=expires_at,
            )
        )

    def _add(self, principal: Principal) -> Principal:
        self.by_key[principal.access_key_id] = principal
        return principal


def _key_id(prefix: str) -> str:
    return prefix + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16))
