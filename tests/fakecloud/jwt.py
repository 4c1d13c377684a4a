"""Makes tokens that look like JSON Web Tokens. Their signature is random."""

import base64
import json
import secrets
from typing import Any


def make(claims: dict[str, Any]) -> str:
    header = {"alg": "RS256", "typ": "JWT"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, secrets.token_urlsafe(32)])
