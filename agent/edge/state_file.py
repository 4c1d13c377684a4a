"""The state directory: one small file with keyed hashes of the agent's own logins, and with recent rejections."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import secrets
import threading
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.edge.file_version import UnreadableFileError, read_version
from agent.edge.threads import WorkerThreads
from agent.model.docker_config import Entry
from agent.model.problem import RetryClass
from agent.model.registry import parse_hostname
from agent.model.stored_state import Rejection, StoredLogin

if TYPE_CHECKING:
    from concurrent.futures import Future

_FILE: Final = "state.json"
_VERSION: Final = 1
_FLUSH_S: Final = 5.0
_STORED_NAMES: Final = {"retry_class": "pace"}
"""The file keeps the field names of version 1.0.0, so that the agent can read it after an upgrade."""


class StateFile:
    """Reads the file once at start and writes each change in the background. Without a file it works in memory.

    `preexisting` holds digests of the logins that were in Docker's configuration at the agent's first start, by
    Docker's key, or by "HELPER KEY" for a credential helper. None means that the agent has not looked yet. If the file
    cannot be read, it is empty, so that every login counts as a person's.
    """

    def __init__(self, directory: Path | None, docker_config: Path) -> None:
        """Read the file. Blocks.

        Args:
            directory: the state directory, created if missing. None means in memory only.
            docker_config: the configuration that holds the logins. Entries about another one are not used.
        """
        self._directory: Final = directory
        self._docker_config: Final = str(docker_config)
        self._key = secrets.token_hex(32)
        self._entries: dict[str, StoredLogin] = {}
        self._rejections: dict[str, Rejection] = {}
        self._thread: Final = WorkerThreads(1, "state_file")
        self._last_write: Future[None] | None = None
        self._next: dict[str, Any] | None = None
        self._next_lock: Final = threading.Lock()
        self.preexisting: Mapping[str, str] | None = None
        self.fault: str | None = None
        """Why the state is only in memory, or what was lost. None means that nothing is wrong."""
        self._load()

    def digest(self, docker_key: str, entry: Entry) -> str:
        """Return a keyed hash of one login. It ignores the user name of a token, because some stores do not keep it."""
        username = "" if entry.identity_token else entry.username
        return self.fingerprint(docker_key, username, entry.secret.reveal(), str(entry.identity_token))

    def fingerprint(self, *parts: str) -> str:
        """Return a keyed hash that reveals nothing about `parts` and stays the same after a restart."""
        return hmac.new(self._key.encode(), json.dumps(parts).encode(), hashlib.sha256).hexdigest()

    def entries(self) -> Mapping[str, StoredLogin]:
        """Return the logins that the agent manages, by registry hostname."""
        return dict(self._entries)

    def set_entry(self, hostname: str, entry: StoredLogin | None) -> None:
        if self._entries.get(hostname) != entry:
            self._set(self._entries, hostname, entry)

    def set_preexisting(self, preexisting: Mapping[str, str]) -> None:
        if preexisting != self.preexisting:
            self.preexisting = dict(preexisting)
            self._write_behind()

    def rejection(self, hostname: str) -> Rejection | None:
        return self._rejections.get(hostname)

    def set_rejection(self, hostname: str, rejection: Rejection | None) -> None:
        if self._rejections.get(hostname) != rejection:
            self._set(self._rejections, hostname, rejection)

    async def flush(self) -> None:
        """Wait until all changes so far are on disk, but not longer than a few seconds."""
        if self._last_write is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_S):
                    await asyncio.shield(asyncio.wrap_future(self._last_write))

    def _set(self, table: dict[str, Any], hostname: str, value: StoredLogin | Rejection | None) -> None:
        if value is None:
            del table[hostname]
        else:
            table[hostname] = value
        self._write_behind()

    def _load(self) -> None:
        if self._directory is None:
            self.fault = "there is no state directory"
            return
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self.fault = f"{self._directory}: {(error.strerror or '').lower()}"
            return
        try:
            version = read_version(self._directory / _FILE)
            if version is not None:
                self._restore(json.loads(version.data))
        except OSError as error:
            self._treat_all_as_foreign(f"cannot be read ({(error.strerror or '').lower()})")
        except (UnreadableFileError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            self._treat_all_as_foreign("is damaged")

    def _treat_all_as_foreign(self, fault: str) -> None:
        self.fault = f"{self._directory}/{_FILE} {fault}: every login in Docker's configuration is left alone"
        self.preexisting = {}

    def _restore(self, state: dict[str, Any]) -> None:
        """Use the content of the file. Check all of it first, so that a damaged file changes nothing."""
        key, version = state["key"], state["version"]
        rejections = {hostname: _rejection(fields) for hostname, fields in state["rejections"].items()}
        entries = {hostname: _stored_login(fields) for hostname, fields in state["entries"].items()}
        preexisting = state["brought"]
        if version != _VERSION or not isinstance(preexisting, dict | None):
            raise TypeError("the state of another version")
        _check_texts(key, *(preexisting or {}).values())
        if any(parse_hostname(hostname).hostname != hostname for hostname in entries):
            raise ValueError("not a host name")
        self._key, self._rejections = key, rejections
        if state["docker_config"] == self._docker_config:
            self._entries, self.preexisting = entries, preexisting

    def _state(self) -> dict[str, Any]:
        """Return a copy of the current state, so that the thread can serialise it later."""
        return {
            "version": _VERSION,
            "key": self._key,
            "docker_config": self._docker_config,
            "entries": dict(self._entries),
            "brought": self.preexisting,
            "rejections": dict(self._rejections),
        }

    def _write_behind(self) -> None:
        """Schedule a write, unless one is waiting already. That one will write the newest state."""
        if self._directory is not None:
            with self._next_lock:
                waiting, self._next = self._next is not None, self._state()
            if not waiting:
                self._last_write = self._thread.submit(self._write, self._directory)

    def _write(self, directory: Path) -> None:
        """Write the newest state. Runs in the thread. One write covers all changes made since the last one."""
        with self._next_lock:
            newest, self._next = self._next, None
        state = json.dumps(newest, default=_as_json).encode()
        temporary = directory / f"{_FILE}.new"
        try:
            # A person may have removed the directory while the agent was running.
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            # Sync before the rename. Otherwise a power failure could leave an empty file.
            with os.fdopen(descriptor, "wb") as file:
                file.write(state)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(directory / _FILE)
        except OSError as error:
            self.fault = f"{directory} cannot be written: {(error.strerror or '').lower()}"
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _as_json(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    fields: dict[str, Any] = asdict(value)  # type: ignore[call-overload]
    return {_STORED_NAMES.get(name, name): field for name, field in fields.items()}


def _stored_login(fields: dict[str, Any]) -> StoredLogin:
    expires_at = fields["expires_at"]
    _check_texts(fields["docker_key"], *fields["digests"])
    return StoredLogin(
        docker_key=fields["docker_key"],
        digests=tuple(fields["digests"]),
        expires_at=None if expires_at is None else _moment(expires_at),
    )


def _rejection(fields: dict[str, Any]) -> Rejection:
    _check_texts(*fields.values())
    known = {name: field for name, field in fields.items() if name != "pace"}
    retry_class = RetryClass(fields.get("pace", RetryClass.REJECTED))
    return Rejection(**{**known, "not_before": _moment(fields["not_before"]), "retry_class": retry_class})


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone")
    return moment.astimezone(UTC)


def _check_texts(*values: object) -> None:
    """Reject values that are not text or not valid Unicode. Otherwise they would fail later, when they are used."""
    for value in values:
        if not isinstance(value, str):
            raise TypeError("a value that is not text")
        value.encode()  # raises for lone surrogates
