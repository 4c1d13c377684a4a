"""Watches all sources of secrets, and publishes the merged result."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls, NoThreadError
from agent.model.plan import SecretSet
from agent.model.problem import Problem
from agent.model.secret import RegistrySecret
from agent.model.secret_formats import ParseResult
from agent.model.used_files import without_files
from agent.services.ports import Clock, FileWatcher, Log, Reporter, SecretFiles
from agent.services.retries import retrying
from agent.services.secret_sources import AddressSource, DirectorySource, Fetch, signature_of
from agent.settings import RetrySettings, Settings

_RETRY_S: Final = 1.0
_FIRST_ANSWER_S: Final = 2.0
"""How long the first result waits for a slow `secrets.url`."""
_SPREAD: Final = 0.1
_QUICK: Final = 64 << 10
"""More characters of secrets are prepared for masking in a thread, because that takes longer."""
_EACH: Final = 300
"""So many characters more cost as much as one more secret."""
_LINKS: Final = BlockingCalls("links")
_LINKS_S: Final = 2.0
_MASKING: Final = BlockingCalls("masking")
_URL: Final = "secrets.url"
_ENVIRONMENT: Final = "secrets.environment"


class Secrets:
    """Calls `on_change` with all secrets after the first reading, and whenever they change.

    After a change of the settings, `wake` applies it at once. `protect` receives every secret value before any other
    component does, so the log masks it. `credentials_directory` is systemd's $CREDENTIALS_DIRECTORY, which is read like
    the directories in the settings. `identity_files`, which variables name, are no secrets. `jitter` is from -1 to 1,
    and varies `secrets.poll_interval_s`.
    """

    name: Final = "secrets"

    def __init__(
        self,
        *,
        settings: Callable[[], Settings],
        clock: Clock,
        board: Reporter,
        log: Log,
        protect: Callable[[Iterable[str]], None],
        files: SecretFiles,
        fetch: Fetch,
        environment: ParseResult,
        credentials_directory: Path | None,
        identity_files: tuple[Path, ...],
        jitter: Callable[[], float],
        watcher: FileWatcher,
        on_change: Callable[[SecretSet], None],
    ) -> None:
        self._settings: Final = settings
        self._clock: Final = clock
        self._board: Final = board
        self._log: Final = log
        self._protect: Final = protect
        self._files: Final = files
        self._environment: Final = environment
        self._credentials_directory: Final = credentials_directory
        self._identity_files: Final = identity_files
        self._jitter: Final = jitter
        self._watcher: Final = watcher
        self._on_change: Final = on_change
        self._directories: dict[Path, DirectorySource] = {}
        self._watches: Final[dict[Path, Callable[[], None]]] = {}
        self._address: Final = AddressSource(fetch)
        self._reported: dict[str, tuple[Problem, ...]] = {}
        self._secrets: tuple[RegistrySecret, ...] = ()
        self._published: SecretSet | None = None
        self._url_answered: Final = asyncio.Event()
        self._directories_changed: Final = asyncio.Event()
        self._reread = False
        self._updating: Final = asyncio.Lock()
        self._wake_url: Final = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_directories(), name="secrets.directories")
            group.create_task(self._follow_url(), name="secrets.url")

    def wake(self) -> None:
        """Read all sources now, because the settings changed."""
        self._reread = True
        self._directories_changed.set()
        self._wake_url.set()

    async def read_once(self) -> SecretSet:
        """Read every source once, report what is wrong, and return all secrets."""
        await asyncio.gather(self._check_directories(reread=True), self._poll_url())
        while not self._complete:
            await self._check_directories()
        await self._update()
        return self._found()

    async def _follow_directories(self) -> None:
        await self._check_directories(reread=True)
        await self._clock.wait(self._url_answered, _FIRST_ANSWER_S)
        self._publish(await self._update())
        while True:
            self._watch_directories()
            # A directory that is not stable is checked again soon, even if the watcher reports no change.
            stable = all(source.is_stable for source in self._directories.values())
            changed = await self._clock.wait(self._directories_changed, math.inf if stable else _RETRY_S)
            self._directories_changed.clear()
            reread, self._reread = self._reread, False
            await self._check_directories(reread=reread, later=not changed)
            self._publish(await self._update())

    async def _follow_url(self) -> None:
        while True:
            if self._settings().secrets.url is None:
                await self._poll_url()
                await self._pause_polling(math.inf)
            else:
                await retrying(self._url_retry_settings, self._pause_polling)(self._poll_url)
                await self._pause_polling(self._settings().secrets.poll_interval_s * (1 + _SPREAD * self._jitter()))

    async def _check_directories(self, *, reread: bool = False, later: bool = False) -> None:
        """Check all directories concurrently, so one that hangs delays no other."""
        directories = {
            path: self._directories.get(path) or DirectorySource(path, self._files) for path in self._paths()
        }
        await asyncio.gather(*(source.check(reread=reread, later=later) for source in directories.values()))
        # After a reload, keep the old directories until all new ones have answered: not read yet does not mean empty.
        old = {} if all(source.answered for source in directories.values()) else self._directories
        self._directories = {**old, **directories}

    def _paths(self) -> tuple[Path, ...]:
        extra = [self._credentials_directory] if self._credentials_directory is not None else []
        return tuple(dict.fromkeys([*self._settings().secrets.directories, *extra]))

    def _watch_directories(self) -> None:
        """Watch each directory by itself, so one that hangs hides no change of another."""
        for path in self._watches.keys() - self._directories.keys():
            self._watches.pop(path)()
        for path in self._directories.keys() - self._watches.keys():
            self._watches[path] = self._watcher.watch(
                partial(signature_of, self._files, path),
                self._directories_changed,
                directories=partial(self._files.directories, path),
            )

    async def _poll_url(self) -> Problem | None:
        settings = self._settings().secrets
        try:
            return await self._address.ask(settings.url, settings.token_file)
        finally:
            self._url_answered.set()
            # `_follow_directories` publishes the first result.
            if self._published is not None:
                self._publish(await self._update())

    async def _pause_polling(self, seconds: float) -> None:
        await self._clock.wait(self._wake_url, seconds)
        self._wake_url.clear()

    def _url_retry_settings(self) -> RetrySettings:
        settings = self._settings()
        return replace(settings.retry, max_wait_s=settings.secrets.poll_interval_s)

    async def _update(self) -> bool:
        """Mask the current secrets in the log, then report problems. True if the secrets changed."""
        async with self._updating:
            used = await self._used_files()
            merged = await self._masked()
            before, self._secrets = self._secrets, merged
            self._report(used)
        if before != merged:
            self._log.info("secrets.changed", **_difference(before, merged))
        return before != merged

    async def _masked(self) -> tuple[RegistrySecret, ...]:
        """Return the current secrets after making sure that the log masks them."""
        while (merged := self._merged()) != self._secrets:
            # Mask the old ones too: a running login still uses them, and its error message may contain them.
            values = {value for secret in (*self._secrets, *merged) for value in secret.values}
            if sum(len(value) + _EACH for value in values) <= _QUICK:
                self._protect(values)
                break
            try:
                await _MASKING.call("secrets", partial(self._protect, values), timeout=None)
            except NoThreadError:
                self._protect(values)  # slow, but nothing else may use the secrets before
            # Another source may have answered meanwhile.
            if self._merged() == merged:
                break
        return merged

    def _publish(self, changed: bool) -> None:
        found, before = self._found(), self._published
        # A source that works again may have no secrets. That is news too: the secrets of an earlier start are gone.
        if before is not None and not changed:
            changed = found.complete != before.complete or (found.all_sources_ok and not before.all_sources_ok)
        if before is None or changed:
            self._published = found
            self._on_change(found)

    @property
    def _complete(self) -> bool:
        return self._url_answered.is_set() and all(source.answered for source in self._directories.values())

    def _found(self) -> SecretSet:
        return SecretSet(self._secrets, complete=self._complete, all_sources_ok=not any(self._reported.values()))

    def _merged(self) -> tuple[RegistrySecret, ...]:
        """Return all secrets. A directory may be inside of another one, and its secrets count once."""
        directories = (source.secrets for source in self._directories.values())
        environment = self._environment.secrets if self._settings().secrets.environment else ()
        return tuple(dict.fromkeys(chain(*directories, environment, self._address.secrets)))

    async def _used_files(self) -> set[str]:
        """Return the files that are no secrets themselves, by all names under which problems report them."""
        passwords = (secret.password_file for secret in self._merged() if secret.password_file is not None)
        used = {*map(str, (*self._settings().token_files, *self._identity_files)), *passwords}
        subjects = [problem.subject for source in self._directories.values() for problem in source.problems]
        if used and subjects:
            look = partial(self._files.same_files, subjects, frozenset(used))
            # Without an answer, the paths are compared as texts.
            with contextlib.suppress(OSError):  # such as TimeoutError and NoThreadError
                used.update(await _LINKS.call("links", look, timeout=_LINKS_S))
        return used

    def _report(self, used: Iterable[str]) -> None:
        """Report only what differs from the last report, or each check would increase the count of a warning."""
        found: dict[str, tuple[Problem, ...]] = {
            f"secrets:{path}": without_files(source.problems, used) for path, source in self._directories.items()
        }
        found[_ENVIRONMENT] = self._environment.problems if self._settings().secrets.environment else ()
        found[_URL] = self._address.problems
        for owner in self._reported.keys() | found.keys():
            if self._reported.get(owner, ()) != found.get(owner, ()):
                self._board.report(owner, found.get(owner, ()))
        self._reported = found


def _difference(before: Iterable[RegistrySecret], after: Iterable[RegistrySecret]) -> dict[str, list[str]]:
    """The secrets that were added, removed or changed, as `origin#name`."""
    old, new = ({secret.subject: secret for secret in secrets} for secrets in (before, after))
    return {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(subject for subject in new.keys() & old.keys() if new[subject] != old[subject]),
    }
