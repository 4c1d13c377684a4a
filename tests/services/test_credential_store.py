"""Who may replace and remove a stored login, played out: the agent, people, the image, and changing stores."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agent.edge.state_file import StateFile
from agent.model.desired_login import CONFIG_FILE, DesiredLogin
from agent.model.docker_config import Document, Entry, encode_entry, entries, find, store_of
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.services.credential_store import CredentialStore
from agent.services.served_logins import ServedLogins
from tests.services.store_choice import FixedChoice

_T = TypeVar("_T")
NAMES: Final = ("ghcr.io", "docker.io", "quay.io")
REMEMBERED: Final = 8
"""The agent's last logins of a registry that still count as its own."""
registries: Final = st.sampled_from([parse_hostname(name) for name in NAMES])
stores: Final = st.sampled_from([None, "general", "exact"])


class FakeConfig:
    """The file in memory. `before_update` is called before each change."""

    def __init__(self) -> None:
        self.document: Document = {"auths": {}}
        self.updates = 0
        self.before_update: Callable[[], None] = lambda: None

    async def read(self) -> Document:
        return self.document

    async def update(self, change: Callable[[Document], Document]) -> Document:
        self.updates += 1
        self.before_update()
        self.document = change(self.document)
        return self.document

    async def remove_leftovers(self) -> None:
        return

    async def signature(self) -> Hashable:
        return self.signature_now()

    def signature_now(self) -> Hashable:
        return self.updates


class FakeHelpers:
    """Helpers in memory. `before_store` is called with what is about to be stored."""

    def __init__(self) -> None:
        self.logins: dict[str, dict[str, Entry]] = {"general": {}, "exact": {}}
        self.before_store: Callable[[str, Entry], None] = lambda _key, _entry: None

    async def servers(self, name: str) -> list[str]:
        return [*self.logins[name]]

    async def get(self, name: str, server: str) -> Entry | None:
        return self.logins[name].get(server)

    async def store(self, name: str, server: str, entry: Entry) -> None:
        self.before_store(server, entry)
        self.logins[name][server] = entry

    async def erase(self, name: str, server: str) -> None:
        del self.logins[name][server]


