"""Problems: frozen values with what went wrong, what to do about it, and when to try again.

A `ProblemError` carries one up the stack. The board shows it until it is fixed: what happened (`message`), what to do
(`hint`), who must act (`needs`).
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar, Final

from agent.model.text import ESCAPED_HOST, HOST_WORD, printable

LONGEST_HINT: Final = 1000


class Severity(StrEnum):
    """An error needs a person. A warning is being retried, or costs some function. A notice only informs."""

    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


class Needs(StrEnum):
    USER = "user"
    ADMIN = "admin"
    NOBODY = "nobody"


class RetryClass(StrEnum):
    """How soon a failed login is tried again."""

    SOON = "soon"
    """Exponential with full jitter, `retry.first_wait_s` to `retry.max_wait_s`."""
    REJECTED = "rejected"
    """The other side refused. Retry after `retry.rejected_wait_s`, or at once when the secret changes."""


@dataclass(frozen=True, init=False)
class Problem:
    """One thing that is wrong, keyed by (code, subject). Each warning code is a subclass that sets the defaults.

    Args:
        subject: the registry, `file#name` of a secret, the settings key, or else the source or the tool.
        message: what happened, and where; lower case, no final period, never a secret.
        hint: what to do next, if this can be more specific than the hint of the class. The subject replaces HOST.
        wait: how long the registry or AWS asked us to wait (`Retry-After`).
        retry_class: only if this problem differs from its class.
        severity: only if this problem differs from its class.
    """

    code: ClassVar[str]
    fleet_wide: ClassVar[bool] = False
    """Whether a whole fleet has this problem at the same time, and recovers from it at the same time."""
    subject: str
    message: str
    hint: str = ""
    severity: Severity = Severity.WARNING
    needs: Needs = Needs.USER
    retry_class: RetryClass = RetryClass.SOON
    wait: timedelta | None = None
    wait_is_final: bool = False
    """True if `wait` already includes the jitter: all registries that share the failure then wait equally long."""
    _hint_template: str = ""

    def __init__(
        self,
        subject: str,
        message: str,
        *,
        hint: str | None = None,
        wait: timedelta | None = None,
        retry_class: RetryClass | None = None,
        severity: Severity | None = None,
    ) -> None:
        template = self.hint if hint is None else hint
        # All three contain text from outside, so they are made printable and cut off.
        shown = printable(subject)
        # The dataclass is frozen, so its own __setattr__ refuses assignments.
        vars(self).update(
            subject=shown,
            message=printable(message, limit=600),
            hint=_whole_commands(
                printable(HOST_WORD.sub(lambda _: shown, template).replace(ESCAPED_HOST, "HOST"), limit=LONGEST_HINT)
            ),
            wait=wait,
            retry_class=retry_class or self.retry_class,
            severity=severity or self.severity,
            _hint_template=template,
        )

    @property
    def key(self) -> tuple[str, str]:
        return (self.code, self.subject)

    def without_login(self) -> "Problem":
        """Return the problem as it is shown if Docker holds no login that works."""
        return self

    def about(self, subject: str, *, wait: timedelta | None = None, severity: Severity | None = None) -> "Problem":
        """Return the same problem for another subject, with `wait` and `severity` if given.

        One token can serve many registries.
        """
        problem = type(self)(
            subject,
            self.message,
            hint=self._hint_template,
            wait=self.wait if wait is None else wait,
            retry_class=self.retry_class,
            severity=severity or self.severity,
        )
        vars(problem).update(wait_is_final=wait is not None)
        return problem


class ProblemError(Exception):
    """Carries a problem to where it is handled.

    Keep only the problem there, not the error. The error's traceback holds the frames of the call, and they may hold a
    password.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem: Final = problem


def _whole_commands(hint: str) -> str:
    """Leave out a command that was cut off, because half of a command may do harm."""
    return hint if hint.count("`") % 2 == 0 else f"{hint.rpartition('`')[0].rstrip()} …"


def fault_key(subject: str, *texts: str) -> tuple[str, ...]:
    """Return a key that is equal for the same fault of several subjects, so that every reader shows it once.

    Its texts differ in the subject only.
    """
    return tuple(text.replace(subject, "HOST") if subject else text for text in texts)
