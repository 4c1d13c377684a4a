"""The agent's life: load, start up, main loop, shut down."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent import __version__
from agent.blocking import BlockingCalls, NoThreadError
from agent.bootstrap import Bootstrap
from agent.edge.memory import freeze_loaded_objects
from agent.model.exit_codes import CLEAN, CRASHED, LOCKED_OUT, NOT_ALL
from agent.model.status import Phase
from agent.settings_loader.reader import SettingsReader
from agent.settings_updates import SettingsUpdates

if TYPE_CHECKING:
    from agent.services.ports import Service
    from agent.wiring import Components

_LOCK_S: Final = 10.0
_CALLS: Final = BlockingCalls("start", limit=4)
_FINAL_REPORT_S: Final = 0.4
_LOCK_LOST: Final = "lock.lost"
_UNREAD: Final = frozenset({"secret_invalid", "secrets_unavailable"})
"""Warnings about a secret or a source that could not be used; with one of them open, `run --once` is not a success."""


class Agent:
    """`run` is the daemon, `once` a single pass, and `logout` undoes what they did.

    `config` is the settings file; None for the default path. `flags` has settings from the command line. Variables that
    systemd sets for this process only are removed from `environ`.
    """

    def __init__(self, config: Path | None, flags: Mapping[str, str], environ: MutableMapping[str, str]) -> None:
        reader = SettingsReader(config, environ, flags)
        self._loaded: Final = reader.first()
        self._bootstrap: Final = Bootstrap(self._loaded.settings, environ)
        self._settings: Final = SettingsUpdates(reader, self._loaded, self._bootstrap, self._on_settings)
        self._log: Final = self._bootstrap.log.logger
        self._components: Components | None = None
        self._serving = False
        self._stop: asyncio.Future[str] | None = None

    async def run(self) -> int:
        """Run the daemon until SIGTERM or SIGINT. Returns the exit code."""
        bootstrap, stop = self._bootstrap, self._install_signal_handlers()
        self._log_start()
        self._serving = True
        # The status server starts first, so early clients get an answer while the rest loads.
        await bootstrap.server.start()
        try:
            if not await self._settings.known(stop):
                return CLEAN
            components = await self._build()
            if not await self._take_over(components):
                return LOCKED_OUT
            bootstrap.systemd.notify(READY="1", STATUS=bootstrap.board.snapshot.summary)
            self._log.info("agent.ready", tcp=[f"{host}:{port}" for host, port in bootstrap.server.tcp_addresses])
            return await self._serve(components, stop)
        finally:
            await bootstrap.server.close()
            await self._finish()

    async def once(self) -> int:
        """Try to log in to each registry once. Returns the exit code."""
        return await self._do(self._pass)

    async def logout(self) -> int:
        """Remove the agent's own logins from Docker's configuration. Returns the exit code."""
        code = await self._do(lambda components: components.logins.logout())
        if code == CLEAN and self._components is not None:
            with suppress(OSError):  # TimeoutError is one
                await _CALLS.call("lock", self._components.lock.remove, timeout=_LOCK_S)
        return code

    @property
    def interrupted(self) -> bool:
        """Whether a signal has ended `once` or `logout`."""
        return self._stop is not None and self._stop.done()

    async def _do(self, work: "Callable[[Components], Coroutine[Any, Any, bool]]") -> int:
        """Do one thing while no other agent manages the configuration. A signal ends it early."""
        self._stop = stop = self._install_signal_handlers()
        self._log_start()
        if not await self._settings.known(stop, _LOCK_S):
            return NOT_ALL
        components = await self._build()
        if not await self._take_over(components):
            return LOCKED_OUT
        task = asyncio.create_task(work(components), name="work")
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        await asyncio.wait({task})
        await self._finish()
        return CLEAN if not task.cancelled() and task.result() else NOT_ALL

    def close(self) -> None:
        """Flush the log."""
        self._bootstrap.log.close()

    async def _build(self) -> "Components":
        """Load and build the rest while the status already answers: imports take a third of the start-up time."""
        # The imports run in a thread, so the event loop can answer meanwhile.
        # Without a deadline: this is the agent's own code.
        self._components = components = (await _CALLS.call("code", _load, timeout=None))(self._bootstrap)
        freeze_loaded_objects()
        return components

    async def _finish(self) -> None:
        if self._components is not None:
            await asyncio.gather(self._components.state_file.flush(), self._components.docker_config.finish())
        self._log.info("agent.stopped", summary=self._bootstrap.board.snapshot.summary)

    async def _serve(self, components: "Components", stop: "asyncio.Future[str]") -> int:
        code = CLEAN
        try:
            async with asyncio.TaskGroup() as group:
                services = self._services(components, stop)
                tasks = [group.create_task(_run_forever(service), name=service.name) for service in services]
                tasks.append(group.create_task(self._settings.follow(), name="settings"))
                signal_name = await stop
                # Without the lock, this agent and another one would undo each other's logins.
                if signal_name == _LOCK_LOST:
                    self._log_locked_out()
                    code = LOCKED_OUT
                self._log.info("agent.stopping", signal=signal_name)
                self._bootstrap.board.set_phase(Phase.STOPPING)
                self._bootstrap.systemd.notify(STOPPING="1")
                for task in tasks:
                    task.cancel()
            await components.reports.send_final(_FINAL_REPORT_S)
        except* Exception:  # noqa: BLE001 - the last chance to log a bug; systemd then restarts the agent
            self._log.exception("agent.crashed")
            code = CRASHED
        return code

    def _services(self, components: "Components", stop: "asyncio.Future[str]") -> list["Service"]:
        def request_stop(reason: str) -> None:
            if not stop.done():
                stop.set_result(reason)

        lock = components.lock_watch(lambda: request_stop(_LOCK_LOST))
        sandbox = (
            [components.sandbox_watch(lambda: request_stop("sandbox.lost"))] if self._bootstrap.systemd.unit else []
        )
        return [*components.services, lock, *sandbox]

    async def _pass(self, components: "Components") -> bool:
        _, read = await asyncio.gather(components.tools.find_docker(), components.secrets.read_once())
        complete = await components.logins.once(components.planning.plan(read))
        return complete and not any(warning.code in _UNREAD for warning in self._bootstrap.board.snapshot.warnings)

    def _log_start(self) -> None:
        bootstrap = self._bootstrap
        self._log.info(
            "agent.starting",
            version=__version__,
            user=bootstrap.board.snapshot.process.user,
            settings=str(self._loaded.file) if self._loaded.file else None,
            docker_config=str(bootstrap.settings.value.docker.config_dir),
            runtime=str(bootstrap.runtime),
        )
        bootstrap.libraries.install()
        self._settings.report()

    def _install_signal_handlers(self) -> "asyncio.Future[str]":
        """Handle signals before anything slow runs.

        SIGTERM and SIGINT resolve the future to their name. SIGHUP reloads the settings.
        """
        loop = asyncio.get_running_loop()
        stop: asyncio.Future[str] = loop.create_future()

        def request_stop(number: signal.Signals) -> None:
            if not stop.done():
                stop.set_result(number.name)

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, request_stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._settings.read_again)
        return stop

    async def _take_over(self, components: "Components") -> bool:
        """Lock the Docker configuration, then read its state. False if another agent has the lock.

        The state is read after the lock, because another agent may write it until then.
        """
        if not await self._lock(components):
            return False
        state_file = components.state_file
        try:
            state_file.use(await _CALLS.call("state", state_file.find, timeout=_LOCK_S))
        except TimeoutError:
            state_file.treat_all_as_foreign("does not answer")
        except NoThreadError as error:
            state_file.treat_all_as_foreign(f"cannot be read: {error.strerror}")
        components.state_watch.check()
        if state_file.fault:
            self._log.warning("state.unusable", fault=state_file.fault)
        return True

    async def _lock(self, components: "Components") -> bool:
        """Lock the Docker configuration, then clean up after a killed agent. False if another agent has the lock."""
        try:
            if await _CALLS.call("lock", components.lock.acquire, timeout=_LOCK_S):
                await _CALLS.call("runtime", components.docker_cli.clean_up, timeout=_LOCK_S)
                return True
        except TimeoutError:
            # The home directory hangs. The logins will report it; the status must be available meanwhile.
            return True
        self._log_locked_out()
        return False

    def _log_locked_out(self) -> None:
        self._log.error(
            "agent.locked_out",
            docker_config=str(self._bootstrap.settings.value.docker.config_dir),
            message="another agent already manages this Docker configuration",
        )

    def _on_settings(self) -> None:
        components = self._components
        if components is not None:
            components.secrets.wake()
            components.tools.wake()
            components.planning.replan()
            components.reconciler.reconfigured()
            components.reports.reconfigured()
        if self._serving:
            # asyncio keeps only a weak reference to a task, so the attribute keeps it alive.
            self._rebinding = asyncio.create_task(self._bootstrap.server.rebind(), name="rebind")


def _load() -> "type[Components]":
    from agent.wiring import Components  # noqa: PLC0415 - the status must not wait for this import

    return Components


async def _run_forever(service: "Service") -> None:
    """Run a service. Services never return: one that does is a bug."""
    await service.run()
    raise RuntimeError(f"{service.name} returned")
