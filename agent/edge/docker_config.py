"""Reads, changes and watches Docker's config.json: a plain file, a symbolic link or a bind mount."""

import contextlib
import errno
import os
import time
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Final, TypeVar

from agent.blocking import BlockingCalls, NoThreadError
from agent.edge.atomic_file import TEMPORARY_PREFIX, FileChanged, clear_leftover, replace_version
from agent.edge.file_version import FileVersion, UnreadableFileError, read_version, signature
from agent.edge.permission_hints import permission_hint, replacement_hint, write_fault
from agent.edge.write_check import check_writable
from agent.model.commands import shown
from agent.model.docker_config import ConfigError, Document, format_config, parse_config
from agent.model.docker_config_fields import UNKNOWN, CliVersion
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import ConfigInvalid, ConfigUnwritable

T = TypeVar("T")

# One call, including its wait for the thread. A file system that hangs must not block the agent for longer.
_DEADLINE_S: Final = 20.0
# How long an update tries to win against a program that keeps writing the file.
_PATIENCE_S: Final = 10.0
# How long the shutdown waits for a write that has started.
_FINISH_S: Final = 0.5
# A file that does not parse is read again: another program may be in the middle of its write.
_SETTLING_S: Final = 0.05
_SETTLING_LOOKS: Final = 3
# For this long after its last change, an empty file counts as one that is being written.
_EMPTY_S: Final = 2.0


@dataclass(slots=True, eq=False)
class _Update:
    """A change that a caller waits for. `outcome` is the changed document, once it is on disk."""

    change: Callable[[Document], Document]
    outcome: Document | None = None
    given_up: bool = False


def _changed_by(document: Document, update: _Update) -> Document:
    """Apply an update whose caller still waits. A file system that hung may answer long after the caller gave up."""
    return document if update.given_up else update.change(document)


