"""Reads secrets from a directory, as Kubernetes, Docker, systemd or a person places them there."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from agent.edge.regular_file import EMPTY_MOUNT, NotRegularError, is_ours, open_regular
from agent.model.commands import shown
from agent.model.document_text import DocumentError, field_text, text_of
from agent.model.password_source import Trust
from agent.model.pasted_text import is_whole_document
from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretsUnavailable
from agent.model.secret_fields import fields_meant
from agent.model.secret_formats import FIELDS, ParseResult, read_document, read_fields
from agent.model.text import escaped
from agent.model.used_files import paths_of

LARGEST: Final = 1024 * 1024
_DEEPEST: Final = 1
"""How many subdirectories deep a file may be."""
_SERVICE_ACCOUNT: Final = "serviceaccount"
"""Kubernetes and AWS mount the token of a pod here. It is never a registry secret."""
_PASSED_OVER: Final = re.compile(
    r"\.\..*|.*~|#.*#|\.#.*|\..*\.(?:sw[a-z]|kate-swp)|\.goutputstream-.*|.*___jb_(?:tmp|old)___|4913", re.DOTALL
)
"""Whole names: Kubernetes' own links (`..data`), which the visible names lead to, and editors' temporary files."""
_REASONS: Final = {
    errno.ENOENT: ("is a broken symbolic link", "make the link point to an existing file, or remove it"),
    errno.ELOOP: ("is a loop of symbolic links", "make the link point to a file, or remove it"),
    errno.EACCES: ("cannot be read: permission denied", "make it readable for the agent's user"),
    errno.EPERM: ("cannot be read: permission denied", "make it readable for the agent's user"),
}
_NO_DOCUMENT: Final = ParseResult(failed=True)
"""The result for a file that is the field of a secret. If it was a document before, its secrets stay."""


def signature(directory: Path) -> Hashable:
    """Return a value that differs once anything that `read` would read has changed. Does not open any file.

    Raises a ProblemError if the directory exists and cannot be listed.
    """
    return tuple(_signatures(directory, _names(directory)))


def read(directory: Path) -> dict[str, ParseResult]:
    """Parse each file in the directory and its subdirectories. Returns the results by path.

    Every file is a secret or a problem. A missing directory is empty. A secret with one file for each field has the
    path of the file `hostname`. Raises a ProblemError if the directory exists and cannot be listed or entered.
    """
    return dict(_readings(directory, _names(directory), depth=0))


def directories(directory: Path) -> list[Path]:
    """Return the directories to watch for changes. A link that leads out of them may still change unnoticed."""
    try:
        with os.scandir(directory) as entries:
            return [directory, *(Path(entry.path) for entry in entries if entry.is_dir())]
    except OSError:
        return []


def same_files(subjects: Iterable[str], used: Iterable[str | Path]) -> list[str]:
    """Return the subjects of problems that are one of the `used` files, through a link or spelled in another way."""
    files = {_resolved(path) for path in used} - {None}
    absolute = (subject for subject in subjects if subject.startswith("/"))
    return [subject for subject in absolute if not files.isdisjoint(map(_resolved, paths_of(subject)))]


def _resolved(path: str | Path) -> str | None:
    # It fails if a link is replaced just now, for a relative path without a working directory, or for odd characters.
    with contextlib.suppress(OSError, ValueError):
        return os.path.realpath(path)
    return None


def _readings(directory: Path, names: list[str], depth: int) -> Iterator[tuple[str, ParseResult]]:
    # At the top, a subdirectory may have any name.
    fields = [name for name in names if name in FIELDS and (depth > 0 or not (directory / name).is_dir())]
    yield from _read_field_files(directory, fields)
    meant = fields_meant(names)
    for name in names:
        path = directory / name
        try:
            if stat.S_ISDIR(path.stat().st_mode):
                yield from _read_subdirectory(path, depth + 1)
            elif name not in FIELDS:
                yield str(path), _read_file(path, meant.get(name))
        except OSError as error:
            if name not in FIELDS and _exists(path):
                yield str(path), ParseResult.failure(escaped(str(path)), *_reason(error))
        except DocumentError as error:
            yield str(path), ParseResult.failure(escaped(str(path)), str(error), error.hint)


def _read_file(path: Path, field: str | None) -> ParseResult:
    """Read a document. `field` is the field of a secret that the file may be instead."""
    text, trust = _content(path)
    origin = escaped(str(path))
    result = _parsed(text, path)
    if result.failed and field is not None:
        return ParseResult.failure(origin, f"is the {field} of a secret under another name", f"rename it to {field}")
    return result.trusting(trust)


def _parsed(text: str, path: Path) -> ParseResult:
    origin = escaped(str(path))
    try:
        return read_document(text, origin, path.stem.lstrip("."))
    except Exception as error:  # noqa: BLE001 - one odd file must not hide the others
        # Show only the type: the text of the error may quote a secret.
        fault = f"cannot be read: this is a bug in registry-agent ({type(error).__name__}); please report it"
        return ParseResult.failure(origin, fault, "move the file to another directory until the bug is fixed")


def _read_subdirectory(path: Path, depth: int) -> Iterator[tuple[str, ParseResult]]:
    origin = escaped(str(path))
    if path.parent.samefile(path) or path.parent.parent.samefile(path):
        return  # a link to its own directory
    try:
        names = _names(path)
        if names and depth > _DEEPEST and path.name != _SERVICE_ACCOUNT:
            fault = "is too deep: the agent reads only one level of directories"
            hint = f"move its files up, or add {shown(path)} to secrets.directories"
            yield str(path), ParseResult.failure(origin, fault, hint)
        elif names and depth <= _DEEPEST:
            yield from _readings(path, names, depth)
        elif path.suffix or path.name.startswith("."):
            hint = f"put the secret there as a file, and restart the container: {EMPTY_MOUNT}"
            yield str(path), ParseResult.failure(origin, "is an empty directory, but its name is that of a file", hint)
    except ProblemError as error:
        hint = "make it readable for the agent's user"
        yield str(path), ParseResult.failure(origin, error.problem.message.removeprefix(f"{origin} "), hint)


def _exists(path: Path) -> bool:
    """Return whether a listed but unreadable entry still exists.

    Raises a ProblemError if its directory can be listed but not entered (r without x), so the answer is unknown.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except PermissionError as error:
        origin = escaped(str(path.parent))
        raise ProblemError(SecretsUnavailable(origin, f"{origin} cannot be entered: permission denied")) from error
    except OSError:
        pass
    return True


