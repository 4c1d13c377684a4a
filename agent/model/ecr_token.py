"""Reads when an ECR token ends. The token contains its end, so this also works for a login that a person made."""

import base64
import json
from datetime import datetime

from agent.model.docker_config import Entry
from agent.model.encoded_login import ECR_USER
from agent.model.outside_values import from_epoch
from agent.model.sensitive import Sensitive


def token_expiry(token: Sensitive) -> datetime | None:
    """Read the expiry from an ECR token: it is base64 of JSON, with epoch seconds in `expiration`."""
    try:
        return from_epoch(json.loads(base64.b64decode(token.reveal(), validate=True))["expiration"])
    # The token comes from outside. If its expiry cannot be read, the agent uses it without one.
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def token_end(entry: Entry | None) -> datetime | None:
    """Return the end of an ECR token (user `AWS`), in UTC. None for any other login, and if it cannot be read."""
    if entry is None or entry.username != ECR_USER or entry.identity_token:
        return None
    return token_expiry(entry.secret)
