"""Hints for a password source that failed. They name the sandbox of the systemd unit only if it is the cause."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

from agent.model.commands import shown
from agent.model.sandbox import opening

_READ_ONLY: Final = re.compile(rb"read-only file ?system", re.IGNORECASE)
_NO_PRIVILEGES: Final = re.compile(
    rb"no new privileges|snap-confine|required permitted capability|must be owned by uid 0 and have the setuid bit"
    rb"|new namespace|not permitted to create namespaces",
    re.IGNORECASE,
)
"""What sudo, snap and flatpak print."""

_PASS: Final = {"PASSWORD_STORE_DIR": ".password-store", "GNUPGHOME": ".gnupg"}
_DIRECTORIES: Final = {
    "az": {"AZURE_CONFIG_DIR": ".azure"},
    "gcloud": {"CLOUDSDK_CONFIG": ".config/gcloud"},
    "gh": {"GH_CONFIG_DIR": ".config/gh"},
    "docker-credential-pass": _PASS,
    "pass": _PASS,
}
"""The directories that a program writes to even if it only prints: the variable that names each, and its default."""


def sandbox_hint(program: str, stderr: bytes, unit: str | None, environ: Mapping[str, str]) -> str | None:
    """Return the hint for a program that the sandbox of `unit` keeps from working. None if the cause is another one."""
    if unit is None:
        return None
    if _READ_ONLY.search(stderr):
        home, known = PurePosixPath(environ.get("HOME", "~")), _DIRECTORIES.get(PurePosixPath(program).name, {})
        return opening(unit, [environ.get(variable) or home / default for variable, default in known.items()])
    if needs_privileges(stderr):
        return (
            f"use a program that needs no sudo and is neither a snap nor a flatpak: the sandbox of {shown(unit)} "
            "gives no new privileges"
        )
    return None


def needs_privileges(stderr: bytes) -> bool:
    """Whether a program says that it may not gain the privileges that it needs, as in the sandbox of the unit."""
    return _NO_PRIVILEGES.search(stderr) is not None


def missing_program_hint(program: str, *, is_helper: bool) -> str:
    """Return the hint for a program that cannot be started."""
    if "/" in program:
        return f"install {shown(program)} and make it executable, or fix its path in the secret"
    other_way = "" if is_helper else ", or write its absolute path into the secret"
    return (
        f"install {shown(program)}{other_way}: the agent searches only the directories of its own PATH that no other "
        "user can write to"
    )
