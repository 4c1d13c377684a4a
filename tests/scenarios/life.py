"""The life of an agent that has all faults of a group at once. Tests check what was recorded about each."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from tests.codes.matrix import Fault as Row
from tests.codes.matrix import Seen as Times
from tests.codes.world import World, holds
from tests.rig.agent import Status, logged_in, warnings
from tests.scenarios.fault import Fault, Group, Seen

_ALL_S: Final = 150.0
"""Only ends a hang. Most faults are over within seconds."""
_LOOK_EVERY_S: Final = 0.2
"""With many registries, the status changes continuously. Checking each document would cost too much."""

Key = tuple[str, str]


class Life:
    """Causes, waits for and fixes faults. A broken promise is kept with its fault, and only the fault's test fails."""

    def __init__(self, world: World, group: Group) -> None:
        self.world: Final = world
        self.group: Final = group
        self.seen: Final = [Seen(fault, fault.cause(world)) for fault in group.faults]

    def start(self, **env: str) -> None:
        """Start the agent, and wait until each fault is reported. Tests can check the agent while the faults last."""
        for _ in range(1 + self.group.restarted):
            if self.world.agent.running:
                self.world.agent.end()
            begun = time.monotonic()
            self.world.start(self.group.settings, **env)
            self._wait_for_all(begun)

    def _wait_for_all(self, begun: float) -> None:
        for status, seen in self._each("raised", _is_raised, begun):
            seen.raised_s = seen.raised_s or time.monotonic() - begun
            _hold(seen, partial(_promised, status, seen))
        for seen in self.seen:
            _hold(seen, seen.caused.check)
        self.world.nothing_stopped()

    def fix(self) -> None:
        """Fix all faults, and wait until each warning has cleared and each login works."""
        begun = time.monotonic()
        for seen in self.seen:
            _hold(seen, seen.caused.fix)
        went: set[Key] = set()
        for status, seen in self._each("cleared", partial(_is_cleared, went), begun):
            seen.cleared_s = time.monotonic() - begun
            _hold(seen, partial(_left_a_trace, went, status, seen))
        for seen in self.seen:
            _hold(seen, seen.caused.fixed)
        self.world.nothing_stopped()

    def of(self, fault: Fault) -> Seen:
        """What was recorded about a fault. Fails with the first broken promise."""
        seen = next(seen for seen in self.seen if seen.fault is fault)
        for problem in seen.problems:
            raise AssertionError(str(problem))
        return seen

    def rows(self) -> Iterator[Row]:
        """The rows for `docs/faults.md`."""
        for area, faults in self.group.areas.items():
            for seen in self.seen:
                if seen.fault in faults:
                    yield Row(area, seen.fault.name, {seen.fault.code: Times(seen.raised_s, seen.cleared_s)})

    def _each(self, what: str, look: Callable[[Status, Seen], bool], begun: float) -> Iterator[tuple[Status, Seen]]:
        """Yield each fault with the first document that fulfills `look`. Without one, record a broken promise."""
        waiting, status = list(self.seen), Status()
        while waiting and time.monotonic() < begun + _ALL_S:
            status = self.world.agent.status()
            found = [seen for seen in waiting if look(status, seen)]
            waiting = [seen for seen in waiting if seen not in found]
            yield from ((status, seen) for seen in found)
            time.sleep(_LOOK_EVERY_S if waiting else 0)
        for seen in waiting:
            shown = [w for w in status["warnings"] if w["subject"] == seen.caused.subject]
            rows = [
                row for row in status["registries"] if row["hostname"] in (seen.caused.subject, *seen.caused.logins)
            ]
            seen.problems.append(
                AssertionError(f"{seen.key} was not {what}: {shown}\n{rows}\n{self.world.agent.log()}")
            )


def _is_raised(status: Status, seen: Seen) -> bool:
    found = (w for w in status["warnings"] if (w["code"], w["subject"]) == seen.key)
    seen.warning = next(found, None)
    return seen.warning is not None


def _promised(status: Status, seen: Seen) -> None:
    assert seen.warning is not None
    holds(status, seen.warning, seen.fault.says)
    assert seen.caused.says in seen.warning["message"], seen.warning
    assert seen.fault.hint in seen.warning["hint"], seen.warning
    assert seen.fault.needs in ("", seen.warning["needs"]), seen.warning


def _is_cleared(went: set[Key], status: Status, seen: Seen) -> bool:
    went.update((w["code"], w["subject"]) for w in status["cleared"])
    return seen.key not in warnings(status) and logged_in(status, *seen.caused.logins)


def _left_a_trace(went: set[Key], status: Status, seen: Seen) -> None:
    assert seen.key in went, f"{seen.key} left no trace in cleared: {status['cleared']}"


def _hold(seen: Seen, promise: Callable[[], object]) -> None:
    try:
        promise()
    except AssertionError as error:
        seen.problems.append(error)