class World(RuleBasedStateMachine):
    """`own` holds the agent's logins by registry, the newest first, `image` those that came with the image."""

    def __init__(self) -> None:
        super().__init__()
        self.config, self.helpers = FakeConfig(), FakeHelpers()
        self.helpers.before_store = self._hash_is_noted
        self.state_file = StateFile(None, Path("/nowhere"))
        self.numbers = 0
        self.own: dict[Registry, list[Entry]] = {}
        self.image: set[tuple[Registry, Entry]] = set()
        self.store: CredentialStore
        self.loop = asyncio.new_event_loop()

    def teardown(self) -> None:
        self.loop.close()

    def run(self, steps: Coroutine[Any, Any, _T]) -> _T:
        return self.loop.run_until_complete(steps)

    def _hash_is_noted(self, key: str, entry: Entry) -> None:
        noted = {digest for login in self.state_file.entries().values() for digest in login.digests}
        assert self.state_file.digest(key, entry) in noted, "a kill now would leave a login that nobody recognises"

    def new_entry(self, user: str) -> Entry:
        self.numbers += 1
        return Entry(user, Sensitive(f"secret-{self.numbers}"))

    def found(self, registry: Registry) -> Entry | None:
        """The login that docker uses."""
        key = registry.docker_key
        helper = store_of(self.config.document, key)
        if helper is not None:
            return self.helpers.logins[helper].get(key)
        login = find(self.config.document, key)
        return login[1] if login else None

    def put(self, registry: Registry, entry: Entry | None) -> None:
        """What a person does with docker login, or docker logout."""
        key = registry.docker_key
        helper = store_of(self.config.document, key)
        place = self.helpers.logins[helper] if helper else None
        auths = {other: value for other, value in self.config.document["auths"].items() if other != key}
        if entry is not None:
            auths[key] = encode_entry(entry) if place is None else {}
        self.config.document = {**self.config.document, "auths": auths}
        if place is not None:
            place.pop(key, None)
            place.update({key: entry} if entry is not None else {})

    @initialize(there=st.lists(registries, unique=True), helper=stores)
    def the_agent_starts_for_the_first_time(self, there: list[Registry], helper: str | None) -> None:
        self.the_configuration_names(helper)
        for registry in there:
            entry = self.new_entry("image")
            self.put(registry, entry)
            self.image.add((registry, entry))
        self.the_agent_restarts()
        self.run(self.store.preexisting.note_helper_logins([parse_hostname(name) for name in NAMES]))

    @rule()
    def the_agent_restarts(self) -> None:
        self.store = CredentialStore(
            self.config,
            self.helpers,
            self.state_file,
            has_ended=_never,
            choice=FixedChoice(),
            served=ServedLogins(),
        )
        self.run(self.store.preexisting.prepare())

    @rule(helper=stores)
    def the_configuration_names(self, helper: str | None) -> None:
        document: Document = {"auths": self.config.document["auths"]}
        if helper == "general":
            document["credsStore"] = helper
        if helper == "exact":
            document["credHelpers"] = {"ghcr.io": helper}
        self.config.document = document

    @rule(registry=registries)
    def a_person_logs_in(self, registry: Registry) -> None:
        self.put(registry, self.new_entry("person"))

    @rule(registry=registries)
    def a_person_logs_out(self, registry: Registry) -> None:
        self.put(registry, None)

    @rule(registry=registries, age=st.integers(0, 10))
    def an_old_login_of_the_agent_is_written_back(self, registry: Registry, age: int) -> None:
        known = self.own.get(registry, [])
        if age < len(known):
            self.put(registry, known[age])

    @rule(registry=registries, take_over=st.booleans(), again=st.booleans())
    def the_agent_stores_a_login(self, registry: Registry, take_over: bool, again: bool) -> None:
        before, own = self.found(registry), self.own.get(registry, [])
        entry = own[0] if again and own else self.new_entry("agent")
        noted = self.run(self.store.digests_now(registry)) if take_over else frozenset()
        replaceable = before is None or take_over or before in own[:REMEMBERED] or (registry, before) in self.image
        updates = self.config.updates
        result = self.run(self.store.store(DesiredLogin(registry, entry, None), noted))
        assert (result.login, result.ours) == (self.found(registry), result.login == entry)
        assert result.stored_in == (store_of(self.config.document, registry.docker_key) or CONFIG_FILE)
        if before == entry or replaceable:
            assert result.login == entry
            assert result.wrote is (before != entry)
            self.image = {(other, login) for other, login in self.image if other != registry}
            self.own[registry] = [entry, *(each for each in own if each != entry)]
        else:
            assert (result.login, result.wrote) == (before, False), "a person's login stays"
            assert self.config.updates == updates

    @rule(registry=registries, is_due=st.booleans())
    def the_agent_removes_its_login(self, registry: Registry, is_due: bool) -> None:
        before, own = self.found(registry), self.own.get(registry, [])[:REMEMBERED]
        in_file = entries(self.config.document).get(registry.docker_key)
        removed = self.run(self.store.remove(registry, lambda: is_due))
        assert removed is (is_due and (before in own or in_file in own))
        if is_due:
            self.own.pop(registry, None)
            assert self.found(registry) == (None if before in own else before)
        else:
            assert self.found(registry) == before

    @invariant()
    def the_agent_knows_its_own_logins(self) -> None:
        if hasattr(self, "store"):
            for registry in map(parse_hostname, NAMES):
                login = self.found(registry)
                known = login in self.own.get(registry, [])[:REMEMBERED]
                assert self.run(self.store.in_use(registry)) == ((login, known) if login is not None else None)
                assert self.run(self.store.finds(registry, file_is_next=False)) is (login is not None)


def _never(_end: datetime | None) -> bool:
    return False


TestWorld = World.TestCase
