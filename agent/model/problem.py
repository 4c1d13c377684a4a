"""What a problem is: the kind of value that is raised where something fails and shown until it is mended.

A `Problem` is raised where something fails, decides how soon it is tried again, and is what the board shows:
what happened (`message`), what to do (`hint`), whose turn it is (`needs`).
"""

import re
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar, Final

from agent.model.text import printable

_HOST: Final = re.compile(r"\bHOST\b")
"""A word by itself: not the end of DOCKER_HOST."""


class Severity(StrEnum):
    """What a warning takes: an error needs a person, a warning is retried or costs some function."""

    NOTICE = "notice"
    WARNING = "warning"
    ERROR = "error"


class Needs(StrEnum):
    """Whose turn it is."""

    USER = "user"
    ADMIN = "admin"
    NOBODY = "nobody"


class RetryClass(StrEnum):
    """How soon a failed login is tried again."""

    SOON = "soon"
    """Exponential with full jitter, `retry.first_wait_s` to `retry.max_wait_s`."""
    REJECTED = "rejected"
    """Somebody said no: after `retry.rejected_wait_s`, or at once when the secret changes."""


class Problem(Exception):  # noqa: N818 - the field's word, and most of these are warnings rather than errors
    """One thing that is wrong, keyed by (code, subject).

    Args:
        subject: the registry, `file#name` of a secret, the settings key, or else the source or the tool.
        message: what happened, where; lower case, no final period, never a secret.
        hint: what to do next, where the class's own hint can be made more exact; in both, HOST is the subject.
        wait: the registry's or AWS's own word on when to come back (`Retry-After`).
        retry_class: where this one failure differs from its class.
    """

    code: ClassVar[str]
    severity: Severity = Severity.WARNING
    needs: Needs = Needs.USER
    hint: str = ""
    retry_class: RetryClass = RetryClass.SOON
    wait_is_final: bool = False
    """Whether `wait` is all there is to wait: it was drawn before, for all who share the failure."""

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
        super().__init__(message)
        self.subject: Final = printable(subject)
        self.message: Final = printable(message, limit=600)
        self.wait: Final = wait
        self._hint_template: Final = self.hint if hint is None else hint
        self.hint = printable(_HOST.sub(lambda _: self.subject, self._hint_template), limit=1000)
        if retry_class is not None:
            self.retry_class = retry_class
        if severity is not None:
            self.severity = severity

    @property
    def key(self) -> tuple[str, str]:
        return (self.code, self.subject)

    def about(self, subject: str, *, wait: timedelta | None = None) -> "Problem":
        """The same problem seen from another subject (one token serves many registries), with their `wait` if given."""
        seen = type(self)(
            subject,
            self.message,
            hint=self._hint_template,
            wait=self.wait if wait is None else wait,
            retry_class=self.retry_class,
            severity=self.severity,
        )
        seen.wait_is_final = wait is not None
        return seen
