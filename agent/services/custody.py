"""Custody: logins in the agent's care. What somebody drops is put back; what somebody made instead is reported.

It alone reports `login_overridden` and `login_restored`, for each registry under an owner of its own on the board.
"""

import asyncio
import contextlib
import math
from collections import defaultdict
from collections.abc import Hashable, Iterable
from datetime import datetime, timedelta
from typing import Final, Protocol

from agent.model.docker_auth import Document, Entry
from agent.model.problem import Problem
from agent.model.problems.keeping import InternalError, LoginRestored
from agent.model.registry import Registry
from agent.model.renewal import expired
from agent.services.charge import Charge, Kept, pause_s
from agent.services.overrides import Overrides
from agent.services.placement import ConfigFile, Helpers, Ledger, Order, Placement
from agent.services.waiting import Clock, Lookout, wait_for_change

_POLL_S: Final = 2.0
_RESTORED_FOR: Final = timedelta(minutes=10)


class WatchedConfigFile(ConfigFile, Protocol):
    async def signature(self) -> Hashable: ...
    def signature_now(self) -> Hashable:
        """Blocks."""
        ...


class PodmanFiles(Protocol):
    async def read(self) -> dict[str, Document]: ...
    async def signature(self) -> Hashable: ...
    def signature_now(self) -> Hashable:
        """Blocks."""
        ...


class Reports(Protocol):
    def report(self, owner: str, problems: Iterable[Problem] = ()) -> None: ...
    def set_stored_in(self, hostname: str, stored_in: str | None) -> None: ...


class Log(Protocol):
    def info(self, event: str, **fields: object) -> None: ...
    def exception(self, event: str, **fields: object) -> None: ...


