"""Keeps the agent's logins in Docker's configuration: restores a removed one, and reports one that was replaced."""

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from agent.model.desired_login import DesiredLogin
from agent.model.docker_config import Entry
from agent.model.problem import Problem, ProblemError
from agent.model.registry import Registry
from agent.model.stored_state import AppliedLogin, StoredLogin, StoreNews
from agent.services.credential_store import CredentialStore
from agent.services.earlier_logins import EarlierLogins
from agent.services.leftover_lines import LeftoverLines
from agent.services.login_writer import LoginWriter
from agent.services.managed_login import POLL_S, ManagedLogin, about, next_check_s
from agent.services.other_logins import CheckLogin, OtherLogins
from agent.services.overrides import Overrides
from agent.services.ports import Board, Clock, ConfigFile, ConfirmedTime, FileWatcher, Log, PodmanFiles
from agent.services.stored_login_reports import StoredLoginReports

_PAUSE_S: Final = 0.005
"""For each login, after a round of checks: while many logins are written one by one, each write changes the file."""
_TOGETHER_S: Final = 0.5
"""A check that is due so soon is made with the others, which saves a wake-up."""
_RESTORED_FOR: Final = timedelta(minutes=10)


class ConfigReconciler:
    """Keeps each applied login in place until `forget` or `remove`. No registry waits for another."""

    name = "reconciler"

    def __init__(
        self,
        *,
        config: ConfigFile,
        store: CredentialStore,
        podman: PodmanFiles,
        board: Board,
        clock: Clock,
        time: ConfirmedTime,
        log: Log,
        watcher: FileWatcher,
        overrides: Overrides | None = None,
        check_login: CheckLogin | None = None,
        on_news: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`overrides` finds what Docker uses before its stores. `check_login` asks a registry about such a login.

        `on_news` gets the host name if Docker's next pull no longer works or works again, and if other news change.
        """
        self._config: Final = config
        self._store: Final = store
        self._podman: Final = podman
        self._reports: Final = StoredLoginReports(board, on_news)
        self._clock: Final = clock
        self._time: Final = time
        self._log: Final = log
        self._watcher: Final = watcher
        others = OtherLogins(clock, check_login, lambda end: time.now().proves(end))
        self._writer: Final = LoginWriter(store, config, podman, overrides or Overrides(None), others)
        self._on_news: Final = on_news
        self._logins: Final[dict[str, ManagedLogin]] = {}
        self._earlier: Final = EarlierLogins(clock)
        self._changed: Final = asyncio.Event()
        self._locks: Final[defaultdict[str, asyncio.Lock]] = defaultdict(asyncio.Lock)
        self._replaceable: Final[dict[str, asyncio.Task[frozenset[str]]]] = {}
        self._lines: Final = LeftoverLines(store, self._logins, self._locks, board=board, clock=clock, time=time)

    def note_replaceable(self, registry: Registry) -> None:
        """Note which logins are stored now. `apply` with `take_over` may replace these, and none that is made later."""
        reading = self._store.digests_now(registry)
        self._replaceable[registry.hostname] = asyncio.create_task(reading, name=f"note:{registry}")

    async def announce(self, registry: Registry) -> None:
        """Let Docker ask the agent already, although the first attempt only begins."""
        async with self._locks[registry.hostname]:
            with contextlib.suppress(ProblemError):  # the attempt meets it too, and reports it
                await self._store.announce(registry)

    async def apply(
        self, registry: Registry, entry: Entry, *, expires_at: datetime | None, take_over: bool = False
    ) -> AppliedLogin:
        """Store a login where Docker finds it. A person's login there stays.

        With `take_over`, it is replaced if `note_replaceable` has found it. Raises a ProblemError about the registry.
        """
        login = ManagedLogin(DesiredLogin(registry, entry, expires_at))
        noted = self._replaceable.get(registry.hostname) if take_over else None
        async with self._locks[registry.hostname]:
            former = self._logins.get(registry.hostname)
            if former is not None:
                login.inherit(former)
            try:
                # A cancelled attempt must not end the reading: the next attempt needs its result.
                await self._apply(login, await asyncio.shield(noted) if noted is not None else ())
            except ProblemError as error:
                # The login is checked from now on, so it is stored as soon as the store works.
                failed = self._logins.setdefault(registry.hostname, login)
                problem = await self._store_failed(failed, error.problem)
                failed.desired, failed.unstored = login.desired, problem
                self._reports.show(failed, repeat=False)
                raise ProblemError(problem) from None
            finally:
                self._earlier.forget(registry.hostname)
                self._changed.set()
            self._logins[registry.hostname] = login
            if noted is not None and self._replaceable.get(registry.hostname) is noted:
                del self._replaceable[registry.hostname]
            self._reports.show(login)
        return AppliedLogin(login.stored_in, login.findings, login.ours)

    async def resume(self, registry: Registry) -> bool | None:
        """Keep a login in place that the agent stored before its start. False if Docker does not hold it any more.

        None if its store cannot be read. Then `unusable` gives the reason, and `on_news` is called when to try again.
        """
        hostname = registry.hostname
        async with self._locks[hostname]:
            if hostname in self._logins:
                return True
            try:
                found = await self._store.in_use(registry)
            except ProblemError as error:  # the attempt may fail before it meets this problem
                problem = error.problem.about(hostname)
                self._earlier.note(hostname, await self._writer.lost(registry, problem))
                self._reports.replace(hostname, [problem])
                return None
            finally:
                self._changed.set()
            self._earlier.forget(hostname)
            self._reports.replace(hostname)
            if found is not None and (held := self._store.held(registry)) is not None and found[1]:
                self._logins[hostname] = ManagedLogin(DesiredLogin(registry, found[0], held.expires_at))
            return hostname in self._logins

    async def in_use(self, registry: Registry) -> tuple[Entry, bool] | None:
        return await self._writer.in_use(registry, self._logins.get(registry.hostname))

    def held(self, registry: Registry) -> StoredLogin | None:
        return self._store.held(registry)

    def unusable(self, registry: Registry) -> Problem | None:
        return self.news(registry).unusable

    def news(self, registry: Registry) -> StoreNews:
        login = self._logins.get(registry.hostname)
        return login.news if login is not None else StoreNews(self._earlier.lost(registry.hostname))

    def note_refused(self, registry: Registry, entry: Entry | None) -> None:
        """The registry refuses this login, which a person made. None: it does not. Reported until the login changes."""
        login = self._logins.get(registry.hostname)
        if login is not None and login.refused != entry:
            login.refused = entry
            self._writer.forget(registry.hostname)  # an earlier answer about this login no longer counts
            self._reports.show(login, repeat=False)

    async def forget(self, registry: Registry, *, excluded: bool = False) -> None:
        """Stop managing a login, and leave it where it is. If it is not there, or `excluded`, its line is removed."""
        async with self._locks[registry.hostname]:
            self._drop(registry.hostname)
            with about(registry) if excluded else contextlib.suppress(ProblemError):  # the next start removes it
                await self._store.memory.release(registry, only_unserved=not excluded)

    async def forget_except(self, registries: Collection[Registry]) -> None:
        await self._store.memory.release_unserved(registries)

    async def remove(
        self, registry: Registry, is_due: Callable[[], bool] = lambda: True, *, still_wanted: bool = False
    ) -> bool:
        """Remove the login from Docker's configuration if it is still ours, and forget it. True if it was ours.

        If it is `still_wanted`, a Docker that asks the agent goes on to do so, and gets the reason. `is_due` is asked
        again right before each write, maybe in another thread. Raises a ProblemError about the registry.
        """
        async with self._locks[registry.hostname]:
            if not is_due():
                return False
            if not still_wanted:  # if the removal fails, a check must not store the login again
                self._drop(registry.hostname)
            with about(registry):
                was_ours = await self._store.remove(registry, is_due, keep_line=still_wanted)
            if was_ours:
                self._drop(registry.hostname)
            return was_ours

    def reconfigured(self) -> None:
        """Check each login again: `docker.store` may have changed, or what it depends on."""
        self._changed.set()

    def _drop(self, hostname: str) -> None:
        self._replaceable.pop(hostname, None)
        self._writer.forget(hostname)
        self._earlier.forget(hostname)
        self._logins.pop(hostname, None)
        self._reports.clear(hostname)

    async def note_preexisting(self, registries: Iterable[Registry]) -> None:
        """At the very first start, record which logins credential helpers already hold, for `registries` first."""
        await self._store.preexisting.note_helper_logins(registries)

    async def run(self) -> None:
        for watched in (self._config, self._podman, self._store.choice):
            self._watcher.watch(watched.signature_now, self._changed)
        async with asyncio.TaskGroup() as checks:
            while True:
                try:
                    await self._store.preexisting.prepare()
                    await self._start_checks(checks)
                except ProblemError:
                    await self._clock.wait(asyncio.Event(), POLL_S)  # the checks that are due were not made
                else:
                    await self._clock.wait(asyncio.Event(), min(_PAUSE_S * len(self._logins), POLL_S))
                    await self._rest(POLL_S if self._earlier or self._lines.pending else math.inf)
                self._changed.clear()

    async def _rest(self, longest_s: float) -> None:
        """Wait until a file changes, or until the first login needs its next check by time."""
        now = self._clock.monotonic()
        rest_s = min((login.rest_s(now) for login in self._logins.values()), default=math.inf)
        if min(rest_s, longest_s) == math.inf:
            await self._changed.wait()
        else:
            await self._clock.wait(self._changed, max(min(rest_s, longest_s), 0.0))

    async def _start_checks(self, checks: asyncio.TaskGroup) -> None:
        """Start a check of each login whose files changed. A helper that hangs delays only its own logins."""
        files, now = (await self._store.signature(), await self._podman.signature()), self._clock.monotonic()
        self._lines.start(files, checks)
        for hostname in self._earlier.due(files):
            self._on_news(hostname)
        for login in [*self._logins.values()]:
            other_ended = self._time.now().proves(login.other_ends_at)
            due = files != login.checked_files or now + _TOGETHER_S >= login.next_check or other_ended
            # A login that is being written or checked is checked again afterwards.
            if due and self._locks[login.hostname].locked():
                login.next_check = now + POLL_S
            elif due:
                login.checked_files, login.next_check, login.checking = files, math.inf, True
                checks.create_task(self._check(login), name=f"check:{login.hostname}")
            elif login.restored_until is not None and self._time.now().until(login.restored_until) <= 0:
                login.restored_until = None
                self._reports.show(login, repeat=False)

    async def _check(self, login: ManagedLogin) -> None:
        try:
            await self._check_locked(login)
        finally:
            login.checking = False

    async def _check_locked(self, login: ManagedLogin) -> None:
        async with self._locks[login.hostname]:
            # While this check waited for the lock, the login may have been replaced, forgotten or removed.
            if self._logins.get(login.hostname) is not login:
                return
            was_in = login.stored_in if login.ours and login.unstored is None else None
            wrote, started = False, self._clock.monotonic()
            try:
                if self._time.now().is_over(login.desired.expires_at):
                    await self._writer.look(login)
                else:
                    wrote = await self._apply(login)
            except ProblemError as error:
                login.findings = (await self._store_failed(login, error.problem),)
            except Exception as error:  # noqa: BLE001 - a bug must not end the agent, only this check
                self._log.exception("login.check_crashed", registry=login.hostname)
                login.crashed(error)
            if not wrote:  # a write takes longer, and is rare
                login.check_s = self._clock.monotonic() - started
            login.next_check = self._clock.monotonic() + next_check_s(login, self._logins.values())
            if wrote and login.stored_in == was_in:
                removed = f"another program removed the login for {login.hostname} from {login.place}"
                self._restored(login, f"{removed}; the agent restored it")
            self._reports.show(login, repeat=wrote)

    async def _apply(self, login: ManagedLogin, take_over: Collection[str] = ()) -> bool:
        """Store the login, and find out which login Docker will really use. True if it had to be written."""
        stored = await self._writer.write(login, take_over)
        if stored.wrote:
            self._log.info("login.stored", registry=login.hostname, stored_in=stored.stored_in)
        if stored.replaced_ended:
            ended = f"the ECR login for {login.hostname} that a person made has ended"
            self._restored(login, f"{ended}; the agent stored its own in {login.stored_in}")
        return stored.wrote

    async def _store_failed(self, login: ManagedLogin, problem: Problem) -> Problem:
        """Find out whether Docker finds a login all the same. Returns the problem with the registry as its subject."""
        problem = problem.about(login.hostname)
        login.failed, login.lost = True, await self._writer.lost(login.desired.registry, problem)
        login.next_check = self._clock.monotonic() + next_check_s(login, ())
        return problem

    def _restored(self, login: ManagedLogin, message: str) -> None:
        login.restored, login.restored_until = message, self._time.now().after(_RESTORED_FOR)
        self._log.info("login.restored", registry=login.hostname, stored_in=login.stored_in)
