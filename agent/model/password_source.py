"""Where a secret's password comes from, if the secret does not hold it: a command, a file or a credential helper."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from agent.model.credential import TokenSource
from agent.model.problem import Problem
from agent.model.problems.password_source import CredentialCommandFailed
from agent.model.registry import Registry
from agent.model.status import rfc3339
from agent.model.text import printable, program_of


class PasswordField(StrEnum):
    COMMAND = "password_command"
    FILE = "password_file"
    HELPER = "credential_helper"


class Trust(StrEnum):
    """Who can write the document that a secret comes from, and with it a command."""

    OWN = "the user or root"
    URL = "secrets.url"
    OTHERS = "other users"


@dataclass(frozen=True, slots=True)
class PasswordOrigin:
    """The program with its arguments, the file, or the name of the helper.

    `life_s` is how long a password lives that does not show its end itself.
    """

    field: PasswordField
    words: tuple[str, ...]
    life_s: float | None = None

    @property
    def name(self) -> str:
        """The program, file or helper, for messages."""
        return program_of(self.words[0]) if self.field is PasswordField.COMMAND else printable(self.words[0], 200)

    @property
    def label(self) -> str:
        return f"{self.field} {self.name}"


@dataclass(frozen=True, slots=True)
class PasswordSource(TokenSource):
    """Gives the password of one registry. `username` is None if the source gives the user name too."""

    origin: PasswordOrigin
    registry: Registry
    username: str | None = None

    code_prefix: ClassVar[str] = "credential_command_"

    @property
    def log_fields(self) -> dict[str, Any]:
        return {"registry": self.registry.hostname, "source": self.origin.label}

    @property
    def fingerprint(self) -> None:
        return None

    def not_replaced(self, ends: datetime) -> Problem:
        message = f"{self.origin.label} still gives the password that ends at {rfc3339(ends)}"
        return CredentialCommandFailed(self.registry.hostname, message)
