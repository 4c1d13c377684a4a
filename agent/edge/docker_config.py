"""Docker's config.json: read, changed and watched, however it lies on the disk."""

import asyncio
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

from agent.edge.atomic_file import TEMPORARY_PREFIX, FileChanged, clear_leftover, replace_version
from agent.edge.file_version import FileVersion, UnreadableFileError, read_version, signature
from agent.edge.permission_hints import permission_hint
from agent.edge.threads import WorkerThreads
from agent.model.commands import shown
from agent.model.docker_config import ConfigError, Document, format_config, parse_config
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import ConfigInvalid, ConfigUnwritable

T = TypeVar("T")

_DEADLINE_S: Final = 20.0
_PATIENCE_S: Final = 10.0
_FINISH_S: Final = 0.5
_SETTLING_S: Final = 0.05
_SETTLING_LOOKS: Final = 3
_EMPTY_S: Final = 2.0
_REASONS: Final = {
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENOENT: "the directory that its link points to is not there",
    errno.ELOOP: "its links go round in a circle",
}


@dataclass(slots=True, eq=False)
class _Update:
    """A change that somebody waits for; `outcome` is the document with it, once it is on the disk."""

    change: Callable[[Document], Document]
    outcome: Document | None = None
    given_up: bool = False


class DockerConfigFile:
    """One user's config.json. All work on it is done in one thread of its own, one step at a time.

    The subject of what it raises is the file's path.
    """

    def __init__(self, directory: Path, unit: str | None = None) -> None:
        """`unit` is the systemd service that the agent runs in, whose sandbox may be in the way."""
        self.path: Final = directory / "config.json"
        self._unit: Final = unit
        self._thread: Final = WorkerThreads(1, "docker-config")
        self._parsed: tuple[bytes, Document] | None = None
        self._orders: Final[deque[_Update]] = deque()

    async def read(self) -> Document:
        """The document; an empty one where there is no file.

        Raises:
            ConfigInvalid: Docker could not read it.
            ConfigUnwritable: it cannot be reached.
        """
        return await self._in_thread(lambda: self._settled(self._target())[1])

    async def update(self, change: Callable[[Document], Document]) -> Document:
        """Write what `change` makes of the document, and return it; where it changes nothing, nothing is written.

        `change` is pure, runs in the file's thread, and runs again on what somebody else wrote in between. Changes that
        wait for the thread at the same time are written together: a storm of logins costs a few writes.

        Raises:
            ConfigInvalid: Docker could not read it; it is left as it is.
            ConfigUnwritable: says why; it is left as it is.
        """
        order = _Update(change)
        self._orders.append(order)
        try:
            return await self._in_thread(lambda: self._carry_out(order))
        finally:
            order.given_up = order.outcome is None

    async def signature(self) -> Hashable:
        """Changes whenever the file does."""
        return await self._in_thread(self.signature_now)

    def signature_now(self) -> Hashable:
        """As `signature`; blocks."""
        return signature(self.path)

    async def remove_leftovers(self) -> None:
        """Remove what an agent that was killed left beside the file. Only for the holder of the directory's lock."""
        await self._in_thread(self._remove_leftovers)

    async def finish(self) -> None:
        """Let a write that has begun end, if it does soon: in the middle of it a temporary file lies beside."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FINISH_S):
                await asyncio.get_running_loop().run_in_executor(self._thread, lambda: None)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            async with asyncio.timeout(_DEADLINE_S):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._explained, work)
        except TimeoutError as error:
            raise ProblemError(
                ConfigUnwritable(
                    str(self.path),
                    f"{self.path} hangs: its file system does not answer",
                    hint=f"see whether the file system of {shown(self.path.parent)} (NFS?) is down",
                )
            ) from error

    def _explained(self, work: Callable[[], T]) -> T:
        """In the thread, where looking for the cause may block too."""
        try:
            return work()
        except (ConfigError, UnreadableFileError) as fault:
            raise ProblemError(ConfigInvalid(str(self.path), f"{self.path} is not valid: {fault}")) from fault
        except OSError as error:
            message = f"{self.path} cannot be written: {_reason(error)}"
            hint = permission_hint(self.path, error.errno, self._unit)
            raise ProblemError(ConfigUnwritable(str(self.path), message, hint=hint)) from error

    def _carry_out(self, order: _Update) -> Document:
        """In the thread, where each order comes by; one that was carried out with another is done already."""
        if order.outcome is None:
            # Which fails leaves the others to their own turn, and to an error of their own.
            waiting = [self._orders.popleft() for _ in range(len(self._orders))]
            orders = [*([order] if order not in waiting else []), *(each for each in waiting if not each.given_up)]
            document = self._update(lambda now: reduce(lambda held, each: each.change(held), orders, now))
            for each in orders:
                each.outcome = document
            return document
        return order.outcome

    def _update(self, change: Callable[[Document], Document]) -> Document:
        give_up, hurry = time.monotonic() + _PATIENCE_S, False
        while time.monotonic() < give_up:
            target = self._target()
            former, document = self._settled(target)
            changed = change(document)
            if changed == document:
                return document
            if former is None and target == self.path:
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                replace_version(target, former, format_config(changed), sync_after=hurry)
            except FileChanged:
                hurry = True
                continue
            return changed
        raise OSError(errno.EBUSY, "another program writes it without a pause")

    def _target(self) -> Path:
        """The file itself, past all links; it need not be there."""
        return Path(os.path.realpath(self.path))

    def _settled(self, target: Path, looks: int = _SETTLING_LOOKS) -> tuple[FileVersion | None, Document]:
        """The file and the document in it, given a moment if it looks as if somebody is just writing it in place."""
        version = read_version(target)
        if version is None:
            return None, {}
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
        """The document, parsed once as long as the file is the same: nobody changes it, and many ask."""
        if self._parsed is None or self._parsed[0] != data:
            self._parsed = (data, parse_config(data))
        return self._parsed[1]

    def _remove_leftovers(self) -> None:
        for directory in {self.path.parent, self._target().parent}:
            for leftover in directory.glob(f"{TEMPORARY_PREFIX}*"):
                clear_leftover(leftover, self._target())


def _emptied_just_now(path: Path) -> bool:
    """Whether its writer may still be at it: what they then write would go into a file that we have replaced."""
    with contextlib.suppress(OSError):
        return abs(time.time() - path.stat().st_mtime) < _EMPTY_S
    return False


def _reason(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        place = Path(str(error.filename))
        place = place.parent if place.name.startswith(TEMPORARY_PREFIX) else place
        return f"{(error.strerror or 'permission denied').lower()} (for user {os.geteuid()}): {place}"
    return _REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()
