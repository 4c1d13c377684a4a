"""Names of credential helpers, and the one text of theirs that means something to every program."""

import re
from typing import Final

PREFIX: Final = "docker-credential-"
"""The program of the helper `pass` is `docker-credential-pass`."""
HELPER_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
OWN_HELPER: Final = "registry-agent"
"""The agent's own helper, as `credHelpers` names it."""
OWN_PROGRAM: Final = f"{PREFIX}{OWN_HELPER}"
NOT_FOUND: Final = "credentials not found in native keychain"
"""Every program recognizes this very text (docker-credential-helpers, error.go), and continues without a login."""
