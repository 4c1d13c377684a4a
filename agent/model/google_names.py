"""How Google writes names that settings and secrets contain."""

import re
from typing import Final

SERVICE_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9.:-]{0,126}@[a-z0-9.-]+\.gserviceaccount\.com")
AUDIENCE: Final = re.compile(r"//iam\.[a-z0-9.-]+/[\w./%:-]{1,400}")
