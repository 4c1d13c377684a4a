"""Reads the settings in a thread, so that a file system that hangs does not stop the agent."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls, NoThreadError, OngoingCall
from agent.model.commands import shown
from agent.model.problems.environment import SettingsInvalid
from agent.settings_loader import Loaded, load_settings, load_without_file
from agent.settings_loader.sources import path_of

_CALLS: Final = BlockingCalls("settings")
_AT_ONCE_S: Final = 3.0
_DEADLINE_S: Final = 5.0


def read_settings(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, str]) -> Loaded:
    """Return the settings for a command, which waits a few seconds at most, and then works without the file."""
    return SettingsReader(file, environ, flags).first(_DEADLINE_S)


class SettingsReader:
    """Reads the settings from the same sources, as often as needed."""

    def __init__(self, file: Path | None, environ: Mapping[str, str], flags: Mapping[str, str]) -> None:
        self._sources: Final = (file, environ, flags)
        self._reading: Final = OngoingCall[Loaded](_CALLS, "settings")

    def first(self, timeout: float = _AT_ONCE_S) -> Loaded:
        """Return the settings. If the file is not read in time, `unread` is set: then wait for `read`. Blocks."""
        try:
            return _CALLS.submit("settings", self._load).result(timeout)
        except TimeoutError:
            return load_without_file(*self._sources[1:], self.unread("the settings in it are not known"))
        except NoThreadError:
            return self._load()

    async def read(self) -> Loaded:
        """Return the settings as they are now.

        Raises:
            OSError: the file system does not answer, or no thread can be started. The next call gets the late result.
        """
        return await self._reading.result(self._load, timeout=_DEADLINE_S)

    def unread(self, consequence: str, reason: str | None = None) -> SettingsInvalid:
        path = path_of(*self._sources[:2])
        fault = reason or "its file system does not answer"
        hint = f"check whether the file system of {shown(path)} (NFS?) is down"
        return SettingsInvalid(str(path), f"{path} cannot be read: {fault}; {consequence}", hint=hint)

    def _load(self) -> Loaded:
        return load_settings(*self._sources)
