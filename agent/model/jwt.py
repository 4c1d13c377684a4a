"""Reads the payload of a JSON Web Token. The signature is not checked, so nothing in it is proof."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agent.model.outside_values import from_epoch
from agent.model.text import printable


def claims(token: str) -> Mapping[str, Any]:
    """Return the claims of a token. Empty if it is not a JWT."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, payload, signature
        return {}
    try:
        # A JWT leaves out the padding of base64.
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return payload if isinstance(payload, dict) else {}


def expiry(token: str) -> datetime | None:
    """Return when a token expires, if it shows that."""
    return from_epoch(claims(token).get("exp"))


def text(given: Mapping[str, Any], *names: str) -> str | None:
    """Return the first of these claims that is a text."""
    found = (given.get(name) for name in names)
    return next((printable(each, 200) for each in found if isinstance(each, str) and each), None)


def described(token: str) -> str:
    """Return who issued a token, about whom and for whom, in parentheses. Empty if the token does not show it."""
    found = claims(token)
    parts = ((name, text(found, name)) for name in ("iss", "sub", "aud"))
    shown = ", ".join(f"{name} {printable(value, 100)}" for name, value in parts if value)
    return f" ({shown})" if shown else ""
