"""What libraries log by themselves. Left alone it goes to stderr raw, with whatever an outside text in it quotes."""

import logging
import traceback
from typing import Final, Protocol

from agent.model.text import printable

_LONGEST: Final = 600


class Log(Protocol):
    def info(self, event: str, **fields: object) -> None: ...


class LibraryLog(logging.Handler):
    """Makes an event of each warning of a library; what it means for a registry is said elsewhere."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log: Final = log

    def take(self) -> None:
        """Be the one who is told, unless somebody else is already, as where tests run."""
        logging.basicConfig(handlers=[self], level=logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit: a fault of the library's own
            message = str(record.msg)
        error = record.exc_info[1] if record.exc_info else None
        self._log.info(
            "library.warned",
            library=record.name,
            message=printable(message, _LONGEST),
            error=printable(f"{type(error).__name__}: {error}", _LONGEST) if error else None,
            where=_place(error) if error else f"{record.filename}:{record.lineno}",
        )


def _place(error: BaseException) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
