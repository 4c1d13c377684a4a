"""Reads the settings at the start and after each SIGHUP, and applies them."""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from agent.bootstrap import Bootstrap
from agent.model.problem import Severity
from agent.model.problems.environment import SettingsInvalid
from agent.settings import Settings
from agent.settings_loader import Loaded
from agent.settings_loader.reader import SettingsReader

_READ_AGAIN_S: Final = 5.0


class SettingsUpdates:
    """Keeps the settings of the bootstrap current, and reports what is wrong with them.

    Args:
        reader: reads the settings.
        loaded: what it has read first, which the bootstrap was built with.
        bootstrap: uses the settings.
        on_change: called when they have changed.
    """

    def __init__(
        self, reader: SettingsReader, loaded: Loaded, bootstrap: Bootstrap, on_change: Callable[[], None]
    ) -> None:
        self._reader: Final = reader
        self._loaded = loaded
        self._problems = loaded.problems
        self._at_next_start: tuple[SettingsInvalid, ...] = ()
        self._bootstrap: Final = bootstrap
        self._on_change: Final = on_change
        self._due: Final = asyncio.Event()

    def report(self) -> None:
        self._bootstrap.board.report("settings", self._problems)

    def read_again(self) -> None:
        """Read them again soon. Does not wait."""
        self._due.set()

    async def known(self, stop: "asyncio.Future[str]", seconds: float = math.inf) -> bool:
        """Wait for a settings file that hangs: until it is read, nobody knows what the agent may touch.

        False at a signal, or after `seconds`. Meanwhile, the status and systemd get an answer.
        """
        bootstrap, ends_at = self._bootstrap, time.monotonic() + seconds
        if not self._loaded.unread:
            return True
        reading = asyncio.create_task(self._read(), name="settings")
        either: set[asyncio.Future[Any]] = {reading, stop}
        while not reading.done() and not stop.done() and time.monotonic() < ends_at:
            bootstrap.systemd.notify(READY="1", WATCHDOG="1", STATUS=bootstrap.board.snapshot.summary)
            await asyncio.wait(either, timeout=_READ_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            reading.cancel()
            return False
        self._loaded = reading.result()
        self._problems = self._loaded.problems
        self._apply(self._loaded.settings)
        self.report()
        return True

    async def follow(self) -> None:
        """Read the settings after each `read_again`."""
        while True:
            await self._due.wait()
            self._due.clear()
            self._use(await self._read())

    async def _read(self) -> Loaded:
        """Read the settings. While their file system hangs, report that. They are used once it answers."""
        while True:
            try:
                return await self._reader.read()
            except OSError as error:  # TimeoutError is one
                hangs = self._reader.unread("the settings are unchanged", error.strerror)
                if not self._loaded.unread and hangs not in self._problems:
                    self._problems = (*self._problems, hangs)
                    self.report()
                await asyncio.sleep(_READ_AGAIN_S)

    def _use(self, loaded: Loaded) -> None:
        # Only faults in the file count. Wrong values in the environment and in flags cannot change while the agent
        # runs, and these keys already use their defaults.
        applied = not loaded.file_faults
        faults = [problem.message for problem in loaded.problems]
        self._bootstrap.log.logger.info("settings.reloaded", taken=applied, faults=faults)
        if applied:
            self._apply(self._with_current_directory(loaded.settings))
        self._problems = (*self._at_next_start, *loaded.problems)
        self.report()

    def _with_current_directory(self, settings: Settings) -> Settings:
        """Keep the Docker configuration until the next start. If another one is set, report that."""
        current = self._bootstrap.settings.value.docker.config_dir
        self._at_next_start = ()
        if settings.docker.config_dir == current:
            return settings
        message = f"the new docker.config_dir applies at the next start; until then the agent uses {current}"
        notice = SettingsInvalid("docker.config_dir", message, hint="restart the agent", severity=Severity.NOTICE)
        self._at_next_start = (notice,)
        return replace(settings, docker=replace(settings.docker, config_dir=current))

    def _apply(self, settings: Settings) -> None:
        bootstrap = self._bootstrap
        bootstrap.protect(settings)
        bootstrap.settings.value = settings
        bootstrap.log.configure(settings.log.level, settings.log.format)
        bootstrap.log.context["environment"] = settings.environment.id
        bootstrap.board.set_environment_id(settings.environment.id)
        self._on_change()
