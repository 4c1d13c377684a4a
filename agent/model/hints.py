"""What to do about a registry, where that depends on what was seen: HOST stands for its name (`Problem`)."""

import re
from typing import Final

from agent.model.commands import command, shown

SOMEBODY_ELSE: Final = (
    "open https://HOST/v2/ in a browser: a captive portal or a proxy may ask you to log in; "
    "else check the host name in the secret"
)
PROXY: Final = (
    "correct the proxy's address in HTTPS_PROXY, and its user name and password if it wants them, then restart the "
    "agent; a host that needs no proxy goes into NO_PROXY"
)
BLANKS: Final = "correct the password in the secret: it begins or ends with a blank, and docker login cuts those off"
OF_FETCHED: Final = (
    "check the secret's host name and region: HOST takes none of the tokens that AWS gives for it; if both are right, "
    "ask the registry's administrator who may pull"
)
_HELPER: Final = re.compile(r"[A-Za-z0-9._-]+")
# The words of Python's ssl and of Go's crypto/x509.
_OF_CERTIFICATES: Final = (
    (
        re.compile(r"expired|not yet valid", re.IGNORECASE),
        "the registry's administrator must renew its certificate; if `date` shows a wrong time here, set the clock",
    ),
    (
        re.compile(r"mismatch|certificate is (?:not )?valid for|doesn't contain any", re.IGNORECASE),
        "check the host name in the secret; if it is right, the registry must get a certificate that names it",
    ),
    (
        re.compile(r"HTTP response to HTTPS|wrong version number|record layer failure", re.IGNORECASE),
        "this port speaks no TLS: check the port in the secret, or ask the registry's administrator for https",
    ),
)


def dns_hint(lookup: str) -> str:
    """About a name that does not resolve; `lookup` is the command that asks for it."""
    return (
        f"check the host name in the secret for a typing error; if {lookup} finds nothing either, "
        "ask the network's administrator"
    )


def helper_hint(name: str) -> str:
    """About a credential helper that was started, by its name in Docker's configuration."""
    listing = command(f"docker-credential-{name} list") if _HELPER.fullmatch(name) else None
    look = f"see what {listing} says, or " if listing else ""
    return f"{look}take {shown(name)} out of credsStore and credHelpers in Docker's config.json"


def certificate_hint(fault: str) -> str | None:
    """By the words of what checked it; None where only a missing authority is left."""
    return next((hint for words, hint in _OF_CERTIFICATES if words.search(fault)), None)
