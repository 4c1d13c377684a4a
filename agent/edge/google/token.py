"""An access token of Google, and what is known about it."""

from dataclasses import dataclass
from datetime import datetime

from agent.model.google_names import UNIVERSE
from agent.model.sensitive import Sensitive


@dataclass(frozen=True, slots=True)
class GoogleToken:
    """An access token.

    Attributes:
        place: where the identity comes from, for people.
        principal: who it is, in the form of an IAM policy, or None if that is not known.
        is_machines: whether the metadata server gave it. Its scope is that of the machine.
        server_time: the Date header, if the answer came over TLS.
        universe: the domain of the cloud that issued it. It goes to no other one.
    """

    secret: Sensitive
    expires_at: datetime
    place: str
    principal: str | None = None
    is_machines: bool = False
    server_time: datetime | None = None
    universe: str = UNIVERSE
