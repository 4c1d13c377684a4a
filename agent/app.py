"""The agent's life: load, start up, main loop, shut down."""

import asyncio
import signal
from collections.abc import Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from agent import __version__
from agent.model.problems import SettingsInvalid
from agent.model.status import Phase
from agent.parts import Parts, Service
from agent.settings import Settings
from agent.settings_loader import load_settings

CLEAN: Final = 0
NOT_ALL: Final = 2
CRASHED: Final = 70
LOCKED_OUT: Final = 75

_LOCK_S: Final = 10.0
_LAST_WORD_S: Final = 0.4
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
        self._parts: Final = Parts(self._loaded.settings, environ)
        self._log: Final = self._parts.log.logger
        self._serving = False

    async def run(self) -> int:
        """The daemon, until SIGTERM or SIGINT; the exit code."""
        parts, stop = self._parts, self._heed_signals()
        self._begin()
        self._serving = True
        await parts.server.start()
        try:
            if not await self._lock():
                return LOCKED_OUT
            parts.systemd.notify(READY="1", STATUS=parts.board.snapshot.summary)
            self._log.info("agent.ready", tcp=[f"{host}:{port}" for host, port in parts.server.tcp_addresses])
            return await self._serve(stop)
        finally:
            await parts.server.close()
            await parts.ledger.flush()
            self._log.info("agent.stopped", summary=parts.board.snapshot.summary)

    async def once(self) -> int:
        """One attempt at each registry; the exit code."""
        parts, stop = self._parts, self._heed_signals()
        self._begin()
        if not await self._lock():
            return LOCKED_OUT
        look = asyncio.create_task(parts.tools.look(), name="tools")
        work = asyncio.create_task(self._pass(), name="pass")
        await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
        for task in (look, work):
            task.cancel()
        await asyncio.wait({look, work})
        await parts.ledger.flush()
        self._log.info("agent.stopped", summary=parts.board.snapshot.summary)
        return CLEAN if not work.cancelled() and work.result() else NOT_ALL

    def close(self) -> None:
        """Write out the log."""
        self._parts.log.close()

    async def _serve(self, stop: "asyncio.Future[str]") -> int:
        parts, code = self._parts, CLEAN
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_endless(service), name=service.name) for service in self._services(stop)]
                self._log.info("agent.stopping", signal=await stop)
                parts.board.set_phase(Phase.STOPPING)
                parts.systemd.notify(STOPPING="1")
                for task in tasks:
                    task.cancel()
            await parts.reports.last_word(_LAST_WORD_S)
        except* Exception:  # noqa: BLE001 - the last place to tell of a bug; systemd starts the agent again
            self._log.exception("agent.crashed")
            code = CRASHED
        return code

    def _services(self, stop: "asyncio.Future[str]") -> list[Service]:
        def lost() -> None:
            if not stop.done():
                stop.set_result("sandbox.lost")

        parts = self._parts
        return [*parts.services, *([parts.sandbox_watch(lost)] if parts.systemd.unit else [])]

    async def _pass(self) -> bool:
        parts = self._parts
        complete = await parts.logins.once(parts.planning.plan(await parts.secrets.read_once()))
        return complete and not any(warning.code in _UNREAD for warning in parts.board.snapshot.warnings)

    def _begin(self) -> None:
        parts = self._parts
        facts: dict[str, Any] = {
            "version": __version__,
            "user": parts.board.snapshot.process.user,
            "settings": str(self._loaded.file) if self._loaded.file else None,
            "docker_config": str(parts.settings.value.docker.config_dir),
            "runtime": str(parts.runtime),
        }
        self._log.info("agent.starting", **facts)
        parts.libraries.take()
        if parts.ledger.fault:
            self._log.warning("state.unusable", fault=parts.ledger.fault)
        parts.board.report("settings", self._loaded.problems)

    def _heed_signals(self) -> "asyncio.Future[str]":
        """Before anything slow: SIGTERM and SIGINT give the future their name, SIGHUP reads the settings again."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(self._parts.workers)
        stop: asyncio.Future[str] = loop.create_future()

        def end(number: signal.Signals) -> None:
            if not stop.done():
                stop.set_result(number.name)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end, number)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        return stop

    async def _lock(self) -> bool:
        """Whether no other agent works on this Docker configuration; then clears up after one that was killed."""
        parts = self._parts
        try:
            async with asyncio.timeout(_LOCK_S):
                if await asyncio.to_thread(parts.lock.acquire):
                    await asyncio.to_thread(parts.docker_cli.clean_up)
                    return True
        except TimeoutError:
            # A home directory that hangs will be told by the logins; it does not keep the status away.
            return True
        self._log.error(
            "agent.locked_out",
            docker_config=str(parts.settings.value.docker.config_dir),
            message="another agent keeps this Docker configuration; two would undo each other's work",
        )
        return False

    def _reload(self) -> None:
        loaded = load_settings(*self._sources)
        taken = not loaded.problems
        self._log.info("settings.reloaded", taken=taken, faults=[problem.message for problem in loaded.problems])
        self._parts.board.report("settings", loaded.problems)
        if taken:
            self._take(loaded.settings)

    def _take(self, settings: Settings) -> None:
        parts = self._parts
        held = parts.settings.value.docker
        if settings.docker.config_dir != held.config_dir:
            message = f"docker.config_dir is taken at the next start; until then {held.config_dir} holds"
            restart = SettingsInvalid("docker.config_dir", message, hint="restart the agent")
            parts.board.report("settings", [restart])
            settings = replace(settings, docker=replace(settings.docker, config_dir=held.config_dir))
        parts.settings.value = settings
        parts.log.configure(settings.log.level, settings.log.format)
        parts.log.context["environment"] = settings.environment.id
        parts.board.set_environment_id(settings.environment.id)
        parts.secrets.wake()
        parts.tools.wake()
        parts.planning.again()
        parts.reports.reconfigured()
        if self._serving:
            self._rebinding = asyncio.create_task(parts.server.rebind(), name="rebind")


async def _endless(service: Service) -> None:
    """A service that comes to an end is a fault, not a success."""
    await service.run()
    raise RuntimeError(f"{service.name} ended")
