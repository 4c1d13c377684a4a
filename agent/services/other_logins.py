"""Finds out whether a login that Docker uses instead of the agent's works: a helper's, or that of the variable."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Final, NamedTuple

from agent.model.desired_login import DesiredLogin, StoreResult
from agent.model.docker_config import Entry
from agent.model.docker_results import ProbeResult
from agent.model.ecr_token import token_end
from agent.model.registry import Registry
from agent.services.ports import Clock

_ASK_S: Final = 20.0
_ASK_AGAIN_S: Final = 60.0
"""The least time between two questions about one registry. Some helpers return a new token each time."""
_REFUSED_S: Final = 1800.0
"""How long a refused login is not sent again: some registries lock an account after a few wrong passwords."""
_VARIABLE: Final = "DOCKER_AUTH_CONFIG"

CheckLogin = Callable[[Registry, Entry, float], Awaitable[ProbeResult]]
"""Asks a registry whether it accepts a stored login, for at most so many seconds."""


class OtherLogin(NamedTuple):
    """The login that Docker uses instead of the agent's, if any, and whether it works. None: that is not known."""

    entry: Entry | None
    works: bool | None = None


class _CheckResult(NamedTuple):
    """A login, whether the registry accepts it (None: no answer), and the monotonic time of the answer."""

    login: Entry
    accepted: bool | None
    at: float

    def holds(self, login: Entry, now: float) -> bool:
        same = self.login.same_login(login)
        if same and self.accepted:
            return True
        return now - self.at < (_REFUSED_S if same and self.accepted is False else _ASK_AGAIN_S)


class OtherLogins:
    """Asks each registry only about a new login. `check` is None where no registry can be asked.

    `has_ended` returns whether a token with this end is certainly over.
    """

    def __init__(self, clock: Clock, check: CheckLogin | None, has_ended: Callable[[datetime | None], bool]) -> None:
        self._clock: Final = clock
        self._check: Final = check
        self._has_ended: Final = has_ended
        self._results: Final[dict[tuple[str, str], _CheckResult]] = {}

    async def judge(
        self, desired: DesiredLogin, stored: StoreResult, variable: Entry | None
    ) -> tuple[StoreResult, OtherLogin]:
        """Ask about the login in the variable, which Docker uses first, and about that of a person's own helper.

        If the helper's login works, the agent leaves it alone: its failure to store another one is none.
        """
        registry, accepted = desired.registry, None
        if stored.persons_helper and stored.login is not None and not stored.ours and not stored.older:
            accepted = await self._accepted(registry, stored.login, stored.stored_in)
            stored = replace(stored, failure=None, works=True) if accepted else stored
        if variable is None:
            used = stored.login
        else:
            used, same = variable, desired.entry.same_login(variable)
            accepted = None if same else await self._accepted(registry, variable, _VARIABLE)
        if used is None or desired.entry.same_login(used):
            return stored, OtherLogin(None)
        return stored, OtherLogin(used, False if self._has_ended(token_end(used)) else accepted)

    def forget(self, hostname: str) -> None:
        for key in [key for key in self._results if key[0] == hostname]:
            del self._results[key]

    async def _accepted(self, registry: Registry, login: Entry, source: str) -> bool | None:
        if self._check is None:
            return None
        key, now = (registry.hostname, source), self._clock.monotonic()
        known = self._results.get(key)
        if known is None or not known.holds(login, now):
            answer = await self._check(registry, login, _ASK_S)
            accepted = True if answer.status == HTTPStatus.OK else False if answer.refused else None
            known = self._results[key] = _CheckResult(login, accepted, now)
        return known.accepted
