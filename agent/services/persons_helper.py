"""Finds out whether a credential helper that a person has chosen gives Docker logins that work."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from agent.model.desired_login import StoreResult
from agent.model.docker_config import Entry
from agent.model.docker_results import ProbeResult
from agent.model.registry import Registry
from agent.services.ports import Clock

_ASK_S: Final = 20.0
_ASK_AGAIN_S: Final = 60.0
"""The least time between two questions about one registry. Some helpers return a new token each time."""

CheckLogin = Callable[[Registry, Entry, float], Awaitable[ProbeResult]]
"""Asks a registry whether it accepts a stored login, for at most so many seconds."""


class _Verdict(NamedTuple):
    """A login, whether the registry accepts it, and the monotonic time of the answer."""

    login: Entry
    works: bool
    at: float


class PersonsHelpers:
    """Asks each registry only about a new login. `check` is None where no registry can be asked."""

    def __init__(self, clock: Clock, check: CheckLogin | None = None) -> None:
        self._clock: Final = clock
        self._check: Final = check
        self._verdicts: Final[dict[str, _Verdict]] = {}

    async def works(self, registry: Registry, stored: StoreResult) -> bool:
        """Whether Docker gets a login that works from a helper of the person's own. The agent then leaves it alone."""
        login = stored.login
        if self._check is None or login is None or stored.ours or stored.older or not stored.persons_helper:
            return False
        known, now = self._verdicts.get(registry.hostname), self._clock.monotonic()
        if known is None or (not (known.works and known.login.same_login(login)) and now - known.at >= _ASK_AGAIN_S):
            accepted = (await self._check(registry, login, _ASK_S)).status == 200  # noqa: PLR2004 - HTTP's own number
            known = self._verdicts[registry.hostname] = _Verdict(login, accepted, now)
        return known.works

    def forget(self, hostname: str) -> None:
        self._verdicts.pop(hostname, None)