class DockerConfigFile:
    """One user's config.json. All work on it happens in a thread, one step at a time.

    The subject of each problem is the path of the file.
    """

    def __init__(
        self, directory: Path, unit: str | None = None, *, cli_version: Callable[[], CliVersion | None] = lambda: None
    ) -> None:
        """`unit` is the systemd service that the agent runs in. Its sandbox may prevent writes.

        `cli_version` returns the version of the installed docker CLI, or None if it is not known.
        """
        self.path: Final = directory / "config.json"
        self._unit: Final = unit
        self._cli_version: Final = cli_version
        self._calls: Final = BlockingCalls("docker-config")
        self._parsed: tuple[bytes, CliVersion, Document] | None = None
        self._pending: Final[deque[_Update]] = deque()

    async def read(self) -> Document:
        """Return the document, or an empty one if the file does not exist.

        Raises a ProblemError with ConfigInvalid if Docker could not read it, or ConfigUnwritable if the agent cannot.
        """
        return await self._in_thread(lambda: self._settled(self._target())[1])

    async def update(self, change: Callable[[Document], Document]) -> Document:
        """Apply `change` to the document, write the result and return it. Write nothing if nothing changes.

        `change` must have no effects. It runs in the file's thread, right before the write, and again if another
        program wrote the file in the meantime. It does not run once the caller has given up. Changes that wait for the
        thread at the same time are written together, so many logins at once cost only a few writes. Raises the same as
        `read`, and then the file is unchanged.
        """
        update = _Update(change)
        self._pending.append(update)
        try:
            return await self._in_thread(lambda: self._apply(update))
        finally:
            # A caller that failed, timed out or was cancelled no longer wants its change.
            update.given_up = update.outcome is None

    async def check_writable(self) -> None:
        """Raise the problem that `update` would meet, without writing anything. It does not see a quota."""
        await self._in_thread(lambda: check_writable(self.path))

    async def signature(self) -> Hashable:
        """Return a value that differs whenever the file, or the docker that reads it, has changed."""
        return await self._in_thread(self.signature_now)

    def signature_now(self) -> Hashable:
        """Do the same as `signature`, but block the calling thread."""
        return self._cli_version(), signature(self.path)

    async def remove_leftovers(self) -> None:
        """Remove temporary files that a killed agent left next to the file. Call it only with the directory locked."""
        await self._in_thread(self._remove_leftovers)

    async def finish(self) -> None:
        """Wait a moment for a write that has started. An interrupted write would leave a temporary file behind."""
        with contextlib.suppress(TimeoutError, NoThreadError):
            await self._calls.call(self.path, lambda: None, timeout=_FINISH_S)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await self._calls.call(self.path, lambda: self._translate_errors(work), timeout=_DEADLINE_S)
        except NoThreadError as error:
            message = f"{self.path} cannot be written: {error.strerror}"
            hint = permission_hint(self.path, errno.EAGAIN, self._unit)
            raise ProblemError(ConfigUnwritable(str(self.path), message, hint=hint)) from error
        except TimeoutError as error:
            message = f"{self.path} hangs: its file system does not answer"
            hint = f"check whether the file system of {shown(self.path.parent)} (NFS?) is down"
            raise ProblemError(ConfigUnwritable(str(self.path), message, hint=hint)) from error

    def _translate_errors(self, work: Callable[[], T]) -> T:
        """Run `work` and turn its errors into problems. Runs in the thread, because finding the cause may block too."""
        try:
            return work()
        except (ConfigError, UnreadableFileError) as fault:
            hint = replacement_hint(self.path) if isinstance(fault, UnreadableFileError) else None
            message = f"{self.path} is not valid: {fault}"
            raise ProblemError(ConfigInvalid(str(self.path), message, hint=hint)) from fault
        except OSError as error:
            message = f"{self.path} cannot be written: {write_fault(self.path, error, TEMPORARY_PREFIX)}"
            hint = permission_hint(self.path, error.errno, self._unit)
            raise ProblemError(ConfigUnwritable(str(self.path), message, hint=hint)) from error

    def _apply(self, update: _Update) -> Document:
        """Apply `update` together with all others that wait. Runs in the thread, once per update.

        An update that was already applied together with an earlier one has its outcome.
        """
        if update.outcome is None:
            # If this batch fails, each of the others runs again in its own call and gets its own error.
            waiting = [self._pending.popleft() for _ in range(len(self._pending))]
            batch = [*([update] if update not in waiting else []), *(each for each in waiting if not each.given_up)]
            document = self._update(lambda now: reduce(_changed_by, batch, now))
            for each in batch:
                each.outcome = document
            return document
        return update.outcome

    def _update(self, change: Callable[[Document], Document]) -> Document:
        deadline, in_a_hurry = time.monotonic() + _PATIENCE_S, False
        while time.monotonic() < deadline:
            target = self._target()
            former, document = self._settled(target)
            changed = change(document)
            if changed == document:
                return document
            # A link that leads nowhere may be for a disk that is missing. What it leads to is not created.
            if former is None and not self.path.is_symlink() and not self.path.parent.is_symlink():
                # If a link above it leads nowhere, the link itself "exists". The write then shows what is missing.
                with contextlib.suppress(FileExistsError):
                    self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                replace_version(target, former, format_config(changed), sync_after=in_a_hurry)
            except FileChanged:
                # Another program was faster. Sync after the rename from now on, to win the next race.
                in_a_hurry = True
                continue
            return changed
        raise OSError(errno.EBUSY, "another program keeps writing it")

    def _target(self) -> Path:
        """Return the path of the real file behind all symbolic links. The file need not exist."""
        return Path(os.path.realpath(self.path))

    def _settled(self, target: Path, looks: int = _SETTLING_LOOKS) -> tuple[FileVersion | None, Document]:
        """Read the file and parse it. Wait a moment if it looks as if another program is writing it in place."""
        version = read_version(target)
        if version is None:
            return None, {}
        # A program that writes in place empties the file first: for a moment it is empty or only half written.
        try:
            document = self._parse(version.data)
            if version.data.strip() or (looks <= 1 and not _emptied_just_now(target)):
                return version, document
        except ConfigError:
            if looks <= 1:
                raise
        time.sleep(_SETTLING_S)
        return self._settled(target, looks - 1)

    def _parse(self, data: bytes) -> Document:
        """Parse the document, or return the last one if the bytes are the same. Callers never modify a document."""
        cli = self._cli_version() or UNKNOWN
        if self._parsed is None or self._parsed[:2] != (data, cli):
            self._parsed = (data, cli, parse_config(data, cli))
        return self._parsed[2]

    def _remove_leftovers(self) -> None:
        for directory in {self.path.parent, self._target().parent}:
            for leftover in directory.glob(f"{TEMPORARY_PREFIX}*"):
                clear_leftover(leftover, self._target())


def _emptied_just_now(path: Path) -> bool:
    """Return whether a program may still be writing the file. Replacing it now would lose that write."""
    with contextlib.suppress(OSError):
        return abs(time.time() - path.stat().st_mtime) < _EMPTY_S
    return False
