"""The host names and AWS regions on the machine of these tests. Each fault has its own."""

from typing import Final

ACCOUNT: Final = "123456789012"
USER: Final = "robot"
ROLE: Final = f"arn:aws:iam::{ACCOUNT}:role/pull"

GOOD: Final = "registry.example.com"
WRONG_PASSWORD: Final = "password.example.com"
FORBIDDEN: Final = "forbidden.example.com"
FOREIGN_TOKEN: Final = "ecr.example.com"
BUSY: Final = "busy.example.com"
DOWN: Final = "down.example.com"
PRIVATE_CA: Final = "private-ca.example.com"
EXPIRED_CERTIFICATE: Final = "expired.example.com"
SILENT: Final = "silent.example.com"
ILL: Final = "ill.example.com"
PORTAL: Final = "portal.example.com"
FETCHED: Final = "fetched.example.com"
"""Its credential helper is ecr-login, which cannot store."""
PERSONAL: Final = "personal.example.com"
"""A person logged in there by hand, with a wrong password."""
LATER: Final = "later.example.com"
NATIVE: Final = "native.example.com"
TYPO: Final = "regsitry.example.com"
"""The only one that does not resolve."""
SERVED: Final = (GOOD, WRONG_PASSWORD, FORBIDDEN, BUSY, SILENT, ILL, PORTAL, FETCHED, PERSONAL, LATER, NATIVE)
SPECIAL: Final = (FOREIGN_TOKEN, DOWN, PRIVATE_CA, EXPIRED_CERTIFICATE)

DENIED: Final = "eu-west-1"
THROTTLED: Final = "eu-west-2"
UNROUTED: Final = "eu-west-3"
AILING: Final = "eu-central-1"
CLOCK: Final = "eu-north-1"
KEYLESS: Final = "eu-south-1"
IDENTITY: Final = "us-east-1"
ENDING: Final = "us-west-1"
HEALTHY: Final = "us-east-2"
REGIONS: Final = (DENIED, THROTTLED, UNROUTED, AILING, CLOCK, KEYLESS, IDENTITY, ENDING, HEALTHY)


def ecr(region: str) -> str:
    """Return the account's private registry in the region."""
    return f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com"


def api(region: str) -> tuple[str, str]:
    return f"api.ecr.{region}.amazonaws.com", f"sts.{region}.amazonaws.com"
