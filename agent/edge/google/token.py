"""An access token of Google, and what is known about it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.model.google_names import UNIVERSE
from agent.model.sensitive import Sensitive


@dataclass(frozen=True, slots=True)
class GoogleToken:
    """An access token.

    Attributes:
        place: where the identity comes from, for people.
        principal: who it is, in the form of an IAM policy, or None if that is not known.
        reserve: see `Token`.
        server_time: the Date header, if the answer came over TLS.
        universe: the domain of the cloud that issued it. It goes to no other one.
    """

    secret: Sensitive
    expires_at: datetime
    place: str
    principal: str | None = None
    reserve: timedelta | None = None
    server_time: datetime | None = None
    universe: str = UNIVERSE
