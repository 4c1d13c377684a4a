"""The agent's life: load, start up, main loop, shut down."""

import asyncio
import signal
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent import __version__
from agent.edge.memory import keep_what_is_loaded
from agent.front import Front
from agent.model.problems.surroundings import SettingsInvalid
from agent.model.status import Phase
from agent.settings import Settings
from agent.settings_loader import load_settings

if TYPE_CHECKING:
    from agent.parts import Parts, Service

CLEAN: Final = 0
NOT_ALL: Final = 2
CRASHED: Final = 70
LOCKED_OUT: Final = 75

_LOCK_S: Final = 10.0
_LAST_WORD_S: Final = 0.4
_LOCK_LOST: Final = "lock.lost"
_UNREAD: Final = frozenset({"secret_invalid", "secrets_unavailable"})


class Agent:
    """`run` is the daemon, `once` a single pass.

    Args:
        config: the settings file, None for the usual place.
        flags: settings given on the command line, `section.key` to value.
        environ: the process's environment; what systemd put there for this process alone is taken out.
    """

    def __init__(self, config: Path | None, flags: Mapping[str, str], environ: MutableMapping[str, str]) -> None:
        self._sources: Final = (config, environ, flags)
        self._loaded: Final = load_settings(*self._sources)
        self._front: Final = Front(self._loaded.settings, environ)
        self._log: Final = self._front.log.logger
        self._parts: Parts | None = None
        self._serving = False
        self._at_next_start: tuple[SettingsInvalid, ...] = ()

    async def run(self) -> int:
        """The daemon, until SIGTERM or SIGINT; the exit code."""
        front, stop = self._front, self._heed_signals()
        self._begin()
        self._serving = True
        await front.server.start()
        try:
            parts = await self._build()
            if not await self._lock(parts):
                return LOCKED_OUT
            front.systemd.notify(READY="1", STATUS=front.board.snapshot.summary)
            self._log.info("agent.ready", tcp=[f"{host}:{port}" for host, port in front.server.tcp_addresses])
            return await self._serve(parts, stop)
        finally:
            await front.server.close()
            await self._stopped()

    async def once(self) -> int:
        """One attempt at each registry; the exit code."""
        stop = self._heed_signals()
        self._begin()
        parts = await self._build()
        if not await self._lock(parts):
            return LOCKED_OUT
        look = asyncio.create_task(parts.tools.look(), name="tools")
        work = asyncio.create_task(self._pass(parts), name="pass")
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        for task in (look, work):
            task.cancel()
        await asyncio.wait({look, work})
        await self._stopped()
        return CLEAN if not work.cancelled() and work.result() else NOT_ALL

    def close(self) -> None:
        """Write out the log."""
        self._front.log.close()

    async def _build(self) -> "Parts":
        """Load and build the rest, while the status answers already: a third of the way is spent in imports."""
        self._parts = parts = (await asyncio.to_thread(_load))(self._front)
        keep_what_is_loaded()
        if parts.ledger.fault:
            self._log.warning("state.unusable", fault=parts.ledger.fault)
        return parts

    async def _stopped(self) -> None:
        if self._parts is not None:
            await asyncio.gather(self._parts.ledger.flush(), self._parts.docker_config.finish())
        self._log.info("agent.stopped", summary=self._front.board.snapshot.summary)

    async def _serve(self, parts: "Parts", stop: "asyncio.Future[str]") -> int:
        code = CLEAN
        try:
            async with asyncio.TaskGroup() as group:
                services = self._services(parts, stop)
                tasks = [group.create_task(_endless(service), name=service.name) for service in services]
                signal_name = await stop
                if signal_name == _LOCK_LOST:
                    self._say_locked_out()
                    code = LOCKED_OUT
                self._log.info("agent.stopping", signal=signal_name)
                self._front.board.set_phase(Phase.STOPPING)
                self._front.systemd.notify(STOPPING="1")
                for task in tasks:
                    task.cancel()
            await parts.reports.last_word(_LAST_WORD_S)
        except* Exception:  # noqa: BLE001 - the last place to tell of a bug; systemd starts the agent again
            self._log.exception("agent.crashed")
            code = CRASHED
        return code

    def _services(self, parts: "Parts", stop: "asyncio.Future[str]") -> list["Service"]:
        def lost(what: str) -> None:
            if not stop.done():
                stop.set_result(what)

        lock = parts.lock_watch(lambda: lost(_LOCK_LOST))
        sandbox = [parts.sandbox_watch(lambda: lost("sandbox.lost"))] if self._front.systemd.unit else []
        return [*parts.services, lock, *sandbox]

    async def _pass(self, parts: "Parts") -> bool:
        complete = await parts.logins.once(parts.planning.plan(await parts.secrets.read_once()))
        return complete and not any(warning.code in _UNREAD for warning in self._front.board.snapshot.warnings)

    def _begin(self) -> None:
        front = self._front
        facts: dict[str, Any] = {
            "version": __version__,
            "user": front.board.snapshot.process.user,
            "settings": str(self._loaded.file) if self._loaded.file else None,
            "docker_config": str(front.settings.value.docker.config_dir),
            "runtime": str(front.runtime),
        }
        self._log.info("agent.starting", **facts)
        front.libraries.take()
        front.board.report("settings", self._loaded.problems)

    def _heed_signals(self) -> "asyncio.Future[str]":
        """Before anything slow: SIGTERM and SIGINT give the future their name, SIGHUP reads the settings again."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(self._front.workers)
        stop: asyncio.Future[str] = loop.create_future()

        def end(number: signal.Signals) -> None:
            if not stop.done():
                stop.set_result(number.name)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        return stop

    async def _lock(self, parts: "Parts") -> bool:
        """Whether no other agent works on this Docker configuration; then clears up after one that was killed."""
        try:
            async with asyncio.timeout(_LOCK_S):
                if await asyncio.to_thread(parts.lock.acquire):
                    await asyncio.to_thread(parts.docker_cli.clean_up)
                    return True
        except TimeoutError:
            # A home directory that hangs will be told by the logins; it does not keep the status away.
            return True
        self._say_locked_out()
        return False

    def _say_locked_out(self) -> None:
        self._log.error(
            "agent.locked_out",
            docker_config=str(self._front.settings.value.docker.config_dir),
            message="another agent keeps this Docker configuration; two would undo each other's work",
        )

    def _reload(self) -> None:
        loaded = load_settings(*self._sources)
        # What environment and flags have wrong cannot change while the agent runs, and each such key has fallen back.
        taken = not loaded.file_faults
        self._log.info("settings.reloaded", taken=taken, faults=[problem.message for problem in loaded.problems])
        if taken:
            self._take(loaded.settings)
        self._front.board.report("settings", (*self._at_next_start, *loaded.problems))

    def _take(self, settings: Settings) -> None:
        front, parts = self._front, self._parts
        held = front.settings.value.docker
        self._at_next_start = ()
        if settings.docker.config_dir != held.config_dir:
            message = f"docker.config_dir is taken at the next start; until then {held.config_dir} holds"
            self._at_next_start = (SettingsInvalid("docker.config_dir", message, hint="restart the agent"),)
            settings = replace(settings, docker=replace(settings.docker, config_dir=held.config_dir))
        front.settings.value = settings
        front.log.configure(settings.log.level, settings.log.format)
        front.log.context["environment"] = settings.environment.id
        front.board.set_environment_id(settings.environment.id)
        if parts is not None:
            parts.secrets.wake()
            parts.tools.wake()
            parts.planning.again()
            parts.reports.reconfigured()
        if self._serving:
            self._rebinding = asyncio.create_task(front.server.rebind(), name="rebind")


def _load() -> "type[Parts]":
    from agent.parts import Parts  # noqa: PLC0415 - the status is not to wait for it

    return Parts


async def _endless(service: "Service") -> None:
    """A service that comes to an end is a fault, not a success."""
    await service.run()
    raise RuntimeError(f"{service.name} ended")
