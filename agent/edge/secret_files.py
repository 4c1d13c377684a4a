"""Secrets in a directory, as Kubernetes, Docker, systemd or a person puts them there."""

import errno
import os
import stat
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Final

from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretsUnavailable
from agent.model.secret_formats import FIELDS, ParseResult, read_document, read_fields

LARGEST: Final = 1024 * 1024
DOCKER_CONFIG: Final = ".dockerconfigjson"
_WORDS: Final = {
    errno.ENOENT: "leads nowhere: it is a dangling link",
    errno.ELOOP: "is a loop of links",
    errno.EACCES: "cannot be read: permission denied",
    errno.EPERM: "cannot be read: permission denied",
}


def signature(directory: Path) -> Hashable:
    """What changes when anything that `read` would read changes; content is not opened.

    Raises:
        SecretsUnavailable: the directory is there and cannot be listed.
    """
    return tuple(_marks(directory, depth=1))


def read(directory: Path) -> dict[str, ParseResult]:
    """What each file and subdirectory gave, by its path; nothing where the directory is not there.

    Raises:
        SecretsUnavailable: the directory is there and cannot be listed or entered.
    """
    readings = {}
    for name in _names(directory):
        path = directory / name
        reading = _read(path, str(path))
        if reading is not None:
            readings[str(path)] = reading
    return readings


def directories(directory: Path) -> list[Path]:
    """Those in which something must happen when what `read` would read changes; links out of them lead elsewhere."""
    try:
        with os.scandir(directory) as entries:
            return [directory, *(Path(entry.path) for entry in entries if entry.is_dir())]
    except OSError:
        return []


def _read(path: Path, origin: str) -> ParseResult | None:
    """The reading of one entry; None for what is none of ours, or went since the directory was listed."""
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            return _read_subdirectory(path, origin)
        if path.suffix == ".json" or path.name == DOCKER_CONFIG:
            return read_document(_content(path), origin, path.stem.lstrip("."))
    except OSError as error:
        ours = path.suffix in ("", ".json") or path.name == DOCKER_CONFIG
        return ParseResult.failure(origin, _why(error)) if _is_there(path) and ours else None
    except UnicodeDecodeError as error:
        return ParseResult.failure(origin, f"is not UTF-8 (byte {error.start})")
    return None


def _is_there(path: Path) -> bool:
    """Whether a listed entry, which cannot be read, has not just gone.

    Raises:
        SecretsUnavailable: its directory can be listed and not entered (r without x), so nobody can tell.
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
    """A secret with a file for each field; a directory without any such file is none of ours."""
    try:
        names = sorted(FIELDS.intersection(os.listdir(path)))  # noqa: PTH208 - names alone are wanted
    except OSError as error:
        return ParseResult.failure(origin, _why(error))
    fields = {}
    for name in names:
        try:
            fields[name] = _content(path / name)
        except OSError as error:
            return ParseResult.failure(origin, f"has a {name} that {_why(error)}")
        except UnicodeDecodeError:
            return ParseResult.failure(origin, f"has a {name} that is not UTF-8")
    return read_fields(fields, origin, path.name) if fields else None


def _content(path: Path) -> str:
    """A regular file's text, after following links. A FIFO is not waited for, a device never opened.

    Raises:
        OSError: it cannot be read; `errno` None with words of our own.
        UnicodeDecodeError: not UTF-8.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError("is not a regular file")
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError("is larger than 1 MiB")
    return content.decode("utf-8-sig")


def _names(directory: Path) -> list[str]:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names alone are wanted
    except FileNotFoundError:
        return []
    except OSError as error:
        why = "is not a directory" if error.errno == errno.ENOTDIR else _why(error)
        raise ProblemError(SecretsUnavailable(str(directory), f"{directory} {why}")) from error
    return sorted(name for name in names if not name.startswith(".") or name == DOCKER_CONFIG)


def _marks(directory: Path, depth: int) -> Iterator[Hashable]:
    for name in _names(directory):
        try:
            found = (directory / name).stat()
        except OSError as error:
            yield name, error.errno
            continue
        yield name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        if depth and stat.S_ISDIR(found.st_mode):
            try:
                yield tuple(_marks(directory / name, depth - 1))
            except ProblemError as error:
                yield error.problem.message


def _why(error: OSError) -> str:
    if error.errno is None:
        return str(error)
    return _WORDS.get(error.errno, f"cannot be read: {error.strerror}")
