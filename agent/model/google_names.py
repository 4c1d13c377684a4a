"""How Google writes names that settings and secrets contain."""

import re
from typing import Final

UNIVERSE: Final = "googleapis.com"
SERVICE_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9.:-]{0,126}@[a-z0-9.-]+\.gserviceaccount\.com")
# A workload identity pool, or the pool of a GKE fleet.
AUDIENCE: Final = re.compile(r"(?://iam\.[a-z0-9.-]+/|identitynamespace:[a-z0-9.-]+:https://)[\w./%:-]{1,400}")
