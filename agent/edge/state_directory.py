"""The state directory: one file for each Docker configuration that the user's agents manage.

Version 1.0.0 keeps only one file, `state.json`. It stays the file of the configuration that it names, so that this
version takes it over, and version 1.0.0 finds it after a downgrade. Other configurations have files of their own.
"""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from agent.edge.file_version import UnreadableFileError, read_version
from agent.edge.renameat2 import rename_new
from agent.model.state_format import SavedState, format_state, parse_state
from agent.model.text import printable

_FIRST: Final = "state.json"
_ASIDE: Final = ".damaged"
_KEPT: Final = 64
"""How many of the newest files stay in any case. CI jobs may make a new Docker configuration for each run."""


@dataclass(frozen=True, slots=True)
class FoundState:
    """The state for a Docker configuration, and the file it belongs to.

    `lost` is the reason why some of it is lost. With `unreadable`, the directory itself cannot be used.
    """

    path: Path
    state: SavedState
    lost: str | None = None
    unreadable: bool = False


def new_state(docker_config: Path) -> SavedState:
    return SavedState(key=secrets.token_hex(32), docker_config=str(docker_config))


def find_state(directory: Path, docker_config: Path) -> FoundState:
    """Return the state for a Docker configuration, or a new state if there is none. Changes nothing. Blocks.

    If a file cannot be read, it may be the one for this configuration. Then every login counts as a person's.
    """
    first, named = directory / _FIRST, directory / _own_name(str(docker_config))
    new = new_state(docker_config)
    try:
        files = {path: _read(path) for path in _files(directory)}
    except OSError as error:
        return replace(_lost(directory, _unreadable(error), first, new), unreadable=True)
    readable = {path: state for path, state in files.items() if isinstance(state, SavedState)}
    own = _own(readable, docker_config)
    if own is not None:
        return FoundState(own, readable[own], _damage(own, readable[own]))
    new = _with_known_rejections(new, readable)
    for path in (named, first):
        fault = files.get(path)
        if isinstance(fault, str):
            return _lost(path, fault, path, new)
    # Another path may lead to this configuration. Then a file that is damaged, or was kept aside, may be its own.
    if _is_kept_aside(directory) or any(isinstance(state, str) for state in files.values()):
        new = replace(new, preexisting={})
    return FoundState(named if first in files else first, new)


def last_written_state(directories: Iterable[Path], docker_config: Path) -> FoundState:
    """Return the state that an agent has written last for a Docker configuration, else that in the first directory.

    Changes nothing. Blocks.
    """
    found = [find_state(directory, docker_config) for directory in directories]
    return max(found, key=lambda each: _written_at(each.path))


def known_configurations(directory: Path) -> list[Path]:
    """Return the Docker configurations that agents with this state directory have managed. Blocks."""
    try:
        states = [_read(path) for path in _files(directory)]
    except OSError:
        return []
    return [Path(state.docker_config) for state in states if isinstance(state, SavedState)]


def save_state(path: Path, state: SavedState, *, keep_aside: bool) -> Path:
    """Write the state, and return the path of its file: another agent may have taken `state.json` first. Blocks.

    With `keep_aside`, the file that is there now is kept under another name. If this raises an OSError, nothing has
    changed.
    """
    directory = path.parent
    named = directory / _own_name(state.docker_config)
    temporary = named.with_suffix(".json.new")
    # A person may have removed the directory while the agent was running.
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        _write(temporary, format_state(state))
        if keep_aside and not _is_of_other(path, state):
            _keep_aside(path)
        if path.name == _FIRST and _replace_first(temporary, path, state):
            return path
        is_new = not named.exists()
        temporary.replace(named)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    if is_new:
        _remove_gone(directory)
    return named


def _files(directory: Path) -> list[Path]:
    """Return the state files, the first one first and then the newest."""
    others: list[Path] = []
    # Not `glob`: it takes a directory that it may not read for an empty one.
    with contextlib.suppress(FileNotFoundError):
        others = [path for path in directory.iterdir() if path.match("state-*.json")]
    first = directory / _FIRST
    return [*([first] if os.path.lexists(first) else []), *sorted(others, key=_written_at, reverse=True)]


def _written_at(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _own_name(docker_config: str) -> str:
    return f"state-{hashlib.sha256(os.fsencode(docker_config)).hexdigest()[:16]}.json"


def _lost(place: Path, fault: str, path: Path, new: SavedState) -> FoundState:
    lost = f"{place} {fault}: every login in Docker's configuration is left alone"
    return FoundState(path, replace(new, preexisting={}), lost)


def _unreadable(error: OSError) -> str:
    return f"cannot be read ({(error.strerror or '').lower()})"


def _read(path: Path) -> SavedState | str | None:
    """Return the state in a file, what is wrong with the file, or None if there is none."""
    try:
        version = read_version(path)
    except OSError as error:
        return _unreadable(error)
    except UnreadableFileError:
        return "is damaged"
    if version is None:
        return None
    return parse_state(version.data) or "is damaged"


def _own(states: dict[Path, SavedState], docker_config: Path) -> Path | None:
    """Return the file that belongs to the configuration, whichever path leads to it."""
    named = [path for path, state in states.items() if state.docker_config == str(docker_config)]
    # Only for an unknown path: a file system that hangs must not delay the usual start.
    return next(iter(named), None) or next(
        (path for path, state in states.items() if _is_same(state.docker_config, docker_config)), None
    )


def _is_same(path: str, other: Path) -> bool:
    try:
        return Path(path).samefile(other)
    except (OSError, ValueError):
        return False


def _damage(path: Path, state: SavedState) -> str | None:
    if not state.damaged:
        return None
    parts = printable(", ".join(state.damaged))
    return f"{path} is damaged ({parts}): logins that it no longer lists are left alone"


def _with_known_rejections(state: SavedState, others: dict[Path, SavedState]) -> SavedState:
    """Take over what registries rejected for other configurations: a wrong password is not sent once for each.

    The files share one key, so that the fingerprints in them are comparable.
    """
    for other in reversed(others.values()):
        known = state.rejections if other.key == state.key else {}
        state = replace(state, key=other.key, rejections={**known, **other.rejections})
    return state


def _replace_first(temporary: Path, path: Path, state: SavedState) -> bool:
    """Replace `state.json`, unless it belongs to another configuration by now. Return whether it was replaced."""
    try:
        rename_new(temporary, path)
    except OSError:  # there is a file, or the file system cannot rename like that
        if _is_of_other(path, state):
            return False
        temporary.replace(path)
    return True


def _is_of_other(path: Path, state: SavedState) -> bool:
    owner = _read(path)
    return isinstance(owner, SavedState) and owner.docker_config != state.docker_config


def _keep_aside(path: Path) -> None:
    """Keep a damaged file under another name. It stays where it is too, if the file system has hard links."""
    aside = Path(f"{path}{_ASIDE}")
    if os.path.lexists(path):
        aside.unlink(missing_ok=True)
        try:
            aside.hardlink_to(path)
        except OSError:
            path.rename(aside)


def _is_kept_aside(directory: Path) -> bool:
    return directory.is_dir() and any(path.suffix == _ASIDE for path in directory.iterdir())


def _remove_gone(directory: Path) -> None:
    """Remove old files of Docker configurations that no longer exist."""
    for path in _files(directory)[_KEPT:]:
        state = _read(path)
        if isinstance(state, SavedState) and not os.path.lexists(state.docker_config):
            with contextlib.suppress(OSError):
                path.unlink()


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    # Sync before the rename. Otherwise a power failure could leave an empty file.
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
