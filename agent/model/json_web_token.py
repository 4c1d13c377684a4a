"""Reads when a JSON Web Token (JWT) ends. The end is used as a time, never as a proof: no signature is checked."""

import base64
import json
from datetime import UTC, datetime
from typing import Final

from agent.model.sensitive import Sensitive

_PARTS: Final = 3


def expiry_of(token: Sensitive) -> datetime | None:
    """Return the time in `exp`. None if the text is no JWT, or if it has no such time."""
    parts = token.reveal().strip().split(".")
    if len(parts) != _PARTS:
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(payload["exp"]), UTC)
    # The token comes from outside. If its end cannot be read, the agent uses it without one.
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None
