"""How Google writes names that settings and secrets contain."""

import re
from typing import Final

UNIVERSE: Final = "googleapis.com"
UNIVERSES: Final = (UNIVERSE, "s3nsapis.fr")
"""The domains of Google's clouds: its own, and the sovereign one of S3NS."""
SERVICE_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9.:-]{0,126}@[a-z0-9.-]+\.gserviceaccount\.com")
# A workload identity pool, or the pool of a GKE fleet.
AUDIENCE: Final = re.compile(
    rf"(?://iam\.(?P<universe>{'|'.join(map(re.escape, UNIVERSES))})/|identitynamespace:[a-z0-9.-]+:https://)"
    r"[\w./%:-]{1,400}"
)
