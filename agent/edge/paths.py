"""The places of the agent's directories and of its socket."""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SOCKET_NAME: Final = "agent.sock"
_SYSTEM_RUNTIME: Final = Path("/run/registry-agent")
_SYSTEM_STATE: Final = Path("/var/lib/registry-agent")
_SESSIONS: Final = Path("/run/user")
_ROOT: Final = "root"


def user_name() -> str:
    """Return the name of the user that runs the process, or the number if the user has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def is_user(name: str) -> bool:
    """Return whether this machine has such a user."""
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        return False
    return True


def sudo_user(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the user who ran sudo, whose agent and registries a command as root is about. None without sudo."""
    user = environ.get("SUDO_USER")
    if os.geteuid() != 0 or not user or user == _ROOT:
        return None
    try:
        return pwd.getpwnam(user).pw_name
    except KeyError:
        return None


def docker_directory(user: str) -> Path | None:
    """Return where Docker keeps the configuration of another user by default, or None if there is no such user."""
    try:
        return Path(pwd.getpwnam(user).pw_dir, ".docker")
    except KeyError:
        return None


def home(environ: Mapping[str, str]) -> Path:
    """Return the home directory of the user that runs the process. A relative HOME does not count."""
    given = Path(environ.get("HOME") or "")
    if given.is_absolute():
        return given
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return Path("/")


def runtime_directory(environ: Mapping[str, str]) -> Path:
    """Return the absolute path of the directory for the socket and for running logins. It is empty after a boot."""
    # Absolute, because docker runs in another directory than the agent.
    given = environ.get("RUNTIME_DIRECTORY")
    if given:
        return Path(given.split(":")[0]).absolute()
    if os.geteuid() == 0:
        return _SYSTEM_RUNTIME
    session = _xdg(environ, "XDG_RUNTIME_DIR")
    # Without a session directory, use the state directory: unlike in /tmp, no other user can create it first.
    return session / "registry-agent" if session else state_directory(environ) / "run"


def state_directory(environ: Mapping[str, str]) -> Path:
    """Return the absolute path of the directory for data that must survive a restart.

    This data is the agent's own logins, and recent rejections.
    """
    given = environ.get("STATE_DIRECTORY")
    if given:
        return Path(given.split(":")[0]).absolute()
    if os.geteuid() == 0:
        return _SYSTEM_STATE
    return (_xdg(environ, "XDG_STATE_HOME") or home(environ) / ".local/state") / "registry-agent"


def credentials_directory(environ: Mapping[str, str]) -> Path | None:
    """Return where systemd puts the credentials of a unit."""
    given = environ.get("CREDENTIALS_DIRECTORY")
    return Path(given) if given else None


def _xdg(environ: Mapping[str, str], name: str) -> Path | None:
    """Return a directory of the XDG Base Directory Specification, which requires to ignore a relative path."""
    given = Path(environ.get(name) or "")
    return given if given.is_absolute() else None


def state_directories(environ: Mapping[str, str]) -> list[Path]:
    """Return the state directories of all agents that the user may have had: with systemd, and started by hand.

    The environment's own one is the first. If STATE_DIRECTORY names one, there are no others.
    """
    if environ.get("STATE_DIRECTORY"):
        return [state_directory(environ)]
    by_hand = home(environ) / ".local/state/registry-agent"
    return list(dict.fromkeys([state_directory(environ), _SYSTEM_STATE / user_name(), by_hand]))


def _of_unit(user: str) -> list[Path]:
    """Return the sockets of a unit: systemd's, and the agent's own if the socket unit is masked or failed."""
    return [_SYSTEM_RUNTIME / user / SOCKET_NAME, _SYSTEM_RUNTIME / user / "work" / SOCKET_NAME]


def socket_candidates(user: str | None, environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Return the sockets on which the agent of `user` may listen, the most likely first."""
    if user is not None and user != user_name():
        return _of_another(user)
    sudo = sudo_user(environ) if user is None else None
    session = _xdg(environ, "XDG_RUNTIME_DIR")
    places = [
        *(socket.parent for socket in (_of_another(sudo) if sudo else [])),
        runtime_directory(environ),
        *(socket.parent for socket in _of_unit(user_name())),
        *([_SYSTEM_RUNTIME] if user in (None, _ROOT) else []),
        *([session / "registry-agent"] if session else []),
        _session(os.geteuid()),  # cron, su and `docker exec` do not set the variable
        state_directory(environ) / "run",
    ]
    return list(dict.fromkeys(place / SOCKET_NAME for place in places))


def _session(uid: int) -> Path:
    """Return the agent's directory in the session that systemd opens when the user logs in."""
    return _SESSIONS / str(uid) / "registry-agent"


def _of_another(user: str) -> list[Path]:
    """Return the default places for another user, because that user's environment is unknown."""
    if user == _ROOT:
        return [*_of_unit(user), _SYSTEM_RUNTIME / SOCKET_NAME]
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return _of_unit(user)
    without_session = Path(account.pw_dir, ".local/state/registry-agent/run")
    return [*_of_unit(user), _session(account.pw_uid) / SOCKET_NAME, without_session / SOCKET_NAME]
