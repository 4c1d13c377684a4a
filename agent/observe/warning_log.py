"""Logs the warnings that the board raises and clears. Only a change is logged."""

from typing import Final

from agent.model.problem import Severity
from agent.model.status import OpenWarning
from agent.services.ports import Log


class WarningLog:
    def __init__(self, log: Log) -> None:
        self._log: Final = log

    def warning_raised(self, warning: OpenWarning) -> None:
        log = {
            Severity.NOTICE: self._log.info,
            Severity.WARNING: self._log.warning,
            Severity.ERROR: self._log.error,
        }[warning.severity]
        log(
            "warning.raised",
            code=warning.code,
            subject=warning.subject,
            message=warning.message,
            hint=warning.hint,
            needs=warning.needs.value,
        )

    def warning_cleared(self, warning: OpenWarning) -> None:
        self._log.info("warning.cleared", code=warning.code, subject=warning.subject)
