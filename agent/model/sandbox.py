"""Hints for programs and directories that the agent cannot use, above all in the sandbox of its systemd unit."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from agent.model.commands import UNSAFE, command, shown

_LONGEST: Final = 200
_READ_ONLY: Final = re.compile(rb"read-only file ?system", re.IGNORECASE)
# What sudo, snap and flatpak print.
_NO_PRIVILEGES: Final = re.compile(
    rb"no new privileges|snap-confine|required permitted capability|must be owned by uid 0 and have the setuid bit"
    rb"|new namespace|not permitted to create namespaces",
    re.IGNORECASE,
)
_PASS: Final = {"PASSWORD_STORE_DIR": ".password-store", "GNUPGHOME": ".gnupg"}
# The directories that a program writes to even if it only prints: the variable that names each, and its default.
_DIRECTORIES: Final = {
    "az": {"AZURE_CONFIG_DIR": ".azure"},
    "gcloud": {"CLOUDSDK_CONFIG": ".config/gcloud"},
    "gh": {"GH_CONFIG_DIR": ".config/gh"},
    "docker-credential-pass": _PASS,
    "pass": _PASS,
}


def opening(unit: str, directories: Sequence[object]) -> str:
    """Return the hint to let the agent, run by `unit`, write to `directories`.

    Without directories, the hint is about the directory of the credential helper, which the agent does not know.
    """
    edit, restart = command("sudo systemctl edit", unit), command("sudo systemctl restart", unit)
    if edit is None or restart is None:
        return "allow the agent to write there in the sandbox of its systemd service"
    paths = [_setting(str(directory)) for directory in directories]
    if paths and all(paths):
        lines = f"the lines `[Service]` and `ReadWritePaths={' '.join(filter(None, paths))}`"
    else:
        lines = "the line `[Service]` and one with `ReadWritePaths=` and that directory"
    return (
        f"allow the agent to write there in the sandbox of {unit}: run {edit}, add {lines}, make sure that the "
        f"directory exists, then run {restart}"
    )


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
    """Whether a program reports that it may not gain the privileges that it needs, as in the sandbox of the unit."""
    return _NO_PRIVILEGES.search(stderr) is not None


def missing_program_hint(program: str, *, is_helper: bool) -> str:
    if " " in program:
        return "write the program and each of its arguments as a string of its own, or fix the path of the program"
    if "/" in program:
        return f"install {shown(program)} and make it executable, or fix its path in the secret"
    other_way = "" if is_helper else ", or write its absolute path into the secret"
    return (
        f"install {shown(program)}{other_way}: the agent searches only the directories of its own PATH that no other "
        "user can write to"
    )


def _setting(directory: str) -> str | None:
    """Return the directory in systemd's notation, or None if it cannot be shown safely.

    With the leading minus, the agent also starts if the directory does not exist.
    """
    if not directory.startswith("/") or len(directory) > _LONGEST or UNSAFE.search(directory):
        return None
    escaped = directory.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    plain = escaped == directory and not set(directory) & set(" '")
    return f"-{directory}" if plain else f'"-{escaped}"'
