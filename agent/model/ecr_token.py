"""Reads when an ECR token ends. The token contains its end, so this also works for a login that a person made."""

import base64
import json
from datetime import UTC, datetime

from agent.model.docker_config import Entry
from agent.model.secret import ECR_USER


def token_end(entry: Entry | None) -> datetime | None:
    """Return the end of an ECR token (user `AWS`), in UTC. None for any other login, and if it cannot be read."""
    if entry is None or entry.username != ECR_USER or entry.identity_token:
        return None
    try:
        content = json.loads(base64.b64decode(entry.secret.reveal(), validate=True))
        expiration = content["expiration"]
        # A bool is an int too.
        return datetime.fromtimestamp(expiration, UTC) if type(expiration) in (int, float) else None
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None
