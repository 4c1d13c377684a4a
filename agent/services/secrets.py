"""Follows every source of secrets, and says what all of them together give."""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

from agent.model.plan import SecretSet
from agent.model.problem import Problem
from agent.model.secret import RegistrySecret
from agent.model.secret_formats import ParseResult
from agent.services.retries import retrying
from agent.services.secret_sources import Address, AddressSource, DirectorySource, Files, signature_of
from agent.services.waiting import Clock, FileWatcher, wait_for_change
from agent.settings import RetrySettings, Settings

_TICK_S: Final = 1.0
_FIRST_ANSWER_S: Final = 2.0
"""How long the first word to the logins waits for a slow address."""
_SPREAD: Final = 0.1
_URL: Final = "secrets.url"
_ENVIRONMENT: Final = "secrets.environment"


class Board(Protocol):
    def report(self, owner: str, problems: Iterable[Problem] = ()) -> None: ...


class Log(Protocol):
    def info(self, event: str, **fields: object) -> None: ...


class Scrubber(Protocol):
    def protect(self, values: Iterable[str]) -> None: ...


class Secrets:
    """Calls `on_change` with all secrets after the first reading, and whenever they differ.

    Args:
        settings: those of the moment; after a change of them `wake` makes it hold at once.
        clock: for all its waiting.
        board: told what is wrong with each source.
        log: gets `secrets.changed`.
        scrubber: told every value before anybody else is.
        files: how a directory is read.
        address: how `secrets.url` is asked.
        environment: what the variables gave at the start; nobody else keeps them.
        credentials_directory: systemd's $CREDENTIALS_DIRECTORY, read like those of the settings.
        draw: from -1 to 1, for the spread of `secrets.poll_interval_s`.
        watcher: says when a directory may have changed.
        on_change: called in the event loop.
    """

    name: Final = "secrets"

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        clock: Clock,
        board: Board,
        log: Log,
        scrubber: Scrubber,
        files: Files,
        address: Address,
        environment: ParseResult,
        credentials_directory: Path | None,
        jitter: Callable[[], float],
        watcher: FileWatcher,
        on_change: Callable[[SecretSet], None],
    ) -> None:
        self._settings: Final = settings
        self._clock: Final = clock
        self._board: Final = board
        self._log: Final = log
        self._scrubber: Final = scrubber
        self._files: Final = files
        self._environment: Final = environment
        self._credentials_directory: Final = credentials_directory
        self._jitter: Final = jitter
        self._watcher: Final = watcher
        self._on_change: Final = on_change
        self._directories: dict[Path, DirectorySource] = {}
        self._address: Final = AddressSource(address)
        self._reported: dict[str, tuple[Problem, ...]] = {}
        self._secrets: tuple[RegistrySecret, ...] = ()
        self._told = False
        self._told_all = False
        self._told_sound = False
        self._answered: Final = asyncio.Event()
        self._directories_changed: Final = asyncio.Event()
        self._afresh = False
        self._wake_address: Final = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_directories(), name="secrets.directories")
            group.create_task(self._follow_address(), name="secrets.url")

    def wake(self) -> None:
        """Read everything at once: the settings changed, or somebody asks."""
        self._afresh = True
        self._directories_changed.set()
        self._wake_address.set()

    async def read_once(self) -> SecretSet:
        """All secrets, every source asked once; what is wrong is reported."""
        await asyncio.gather(self._look(afresh=True), self._ask())
        while not self._complete:
            await self._look(afresh=False)
        self._take()
        return self._found()

    async def _follow_directories(self) -> None:
        await self._look(afresh=True)
        await self._clock.wait(self._answered, _FIRST_ANSWER_S)
        self._log_changes(self._take())
        self._watcher.watch(self._signatures, self._directories_changed, directories=self._to_watch)
        while True:
            if all(source.is_stable for source in self._directories.values()):
                await wait_for_change(self._clock, self._watcher, self._directories_changed, _TICK_S)
            else:
                await self._clock.wait(self._directories_changed, _TICK_S)
                self._directories_changed.clear()
            afresh, self._afresh = self._afresh, False
            await self._look(afresh=afresh)
            self._log_changes(self._take())

    async def _follow_address(self) -> None:
        keep_asking = retrying(self._address_pace, self._until_asked)
        while True:
            await keep_asking(self._ask)
            await self._until_asked(self._settings().secrets.poll_interval_s * (1 + _SPREAD * self._jitter()))

    async def _look(self, *, afresh: bool) -> None:
        """Look at every directory, side by side: one that hangs delays no other."""
        wanted = {path: self._directories.get(path) or DirectorySource(path, self._files) for path in self._paths()}
        await asyncio.gather(*(source.look(afresh=afresh) for source in wanted.values()))
        # A new directory that was not read yet is not an empty one: the former ones stay until all have answered.
        former = {} if all(source.answered for source in wanted.values()) else self._directories
        self._directories = {**former, **wanted}

    def _paths(self) -> tuple[Path, ...]:
        extra = [self._credentials_directory] if self._credentials_directory is not None else []
        return tuple(dict.fromkeys([*self._settings().secrets.directories, *extra]))

    def _signatures(self) -> Hashable:
        return tuple(signature_of(self._files, path) for path in self._paths())

    def _to_watch(self) -> list[Path]:
        return [directory for path in self._paths() for directory in self._files.directories(path)]

    async def _ask(self) -> Problem | None:
        settings = self._settings().secrets
        try:
            return await self._address.ask(settings.url, settings.token_file)
        finally:
            self._answered.set()
            if self._told:
                self._log_changes(self._take())

    async def _until_asked(self, seconds: float) -> None:
        await self._clock.wait(self._wake_address, seconds)
        self._wake_address.clear()

    def _address_pace(self) -> RetrySettings:
        settings = self._settings()
        return replace(settings.retry, max_wait_s=settings.secrets.poll_interval_s)

    def _take(self) -> bool:
        """Protect what the sources give now, then report what is wrong; whether the secrets differ from before."""
        merged = tuple(self._merged())
        changed = merged != self._secrets
        if changed:
            # The former ones too: a login that runs still uses them, and may fail with them in its words.
            self._scrubber.protect({*_values(self._secrets), *_values(merged)})
        self._report()
        before, self._secrets = self._secrets, merged
        if changed:
            self._log.info("secrets.changed", **_difference(before, merged))
        return changed

    def _log_changes(self, changed: bool) -> None:
        found = self._found()
        # A source that is whole again without a secret is news too: what it gave before this start has gone.
        whole = found.complete != self._told_all or (found.all_sources_ok and not self._told_sound)
        if changed or not self._told or whole:
            self._told, self._told_all, self._told_sound = True, found.complete, found.all_sources_ok
            self._on_change(found)

    @property
    def _complete(self) -> bool:
        return self._answered.is_set() and all(source.answered for source in self._directories.values())

    def _found(self) -> SecretSet:
        return SecretSet(self._secrets, complete=self._complete, all_sources_ok=not any(self._reported.values()))

    def _merged(self) -> Iterator[RegistrySecret]:
        for source in self._directories.values():
            yield from source.secrets
        if self._settings().secrets.environment:
            yield from self._environment.secrets
        yield from self._address.secrets

    def _report(self) -> None:
        """Report what is news: a look that found the same again is none."""
        found: dict[str, tuple[Problem, ...]] = {
            f"secrets:{path}": source.problems for path, source in self._directories.items()
        }
        found[_ENVIRONMENT] = self._environment.problems if self._settings().secrets.environment else ()
        found[_URL] = self._address.problems
        for owner in self._reported.keys() | found.keys():
            if self._reported.get(owner, ()) != found.get(owner, ()):
                self._board.report(owner, found.get(owner, ()))
        self._reported = found


def _values(secrets: Iterable[RegistrySecret]) -> Iterator[str]:
    for secret in secrets:
        for value in (secret.password, secret.session_token):
            if value is not None:
                yield value.reveal()


def _difference(before: Iterable[RegistrySecret], after: Iterable[RegistrySecret]) -> dict[str, list[str]]:
    """Which came, which went, which hold something else now, by `origin#name`."""
    old, new = ({secret.subject: secret for secret in secrets} for secrets in (before, after))
    return {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(subject for subject in new.keys() & old.keys() if new[subject] != old[subject]),
    }
