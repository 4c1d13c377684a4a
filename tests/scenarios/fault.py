"""A row of the table: how a fault is caused, what the agent must report, and how the fault is fixed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.codes.world import Warning_, World


@dataclass(frozen=True, slots=True)
class Caused:
    """A fault in effect.

    Attributes:
        subject: of its warning.
        fix: ends the fault.
        logins: the registries that must be logged in once it is fixed.
        says: another text that the message must contain, if only the cause knows it.
        check: fails if something about the fault is wrong while it lasts.
        fixed: like `check`, but after the fix.
    """

    subject: str
    fix: Callable[[], object]
    logins: tuple[str, ...] = ()
    says: str = ""
    check: Callable[[], object] = lambda: None
    fixed: Callable[[], object] = lambda: None


Cause = Callable[[World], Caused]


@dataclass(frozen=True, slots=True)
class Fault:
    """A row. `link` is the name of the link that doctor reports as broken, if doctor is part of the test.

    `needs` is who must act, if the row states it.
    """

    name: str
    code: str
    cause: Cause
    says: str = ""
    hint: str = ""
    link: str | None = None
    needs: str = ""


@dataclass(slots=True)
class Seen:
    """What was recorded about one fault during the life of its agent. `problems` are the broken promises."""

    fault: Fault
    caused: Caused
    warning: Warning_ | None = None
    raised_s: float | None = None
    cleared_s: float | None = None
    problems: list[AssertionError] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str]:
        return self.fault.code, self.caused.subject


@dataclass(frozen=True, slots=True)
class Group:
    """Faults that one agent can have at once.

    Attributes:
        areas: the faults by the table of `docs/faults.md` that they belong to.
        settings: these are added to the settings of the world.
        restarted: whether the agent is started a second time while the faults last.
    """

    areas: Mapping[str, tuple[Fault, ...]]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    restarted: bool = False

    @property
    def faults(self) -> tuple[Fault, ...]:
        return tuple(fault for faults in self.areas.values() for fault in faults)
