"""A credential helper makes one write at a time. What waits for its turn is decided again when the turn comes."""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from agent.edge.state_file import StateFile
from agent.model.desired_login import DesiredLogin, StoreResult
from agent.model.docker_config import Entry
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.services.credential_store import CredentialStore
from agent.services.served_logins import ServedLogins
from tests.services.store_choice import FixedChoice
from tests.services.test_credential_store import FakeConfig, FakeHelpers

SLOW: Final = Registry("slow.example")
GHCR: Final = Registry("ghcr.io")
OURS: Final = Entry("me", Sensitive("s3cret"))
NEWER: Final = Entry("me", Sensitive("newer"))
THEIRS: Final = Entry("you", Sensitive("theirs"))


class SlowHelpers(FakeHelpers):
    """Reads happen at the same time. An erase of slow.example takes until `let_go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def get(self, name: str, server: str) -> Entry | None:
        await asyncio.sleep(0)
        return await super().get(name, server)

    async def erase(self, name: str, server: str) -> None:
        if server == SLOW.docker_key:
            await self.let_go.wait()
        await super().erase(name, server)


class World:
    """The agent's logins for two registries are in one helper."""

    def __init__(self) -> None:
        self.config, self.helpers, self.due = FakeConfig(), SlowHelpers(), True
        state_file = StateFile(None, Path("/nowhere"))
        state_file.set_preexisting({})
        self.store = CredentialStore(
            self.config,
            self.helpers,
            state_file,
            has_ended=lambda _: False,
            choice=FixedChoice(),
            served=ServedLogins(),
        )
        self.config.document = {"credsStore": "general"}

    @property
    def login(self) -> Entry | None:
        return self.helpers.logins["general"].get(GHCR.docker_key)

    def log_in(self) -> None:
        self.helpers.logins["general"][GHCR.docker_key] = THEIRS

    async def apply(self, entry: Entry = OURS, registry: Registry = GHCR) -> StoreResult:
        return await self.store.store(DesiredLogin(registry, entry, None))

    async def remove(self) -> bool:
        return await self.store.remove(GHCR, lambda: self.due)


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> World:
    world = World()
    await world.apply()
    await world.apply(registry=SLOW)
    return world


async def test_a_removal_that_is_no_longer_due_when_its_turn_comes_does_not_happen(world: World) -> None:
    """Meanwhile, `secrets.removed` became "keep", or `secrets.exclude` names the registry."""
    first, waiting = asyncio.create_task(world.store.remove(SLOW, lambda: True)), asyncio.create_task(world.remove())
    await settle()
    world.due = False
    world.helpers.let_go.set()
    assert (await first, await waiting, world.login) == (True, False, OURS)
    world.due = True
    assert (await world.remove(), world.login) == (True, None), "it is still known as the agent's"


async def test_a_removal_that_is_no_longer_due_when_the_file_is_written_does_not_happen(world: World) -> None:
    """The file system hangs for a while, then the change runs in the file's thread."""
    world.config.document = {}
    await world.apply()
    before = world.config.document

    def forbid() -> None:
        world.due = False

    world.config.before_update = forbid
    assert (await world.remove(), world.config.document) == (False, before)


@pytest.mark.parametrize("act", ["remove", "renew"])
async def test_a_person_who_logs_in_while_a_write_waits_keeps_the_login(world: World, act: str) -> None:
    first = asyncio.create_task(world.store.remove(SLOW, lambda: True))
    waiting = asyncio.create_task(world.remove() if act == "remove" else world.apply(NEWER))
    await settle()
    world.log_in()
    world.helpers.let_go.set()
    assert await first
    outcome = await waiting
    assert world.login == THEIRS
    assert outcome in (False, StoreResult("general", THEIRS, ours=False))
