"""Where AWS keys come from, and how a person replaces them once AWS no longer accepts them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """A place where a person writes keys, such as "in the secret".

    `then` is what the person does after a change, such as a restart. Empty if the agent notices it.
    """

    where: str
    then: str = ""


IN_SECRET: Final = KeyPlace("in the secret")
IN_ENVIRONMENT: Final = KeyPlace(
    "in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN", "; then restart the agent"
)


def in_profile(profile: str) -> KeyPlace:
    return KeyPlace(f"in profile {profile} of ~/.aws")


def printed_for(profile: str) -> KeyPlace:
    return KeyPlace(f"that credential_process of profile {profile} prints")


def are_temporary(access_key_id: str, session_token: object) -> bool:
    """Return whether keys belong to a session. They expire, and the IAM console cannot create such keys."""
    return session_token is not None or access_key_id.startswith("ASIA")


def replace_hint(place: KeyPlace, *, temporary: bool) -> str:
    if temporary:
        return (
            f"replace the access key, secret key and session token {place.where}: get new ones where these came from, "
            f"such as your AWS access portal{place.then}; or use a role or a profile, which the agent renews by itself"
        )
    return (
        f"replace the AWS keys {place.where}: their owner can create new ones in the AWS console (IAM, Users, "
        f"Security credentials){place.then}"
    )
