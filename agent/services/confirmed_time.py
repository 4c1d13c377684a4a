"""How far servers have confirmed the wall clock. Nothing may be removed because of a clock that is wrong."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from agent.model.clock_skew import cloud_clock_skew
from agent.model.credential import Credential
from agent.model.docker_results import ProbeResult
from agent.model.login_events import Now
from agent.model.registry import Registry
from agent.services.docker_login import Probe
from agent.services.ports import Clock

_ANSWER_S: Final = 10.0


class ConfirmedTime:
    """Compares the wall clock with the time in servers' answers.

    After each answer that agrees, the time is proven: it is at least the confirmed time plus the time that has passed
    since. A suspend counts as passed time, a clock that is set does not.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._confirmed: tuple[datetime, float] | None = None
        self._clock_is_off = False

    def observe(self, server_time: datetime | None) -> None:
        """Compare the time in an answer that has just arrived. None if it contains no time."""
        if server_time is None:
            return
        wall = self._clock.now()
        self._clock_is_off = cloud_clock_skew(server_time, wall) is not None
        if not self._clock_is_off:
            # The earlier of the two: it may be as late as the later one, but it is certainly not earlier.
            self._confirmed = min(wall, server_time), self._clock.boot_time()

    def observing(self, probe: Probe) -> Probe:
        """Return `probe`, but with each answer observed."""

        async def observed(registry: Registry, credential: Credential | None, timeout: float) -> ProbeResult:
            result = await probe(registry, credential, timeout)
            self.observe(result.server_time)
            return result

        return observed

    def asking(self, probe: Probe) -> Callable[[Registry], Awaitable[object]]:
        """Return a function that asks a registry for the time, without a password."""
        observed = self.observing(probe)
        return lambda registry: observed(registry, None, _ANSWER_S)

    def doubt(self) -> None:
        """A server reports that the wall clock is wrong, but not what time it is."""
        self._clock_is_off = True

    def boot_time(self) -> float:
        return self._clock.boot_time()

    def now(self) -> Now:
        proven = None
        if self._confirmed is not None:
            confirmed, at = self._confirmed
            proven = confirmed + timedelta(seconds=self._clock.boot_time() - at)
        return Now(self._clock.now(), self._clock.monotonic(), proven, self._clock_is_off)
