"""Remembers which source gave the password of a login without an end, for a start at which that source fails."""

from dataclasses import replace
from typing import Final

from agent.model.login_events import Checked, Event, Failed, Refused, Succeeded
from agent.model.password_source import PasswordSource
from agent.model.plan import Login
from agent.model.problem import RetryClass
from agent.model.stored_state import StoredLogin
from agent.services.ports import StateFile


class EndlessLogins:
    """The logins of commands, files and helpers whose passwords do not end."""

    def __init__(self, state_file: StateFile) -> None:
        self._state_file: Final = state_file

    def note(self, login: Login, outcome: Event) -> None:
        """Record that the stored login has the password of this source, or that the registry has refused one of it."""
        source, stored = login.source, self._state_file.entries().get(login.registry.hostname)
        if stored is None or not isinstance(source, PasswordSource):
            return
        match outcome:
            case Succeeded(expires_at=None):
                stored = replace(stored, source=self._fingerprint(source, stored))
            case Refused() | Checked(log_in_again=True):
                stored = replace(stored, source=None)
            case Failed(problem) if problem.retry_class is RetryClass.REJECTED:
                stored = replace(stored, source=None)
        self._state_file.set_entry(login.registry.hostname, stored)

    def may_work(self, login: Login) -> bool:
        """Whether an earlier start has stored a login without an end from this very source, which was not refused."""
        source, stored = login.source, self._state_file.entries().get(login.registry.hostname)
        if stored is None or stored.expires_at is not None or not isinstance(source, PasswordSource):
            return False
        return stored.source == self._fingerprint(source, stored)

    def _fingerprint(self, source: PasswordSource, stored: StoredLogin) -> str:
        origin = source.origin
        # With the digest of the login: version 1.0.0 stores other ones, and keeps what it does not know.
        parts = (*stored.digests[:1], origin.field, str(origin.life_s), str(source.username), *origin.words)
        return self._state_file.fingerprint(*parts)
