"""Reads secrets from a directory, as Kubernetes, Docker, systemd or a person places them there."""

import errno
import os
import stat
from collections.abc import Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from agent.edge.regular_file import read_regular
from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretsUnavailable
from agent.model.secret_formats import FIELDS, ParseResult, read_document, read_fields

LARGEST: Final = 1024 * 1024
DOCKER_CONFIG: Final = ".dockerconfigjson"
_REASONS: Final = {
    errno.ENOENT: "is a broken symbolic link",
    errno.ELOOP: "is a loop of symbolic links",
    errno.EACCES: "cannot be read: permission denied",
    errno.EPERM: "cannot be read: permission denied",
    errno.EINVAL: "is not a regular file",
}


def signature(directory: Path) -> Hashable:
    """Return a value that differs once anything that `read` would read has changed. Does not open any file.

    Raises:
        ProblemError: with SecretsUnavailable if the directory exists and cannot be listed.
    """
    return tuple(_signatures(directory, _names(directory), FIELDS))


def read(directory: Path) -> dict[str, ParseResult]:
    """Parse each file and subdirectory, and return the results by path. A missing directory is empty.

    Raises:
        ProblemError: with SecretsUnavailable if the directory exists and cannot be listed or entered.
    """
    results = {}
    for name in _names(directory):
        path = directory / name
        result = _read(path, str(path))
        if result is not None:
            results[str(path)] = result
    return results


def directories(directory: Path) -> list[Path]:
    """Return the directories to watch for changes. A link that leads out of them may still change unnoticed."""
    try:
        with os.scandir(directory) as entries:
            return [directory, *(Path(entry.path) for entry in entries if entry.is_dir())]
    except OSError:
        return []


def _read(path: Path, origin: str) -> ParseResult | None:
    """Parse one entry. Return None for an entry that is not a secret, or that vanished since the listing."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            return _read_subdirectory(path, origin)
        if path.suffix == ".json" or path.name == DOCKER_CONFIG:
            return read_document(_content(path), origin, path.stem.lstrip("."))
    except OSError as error:
        # A broken link without a suffix may be meant to lead to a subdirectory with a secret.
        may_be_secret = path.suffix in ("", ".json") or path.name == DOCKER_CONFIG
        return ParseResult.failure(origin, _reason(error)) if _exists(path) and may_be_secret else None
    except UnicodeDecodeError as error:
        return ParseResult.failure(origin, f"is not UTF-8 (byte {error.start})")
    return None


def _exists(path: Path) -> bool:
    """Return whether a listed but unreadable entry still exists.

    Raises:
        ProblemError: with SecretsUnavailable if its directory can be listed but not entered (r without x), so the
            answer is unknown.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except PermissionError as error:
        raise ProblemError(
            SecretsUnavailable(str(path.parent), f"{path.parent} cannot be entered: permission denied")
        ) from error
    except OSError:
        pass
    return True


def _read_subdirectory(path: Path, origin: str) -> ParseResult | None:
    """Read a secret with one file for each field. Return None if the directory has no such file."""
    try:
        names = sorted(FIELDS.intersection(os.listdir(path)))  # noqa: PTH208 - only the names are needed
    except OSError as error:
        return ParseResult.failure(origin, _reason(error))
    fields = {}
    for name in names:
        try:
            fields[name] = _content(path / name)
        except OSError as error:
            return ParseResult.failure(origin, f"has a {name} that {_reason(error)}")
        except UnicodeDecodeError:
            return ParseResult.failure(origin, f"has a {name} that is not UTF-8")
    return read_fields(fields, origin, path.name) if fields else None


def _content(path: Path) -> str:
    """Return the text of a regular file. Follows links, never waits for a FIFO, and never opens a device.

    Raises:
        OSError: the file cannot be read. If `errno` is None, the text is our own message.
        UnicodeDecodeError: the file is not UTF-8.
    """
    content = read_regular(path, LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError("is larger than 1 MiB")
    return content.decode("utf-8-sig")


def _names(directory: Path) -> list[str]:
    """Return the names that may be secrets. A foreign file next to them costs no call of its own."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if _may_be_secret(entry))
    except FileNotFoundError:
        return []
    except OSError as error:
        reason = "is not a directory" if error.errno == errno.ENOTDIR else _reason(error)
        raise ProblemError(SecretsUnavailable(str(directory), f"{directory} {reason}")) from error


def _may_be_secret(entry: os.DirEntry[str]) -> bool:
    # Kubernetes keeps the data behind hidden links such as `..data`: the visible names lead to the same files.
    if entry.name.startswith("."):
        return entry.name == DOCKER_CONFIG
    # A link may lead to a subdirectory. The listing itself tells the type.
    return entry.name.endswith(".json") or not entry.is_file(follow_symlinks=False)


def _signatures(directory: Path, names: Iterable[str], fields: AbstractSet[str] = frozenset()) -> Iterator[Hashable]:
    """Yield what `stat` says of each name, and of the `fields` in each subdirectory."""
    for name in names:
        path = directory / name
        try:
            found = path.stat()
        except OSError as error:
            yield name, error.errno
            continue
        yield name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        if fields and stat.S_ISDIR(found.st_mode):
            try:
                yield tuple(_signatures(path, sorted(fields & set(os.listdir(path)))))  # noqa: PTH208 - only the names
            except OSError as error:
                yield error.errno


def _reason(error: OSError) -> str:
    if error.errno is None:
        return str(error)
    return _REASONS.get(error.errno, f"cannot be read: {error.strerror}")
