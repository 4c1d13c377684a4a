"""Turns the log records of libraries into events.

Without this, they would go to stderr as they are, and the text from outside in them could contain a secret.
"""

import logging
import traceback
from collections.abc import Callable
from typing import Final

from agent.model.text import printable
from agent.services.ports import Log

_LONGEST: Final = 600
_SCRUBBED: Final = 4 * _LONGEST


class LibraryLog(logging.Handler):
    """Logs one event per warning of a library. What it means for a registry is reported elsewhere."""

    def __init__(self, log: Log, scrub: Callable[[str], str] = str) -> None:
        super().__init__(logging.WARNING)
        self._log: Final = log
        self._scrub: Final = scrub

    def install(self) -> None:
        """Become the root logger's handler, unless it has one already, as under pytest."""
        # basicConfig does nothing if the root logger has a handler.
        logging.basicConfig(handlers=[self], level=logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # the arguments do not match the format: a bug in the library
            message = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        self._log.info(
            "library.warned",
            library=record.name,
            message=self._shown(message),
            error=self._shown(f"{type(error).__name__}: {error}") if error else None,
            where=_place(error) if error else f"{record.filename}:{record.lineno}",
        )

    def _shown(self, text: str) -> str:
        return printable(self._scrub(text[:_SCRUBBED]), _LONGEST)


def _place(error: BaseException) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
