"""What survives a restart of the agent: keyed hashes of its own logins, and recent rejections."""

import asyncio
import contextlib
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, TypeVar

from agent.blocking import BlockingCalls, NoThreadError
from agent.edge.state_directory import FoundState, find_state, new_state, save_state
from agent.model.docker_config import Entry
from agent.model.problem import Problem
from agent.model.problems.environment import StateUnusable, state_unreadable, state_unsaved
from agent.model.stored_state import Rejection, StoredLogin

if TYPE_CHECKING:
    from concurrent.futures import Future

_Value = TypeVar("_Value")

_FLUSH_S: Final = 5.0
_NO_DIRECTORY: Final = "there is no state directory"


class StateFile:
    """The state for one Docker configuration. It is read once, and each change is written in the background.

    Without a directory it works in memory.
    """

    def __init__(self, directory: Path | None, docker_config: Path) -> None:
        """`directory` is created with the first change. None means in memory only. Call `load` before the first use."""
        self._directory: Final = directory
        self._docker_config: Final = docker_config
        self._state = new_state(docker_config)
        # Kept apart from the state, because a copy of all logins for each change would be slow.
        self._entries: dict[str, StoredLogin] = {}
        self._rejections: dict[str, Rejection] = {}
        self._path = directory
        self._lost: str | None = None
        self._is_unreadable = False
        self._unsaved: str | None = None if directory else _NO_DIRECTORY
        self._keep_aside = False
        self._calls: Final = BlockingCalls("state")
        self._last_write: Future[None] | None = None
        self._waiting = False

    @classmethod
    def loaded(cls, directory: Path | None, docker_config: Path) -> Self:
        """Return a state file that has been read. Blocks."""
        state_file = cls(directory, docker_config)
        state_file.use(state_file.find())
        return state_file

    def find(self) -> FoundState | None:
        """Return the state on disk, for `use`. None without a directory. Blocks, and may run in any thread."""
        return find_state(self._directory, self._docker_config) if self._directory else None

    def use(self, found: FoundState | None) -> None:
        if found is not None:
            self._state, self._path, self._lost = found.state, found.path, found.lost
            self._entries, self._rejections = dict(found.state.entries), dict(found.state.rejections)
            self._keep_aside, self._is_unreadable = found.lost is not None, found.unreadable

    def treat_all_as_foreign(self, reason: str) -> None:
        """Use no state: every login counts as a person's. `reason` is why the state could not be found."""
        self._lost = f"{self._directory} {reason}: every login in Docker's configuration is left alone"
        self._unsaved = self._lost
        self._is_unreadable = True
        self._path = None
        self._state = replace(self._state, preexisting={})

    @property
    def fault(self) -> str | None:
        """What was lost, or why the state is only in memory. None means that nothing is wrong."""
        return self._lost or self._unsaved

    def problems(self) -> tuple[Problem, ...]:
        """Return the same for the board."""
        place = str(self._path or "state")
        if self._lost:
            report = state_unreadable if self._is_unreadable else StateUnusable
            return (report(place, self._lost),)
        return (state_unsaved(place, self._unsaved),) if self._unsaved else ()

    @property
    def preexisting(self) -> Mapping[str, str] | None:
        """Digests of the logins that were there at the first start. None means that the agent has not looked yet."""
        return self._state.preexisting

    def digest(self, docker_key: str, entry: Entry) -> str:
        """Return a keyed hash of one login. It ignores the user name of a token, because some stores do not keep it."""
        username = "" if entry.identity_token else entry.username
        return self.fingerprint(docker_key, username, entry.secret.reveal(), str(entry.identity_token))

    def fingerprint(self, *parts: str) -> str:
        """Return a keyed hash that reveals nothing about `parts` and stays the same after a restart."""
        return hmac.new(self._state.key.encode(), json.dumps(parts).encode(), hashlib.sha256).hexdigest()

    def entries(self) -> Mapping[str, StoredLogin]:
        """Return the logins that the agent manages, by registry hostname."""
        return self._entries

    def set_entry(self, hostname: str, entry: StoredLogin | None) -> None:
        self._set(self._entries, hostname, entry)

    def set_preexisting(self, preexisting: Mapping[str, str]) -> None:
        if preexisting != self.preexisting:
            self._state = replace(self._state, preexisting=dict(preexisting))
            self._write_behind()

    def rejection(self, hostname: str) -> Rejection | None:
        return self._rejections.get(hostname)

    def rejections(self) -> Mapping[str, Rejection]:
        """Return the recent rejections, by registry hostname."""
        return self._rejections

    def set_rejection(self, hostname: str, rejection: Rejection | None) -> None:
        self._set(self._rejections, hostname, rejection)

    def save_again(self) -> None:
        """Try again to write the state, if the last attempt failed."""
        if self._unsaved is not None:
            self._write_behind()

    async def flush(self) -> None:
        """Wait until all changes so far are on disk, but not longer than a few seconds."""
        if self._last_write is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_S):
                    await asyncio.shield(asyncio.wrap_future(self._last_write))

    def _set(self, table: dict[str, _Value], hostname: str, value: _Value | None) -> None:
        if table.get(hostname) == value:
            return
        if value is None:
            del table[hostname]
        else:
            table[hostname] = value
        self._write_behind()

    def _write_behind(self) -> None:
        """Schedule a write, unless one is waiting already. That one will write the newest state."""
        if self._path is None or self._waiting:
            return
        self._waiting = True
        try:
            self._last_write = self._calls.submit("state", partial(self._write, self._path))
        except NoThreadError as error:  # the next change tries again
            self._waiting = False
            self._unsaved = f"{self._path} cannot be written: {error.strerror}"

    def _write(self, path: Path) -> None:
        """Write the newest state. Runs in the thread. One write covers all changes made since the last one."""
        # Before the state is read: a change from now on needs another write.
        self._waiting = False
        try:
            # A copy is one step of the interpreter, so no change in the loop's thread can interrupt it.
            state = replace(self._state, entries=self._entries.copy(), rejections=self._rejections.copy())
            self._path = save_state(path, state, keep_aside=self._keep_aside)
        except OSError as error:
            self._unsaved = f"{path} cannot be written: {(error.strerror or '').lower()}"
        else:
            self._keep_aside = False
            self._unsaved = None