def _read_field_files(directory: Path, names: list[str]) -> Iterator[tuple[str, ParseResult]]:
    """Read the files with the names of fields. Without a `hostname`, each may be a document, as any other file."""
    if "hostname" in names:
        yield str(directory / "hostname"), _read_fields(directory, names)
        return
    documents = {name: _read_if_document(directory / name) for name in names}
    yield from ((str(directory / name), result) for name, result in documents.items())
    fields = [name for name, result in documents.items() if result == _NO_DOCUMENT]
    if fields:
        # The warning is about the one file that another secret may name as its password_file.
        subject = escaped(str(directory / ("password" if "password" in names else fields[0])))
        result = _read_fields(directory, fields)
        problems = tuple(problem.about(subject) for problem in result.problems)
        yield str(directory / "hostname"), replace(result, problems=problems)


def _read_if_document(path: Path) -> ParseResult:
    try:
        text, trust = _content(path)
    except (OSError, DocumentError):
        return _NO_DOCUMENT
    result = _parsed(text, path).trusting(trust)
    return result if result.secrets or is_whole_document(text) else _NO_DOCUMENT


def _read_fields(directory: Path, names: list[str]) -> ParseResult:
    """Read a secret with one file for each field."""
    origin, fields, trust = escaped(str(directory)), {}, Trust.OWN
    for name in names:
        try:
            fields[name], of_file = _content(directory / name, field_text)
            trust = of_file if of_file is Trust.OTHERS else trust
        except OSError as error:
            fault, hint = _reason(error)
            return ParseResult.failure(origin, f"has a {name} that {fault}", hint)
        except DocumentError as error:
            return ParseResult.failure(origin, f"has a {name} that {error}", error.hint)
    return read_fields(fields, origin, directory.name).trusting(trust)


def _content(path: Path, decode: Callable[[bytes], str] = text_of) -> tuple[str, Trust]:
    """Return the text of a regular file, and who can write it.

    Follows links, never waits for a FIFO, and never opens a device. Raises OSError, or DocumentError if it is too
    large, or no text.
    """
    with open_regular(path) as file:
        content, found = file.read(LARGEST + 1), os.fstat(file.fileno())
    if len(content) > LARGEST:
        raise DocumentError("is larger than 1 MiB", "check that this is the right file: a secret is much smaller")
    return decode(content), Trust.OWN if is_ours(found) else Trust.OTHERS


def _names(directory: Path) -> list[str]:
    """Return the names of all entries that may be secrets."""
    try:
        return sorted(name for name in os.listdir(directory) if not _PASSED_OVER.fullmatch(name))  # noqa: PTH208 - only the names
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        origin, hint = escaped(str(directory)), f"set secrets.directories to {shown(directory.parent)} instead"
        raise ProblemError(SecretsUnavailable(origin, f"{origin} is not a directory", hint=hint)) from error
    except OSError as error:
        origin = escaped(str(directory))
        raise ProblemError(SecretsUnavailable(origin, f"{origin} {_reason(error)[0]}")) from error


def _signatures(directory: Path, names: list[str], depth: int = 0) -> Iterator[Hashable]:
    """Yield what `stat` says of each name, and of the files in each subdirectory."""
    for name in names:
        try:
            # A `Path` for each file would double the cost of this check, which an idle agent makes at each tick.
            found = os.stat(f"{directory}/{name}")  # noqa: PTH116
        except OSError as error:
            yield name, error.errno
            continue
        yield name, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
        if stat.S_ISDIR(found.st_mode) and depth < _DEEPEST:
            try:
                yield tuple(_signatures(directory / name, _names(directory / name), depth + 1))
            except ProblemError as error:
                yield error.problem.message


def _reason(error: OSError) -> tuple[str, str | None]:
    """Return what is wrong with a file, and the fix."""
    if isinstance(error, NotRegularError):
        return f"is {error.kind}, not a regular file", f"replace it with a regular file; {EMPTY_MOUNT}"
    return _REASONS.get(error.errno or 0, (f"cannot be read: {error.strerror}", None))
