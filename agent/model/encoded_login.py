"""Logins in base64: Docker's `auth`, and the forms in which people copy an ECR token."""

import base64
from typing import Final

ECR_USER: Final = "AWS"
AZURE_USER: Final = "00000000-0000-0000-0000-000000000000"
"""The user name with each token of Azure Container Registry."""
_PREFIX: Final = f"{ECR_USER}:"


def decoded(text: str) -> bytes:
    """Decode base64, also over several lines and without its padding, which is often lost on the way."""
    packed = "".join(text.split()).rstrip("=")
    return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)


def login_of(auth: str) -> tuple[str, str]:
    """Return user name and password from the base64 of `user:password`. Anything else is a ValueError."""
    user, colon, password = decoded(auth).decode().partition(":")
    if not colon:
        raise ValueError("no colon")
    return user, password.rstrip("\0")


def ecr_token(password: str) -> str:
    """Return the token that ECR accepts as a password.

    AWS's `authorizationToken` is the base64 of `AWS:token`. People also copy `AWS:token` itself, or a token that a
    terminal has broken into lines.
    """
    packed = "".join(password.split())
    if packed.startswith(_PREFIX):
        return packed.removeprefix(_PREFIX)
    try:
        user, token = login_of(packed)
    except ValueError:
        return password
    # `echo` adds a line end. A token has no other control characters.
    if user == ECR_USER and token.strip().isprintable():
        return token.strip()
    # Decoded, a bare token is JSON. It has a colon too.
    return packed if _is_token(packed) else password


def is_ecr_token(password: str) -> bool:
    """Whether the text can only be an ECR token, in any of its forms."""
    return ecr_token(password) != password or _is_token(password)


def _is_token(text: str) -> bool:
    try:
        return decoded(text).lstrip().startswith(b'{"payload"')
    except ValueError:
        return False
