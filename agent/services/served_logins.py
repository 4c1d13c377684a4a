"""The logins that the agent keeps in memory, for programs that ask its credential helper."""

from collections.abc import Iterable
from typing import Final

from agent.model.desired_login import DesiredLogin
from agent.model.docker_config import Entry
from agent.model.helper_lines import keys_of
from agent.model.registry import Registry


class ServedLogins:
    """The newest login of each registry, by every key that programs ask for.

    It also has the logins that are stored in the file. So while `docker.store` changes, a program that has read the
    former configuration still gets its answer.
    """

    def __init__(self) -> None:
        self._logins: Final[dict[str, DesiredLogin]] = {}
        # Docker's keys of the registries that refuse the login.
        self._refused: Final[set[str]] = set()

    def publish(self, desired: DesiredLogin) -> bool:
        """Serve this login from now on. Returns whether it differs from the one before."""
        keys = keys_of(desired.registry)
        former = self._logins.get(keys[0])
        self._logins.update(dict.fromkeys(keys, desired))
        differs = former is None or not desired.entry.same_login(former.entry)
        if differs:
            self._refused.discard(keys[0])
        return differs

    def withdraw(self, registry: Registry) -> None:
        self._refused.discard(registry.docker_key)
        for key in keys_of(registry):
            self._logins.pop(key, None)

    def note_refused(self, registry: Registry, entry: Entry, *, refused: bool = True) -> None:
        """The registry refuses this login, or no longer does. If another one is served, this changes nothing.

        A new secret may be wrong while the login of the former one still works.
        """
        key = registry.docker_key
        if entry.same_login(self.entry(key)):
            (self._refused.add if refused else self._refused.discard)(key)

    def accepted(self, key: str) -> DesiredLogin | None:
        """Return the login for exactly this key, unless the registry refuses it.

        Each pull would send it again, and some registries lock an account after a few wrong passwords.
        """
        login = self._logins.get(key)
        return login if login is not None and login.registry.docker_key not in self._refused else None

    def login(self, key: str) -> DesiredLogin | None:
        """Return the login for exactly this key."""
        return self._logins.get(key)

    def entry(self, key: str) -> Entry | None:
        login = self._logins.get(key)
        return login.entry if login is not None else None

    def logins(self) -> Iterable[DesiredLogin]:
        """Return each login once."""
        return {login.registry.hostname: login for login in self._logins.values()}.values()