class Custody:
    """Keeps what it is given until `release`; a registry waits for no other one."""

    name = "custody"

    def __init__(
        self,
        *,
        config: WatchedConfigFile,
        helpers: Helpers,
        podman: PodmanFiles,
        ledger: Ledger,
        board: Reports,
        clock: Clock,
        log: Log,
        lookout: Lookout,
        auth_config: str | None = None,
    ) -> None:
        """`auth_config` is the value of `DOCKER_AUTH_CONFIG`, which Docker asks before any store."""
        self._config: Final = config
        self._placement: Final = Placement(config, helpers, ledger)
        self._podman: Final = podman
        self._board: Final = board
        self._clock: Final = clock
        self._log: Final = log
        self._lookout: Final = lookout
        self._overrides: Final = Overrides(auth_config)
        self._charges: Final[dict[str, Charge]] = {}
        self._changed: Final = asyncio.Event()
        self._turns: Final[defaultdict[str, asyncio.Lock]] = defaultdict(asyncio.Lock)

    async def keep(
        self, registry: Registry, entry: Entry, *, expires_at: datetime | None, take_over: bool = False
    ) -> Kept:
        """Put a login where Docker will find it, unless a person's is there and `take_over` is False.

        Raises:
            ConfigInvalid, ConfigUnwritable, CredentialStoreFailed: about the registry.
        """
        charge = Charge(Order(registry, entry, expires_at))
        async with self._turns[registry.hostname]:
            try:
                await self._settle(charge, take_over=take_over)
            except Problem as problem:
                raise problem.about(registry.hostname) from problem
            former = self._charges.get(registry.hostname)
            charge.restored_until = former.restored_until if former else None
            self._charges[registry.hostname] = charge
            self._report(charge)
        self._changed.set()
        return Kept(charge.stored_in, charge.findings, charge.ours)

    async def holds(self, registry: Registry) -> bool:
        """Whether Docker has a login of ours, as far as the state directory knows.

        Raises:
            ConfigInvalid, ConfigUnwritable, CredentialStoreFailed: nobody can tell.
        """
        return await self._placement.holds(registry)

    async def leave(self, registry: Registry) -> None:
        """Look after a login no longer, and leave it where it is."""
        async with self._turns[registry.hostname]:
            self._forget(registry.hostname)

    async def release(self, registry: Registry) -> bool:
        """Take the login out of Docker's configuration if it is still ours, and forget it. True: it was ours.

        Raises:
            ConfigInvalid, ConfigUnwritable, CredentialStoreFailed: about the registry; a later call tries again.
        """
        async with self._turns[registry.hostname]:
            self._forget(registry.hostname)
            try:
                taken = await self._placement.take_out(registry)
            except Problem as problem:
                raise problem.about(registry.hostname) from problem
        if taken:
            self._log.info("custody.released", registry=registry.hostname)
        return taken

    def _forget(self, hostname: str) -> None:
        if self._charges.pop(hostname, None) is not None:
            self._board.report(_owner(hostname))
            self._board.set_stored_in(hostname, None)

    async def meet(self, registries: Iterable[Registry]) -> None:
        """With the first plan: at the very first start see what credential helpers hold, for these above all."""
        with contextlib.suppress(Problem):  # the first login meets it too, and tells of it
            await self._placement.look_into_helpers(registries)

    async def run(self) -> None:
        self._lookout.watch(self._signatures, self._changed)
        async with asyncio.TaskGroup() as checks:
            while True:
                with contextlib.suppress(Problem):
                    await self._placement.begin()
                    await self._look(checks)
                if all(charge.rests for charge in self._charges.values()):
                    await wait_for_change(self._clock, self._lookout, self._changed, _POLL_S)
                else:
                    await self._clock.wait(self._changed, _POLL_S)
                    self._changed.clear()

    def _signatures(self) -> Hashable:
        return (self._config.signature_now(), self._podman.signature_now())

    async def _look(self, checks: asyncio.TaskGroup) -> None:
        """Start a check of each login whose files changed; a helper that hangs keeps only its own waiting."""
        files = (await self._config.signature(), await self._podman.signature())
        now = self._clock.monotonic()
        for charge in [*self._charges.values()]:
            due = files != charge.seen or now >= charge.next_look
            if due and self._turns[charge.hostname].locked():
                charge.next_look = now
            elif due:
                charge.seen, charge.next_look, charge.checking = files, math.inf, True
                checks.create_task(self._check(charge), name=f"custody of {charge.hostname}")
            elif charge.restored_until is not None and charge.restored_until <= self._clock.now():
                charge.restored_until = None
                self._report(charge, anew=False)

    async def _check(self, charge: Charge) -> None:
        try:
            await self._check_in_turn(charge)
        finally:
            charge.checking = False

    async def _check_in_turn(self, charge: Charge) -> None:
        async with self._turns[charge.hostname]:
            if self._charges.get(charge.hostname) is not charge or expired(charge.order.expires_at, self._clock.now()):
                return
            was_ours, restored, begun = charge.ours, False, self._clock.monotonic()
            try:
                restored = await self._settle(charge) and was_ours
            except Problem as problem:
                charge.failed = True
                charge.findings = (problem.about(charge.hostname),)
            except Exception as fault:  # noqa: BLE001 - as the comment says
                # A bug costs this login's look, not the agent.
                self._log.exception("custody.crashed", registry=charge.hostname)
                charge.failed = True
                message = f"a fault of the agent itself: {type(fault).__name__}"
                charge.findings = (InternalError(charge.hostname, message),)
            charge.look_s = self._clock.monotonic() - begun
            charge.next_look = self._clock.monotonic() + pause_s(charge, self._charges.values())
            if restored:
                charge.restored_until = self._clock.now() + _RESTORED_FOR
                self._log.info("custody.restored", registry=charge.hostname, stored_in=charge.stored_in)
            self._report(charge, anew=restored)

    async def _settle(self, charge: Charge, *, take_over: bool = False) -> bool:
        """Bring the login where it belongs, and find out what will really be used; True: it had to be written."""
        await self._placement.begin()
        placed = await self._placement.put(charge.order, take_over=take_over)
        charge.stored_in, charge.ours = placed.stored_in, placed.ours
        charge.failed, charge.wrote = False, placed.wrote
        refusals = [placed.refusal.about(charge.hostname)] if placed.refusal else []
        charge.findings = (*refusals, *self._overrides.of(charge.order, placed, await self._podman.read()))
        if placed.wrote:
            self._log.info("custody.stored", registry=charge.hostname, stored_in=placed.stored_in)
        return placed.wrote

    def _report(self, charge: Charge, *, anew: bool = True) -> None:
        """Tell the board; what it has already only where it was found `anew`."""
        self._board.set_stored_in(charge.hostname, charge.stored_in if charge.ours else None)
        problems = list(charge.findings)
        if charge.restored_until is not None:
            where = charge.stored_in
            problems.append(
                LoginRestored(
                    charge.hostname,
                    f"another program dropped the login of {charge.hostname} from {where}; it was put back",
                )
            )
        shown = tuple((problem.code, problem.message) for problem in problems)
        if anew or shown != charge.shown:
            self._board.report(_owner(charge.hostname), problems)
        charge.shown = shown


def _owner(hostname: str) -> str:
    return f"custody:{hostname}"
