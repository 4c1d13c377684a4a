"""The reconciler, with a real file, real helpers, a real state directory, and a clock that moves only on request."""

import asyncio
import base64
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.edge.credential_helper import CredentialHelpers
from agent.edge.docker_config import DockerConfigFile
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.state_file import StateFile
from agent.model.docker_config import Entry, encode_entry
from agent.model.docker_results import ProbeResult
from agent.model.problem import Problem, ProblemError
from agent.model.problems.stored_login import ConfigInvalid, ConfigUnwritable, CredentialStoreFailed
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.model.stored_state import AppliedLogin
from agent.services.board import Board
from agent.services.confirmed_time import ConfirmedTime
from agent.services.credential_store import CredentialStore
from agent.services.overrides import Overrides
from agent.services.reconciler import ConfigReconciler
from agent.services.served_logins import ServedLogins
from tests.edge.helper_script import answer, good_helper, kept, script
from tests.fakes import EPOCH, ClockedFileWatcher, FakeClock, FakeLog, calls_in_this_thread, process
from tests.problems import raises_problem
from tests.rig.waiting import PATIENCE_S
from tests.services.store_choice import FixedChoice
from tests.services.test_credential_store import FakeHelpers

GHCR = Registry("ghcr.io")
OURS = Entry("me", Sensitive("s3cret"))
NEWER = Entry("me", Sensitive("newer"))
THEIRS = Entry("you", Sensitive("theirs"))
HOUR_S = 3600.0
END = EPOCH + timedelta(hours=12)


@dataclass
class Agent:
    """One start of the agent, limited to stored logins."""

    reconciler: ConfigReconciler
    board: Board
    clock: FakeClock
    log: FakeLog
    file: Path
    state_file: StateFile

    def written(self) -> tuple[int, ...]:
        """A value that changes with every write. It leaves out the access time, which changes when the file is read."""
        found = self.file.stat()
        return found.st_ino, found.st_size, found.st_mode, found.st_mtime_ns, found.st_ctime_ns

    def warnings(self) -> dict[str, str]:
        return {warning.code: warning.message for warning in self.board.snapshot.warnings}

    def hint(self, code: str) -> str:
        return next(warning.hint for warning in self.board.snapshot.warnings if warning.code == code)

    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.file.read_text()))

    def auths(self) -> dict[str, Any]:
        return dict(self.document()["auths"])

    def write(self, document: dict[str, Any]) -> None:
        """Write the file like another program does."""
        temporary = self.file.with_name("theirs")
        temporary.write_text(json.dumps(document))
        temporary.rename(self.file)

    def held_until(self) -> datetime | None:
        held = self.reconciler.held(GHCR)
        return held.expires_at if held is not None else None

    async def apply(self, entry: Entry = OURS, registry: Registry = GHCR, *, take_over: bool = False) -> AppliedLogin:
        if take_over:  # somebody asks for it now
            self.reconciler.note_replaceable(registry)
        return await self.reconciler.apply(registry, entry, expires_at=EPOCH + timedelta(hours=12), take_over=take_over)


class Machine:
    """An environment in which the agent can be started several times."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.docker = directory / ".docker"
        self.docker.mkdir(mode=0o700)
        self.file = self.docker / "config.json"
        self.bin = directory / "bin"
        self.bin.mkdir()
        self.environ = {"PATH": f"{self.bin}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(directory / "run")}
        self.podman = directory / "run/containers/auth.json"
        self.podman.parent.mkdir(parents=True)
        self.auth_config: str | None = None
        self.choice = FixedChoice()
        self.served = ServedLogins()
        self.news = 0
        self.registries: Registries | None = None
        self.helpers: FakeHelpers | None = None
        self.cli_version: tuple[int, ...] | None = (28, 5)
        self.server_answers = True
        """Whether a server has confirmed the clock before the agent stores anything."""

    def _on_news(self, hostname: str) -> None:
        self.news += hostname == "ghcr.io"

    def write(self, document: dict[str, Any]) -> None:
        self.file.write_text(json.dumps(document))

    def start(self, helper_deadline_s: float = 60) -> Agent:
        clock, log = FakeClock(), FakeLog()
        time = ConfirmedTime(clock)
        time.observe(clock.now() if self.server_answers else None)
        board = Board(process(), clock.now, FakeLog())
        state_file = StateFile.loaded(self.directory / "state", self.docker)
        config = DockerConfigFile(self.docker)
        store = CredentialStore(
            config,
            self.helpers or CredentialHelpers(self.environ, deadline_s=helper_deadline_s),
            state_file,
            has_ended=lambda end: time.now().proves(end),
            choice=self.choice,
            served=self.served,
        )
        reconciler = ConfigReconciler(
            config=config,
            store=store,
            podman=PodmanAuthFiles(self.environ, self.directory),
            board=board,
            clock=clock,
            time=time,
            log=log,
            watcher=ClockedFileWatcher(clock),
            overrides=Overrides(self.auth_config, lambda: self.cli_version),
            check_login=self.registries.check if self.registries else None,
            on_news=self._on_news,
        )
        return Agent(reconciler, board, clock, log, self.file, state_file)

    async def second_start(self) -> Agent:
        """Start an agent that is not the very first one, and knows no login."""
        await self.start().apply(registry=Registry("before.example"))
        return self.start()


async def holds(agent: Agent) -> bool:
    """Whether Docker has a login that the agent stored."""
    found = await agent.reconciler.in_use(GHCR)
    return found is not None and found[1]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def listing_helper(machine: Machine, *servers: str) -> Path:
    """A working helper that can list, with a login of a person for each of the servers."""
    store = good_helper(machine.bin, "good")
    program = machine.bin / "docker-credential-good"
    listing = "elif action == 'list':\n    print(json.dumps({key: logins[key]['Username'] for key in logins}))\n"
    program.write_text(program.read_text() + listing)
    fill(store, *servers)
    return store


def fill(store: Path, *servers: str, login: Entry = THEIRS) -> None:
    """Add logins like a person does."""
    fields = {"Username": login.username, "Secret": login.secret.reveal()}
    logins = {server: {"ServerURL": server, **fields} for server in servers}
    store.write_text(json.dumps(kept(store) | logins))


@contextlib.asynccontextmanager
async def watching(agent: Agent) -> AsyncIterator[Callable[[Callable[[], object]], Any]]:
    """Run the reconciler. Yields a function that advances the clock until a condition holds."""
    task = asyncio.create_task(agent.reconciler.run())

    async def until(condition: Callable[[], object]) -> float:
        started = agent.clock.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                if agent.clock.waiting:
                    await agent.clock.advance(0.5)
                await asyncio.sleep(0.01)
                task.done() and task.result()
        return agent.clock.monotonic() - started

    try:
        # On a busy machine, a read in a thread would take seconds of this clock.
        with calls_in_this_thread():
            yield until
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_login_is_stored_in_the_file(machine: Machine) -> None:
    agent = machine.start()
    assert await agent.apply() == AppliedLogin("config.json", (), ours=True)
    assert agent.auths() == {"ghcr.io": encode_entry(OURS)}
    assert agent.warnings() == {}


async def test_docker_hub_is_stored_under_its_real_key(machine: Machine) -> None:
    agent = machine.start()
    await agent.apply(registry=parse_hostname("docker.io"))
    assert list(agent.auths()) == ["https://index.docker.io/v1/"]


async def test_concurrent_logins_are_all_stored(machine: Machine) -> None:
    """In the file, and in a helper that writes its store without a lock, as many do."""
    store = good_helper(machine.bin, "good")
    machine.write({"auths": {}, "credHelpers": {f"h{number}.example": "good" for number in range(8)}})
    agent = machine.start()
    names = [*(f"r{number}.example" for number in range(20)), *(f"h{number}.example" for number in range(8))]
    outcomes = await asyncio.gather(*(agent.apply(registry=Registry(name)) for name in names))
    assert all(outcome.ours and not outcome.problems for outcome in outcomes)
    assert set(agent.auths()) == set(names)
    assert set(kept(store)) == {name for name in names if name.startswith("h")}


async def test_the_same_login_is_not_written_again(machine: Machine) -> None:
    agent = machine.start()
    await agent.apply()
    before = agent.written()
    await agent.apply()
    assert agent.written() == before


async def test_logins_from_the_image_are_replaced(machine: Machine) -> None:
    """Also for a secret that arrives later, but only if the login is still the one from the image."""
    preexisting = {
        "ghcr.io": encode_entry(THEIRS),
        "quay.io": encode_entry(THEIRS),
        "late.example": encode_entry(THEIRS),
    }
    machine.write({"auths": preexisting})
    first = machine.start()
    assert (await first.apply()).ours
    later = machine.start()
    later.write({"auths": {**first.auths(), "quay.io": encode_entry(NEWER)}})
    assert (await later.apply(registry=Registry("late.example"))).ours
    assert not (await later.apply(registry=Registry("quay.io"))).ours


async def test_a_login_made_while_the_first_start_cannot_read_the_file_is_a_persons(machine: Machine) -> None:
    """What came with the image is recorded once, at the start. A later look could not tell a person's login from it.

    This also holds for a helper that the repaired file names, and after a restart.
    """
    store = good_helper(machine.bin, "good")
    machine.file.write_text('{"auths": {')
    agent = machine.start()
    with raises_problem(ConfigInvalid):
        await agent.apply()
    fill(store, "quay.io")
    machine.write({"auths": {"ghcr.io": encode_entry(THEIRS)}, "credHelpers": {"quay.io": "good"}})
    for start in (agent, machine.start()):
        await start.reconciler.note_preexisting([GHCR, Registry("quay.io")])
        assert not (await start.apply()).ours
        assert not (await start.apply(registry=Registry("quay.io"))).ours
        assert "login_overridden" in start.warnings()
    assert agent.auths()["ghcr.io"] == encode_entry(THEIRS)


async def test_an_image_login_that_appears_again_is_a_persons(machine: Machine) -> None:
    machine.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    await machine.start().apply()
    machine.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    assert not (await machine.start().apply()).ours


async def test_a_persons_login_stays_until_take_over(machine: Machine) -> None:
    agent = await machine.second_start()
    agent.write({"auths": {**agent.auths(), "ghcr.io": encode_entry(THEIRS)}})
    outcome = await agent.apply()
    assert not outcome.ours
    assert agent.auths()["ghcr.io"] == encode_entry(THEIRS)
    assert "config.json has one that the agent did not store" in agent.warnings()["login_overridden"]
    assert "registry-agent renew ghcr.io" in agent.hint("login_overridden")
    outcome = await agent.apply(take_over=True)
    assert outcome == AppliedLogin("config.json", (), ours=True)
    assert agent.auths()["ghcr.io"] == encode_entry(OURS)
    assert agent.warnings() == {}


async def test_a_login_under_an_old_key_is_a_persons_too(machine: Machine) -> None:
    agent = await machine.second_start()
    agent.write({"auths": {"https://ghcr.io/v2/": encode_entry(THEIRS)}})
    assert not (await agent.apply()).ours
    assert list(agent.auths()) == ["https://ghcr.io/v2/"]


async def test_our_login_is_renewed_after_a_restart(machine: Machine) -> None:
    """The state directory holds its hash."""
    await machine.start().apply()
    agent = machine.start()
    assert (await agent.apply(NEWER)).ours
    assert agent.auths()["ghcr.io"] == encode_entry(NEWER)


@pytest.mark.parametrize("there", [OURS, NEWER])
async def test_our_login_is_known_after_an_interrupted_write(machine: Machine, there: Entry) -> None:
    """Both logins are recorded before the write, so either of them counts as ours."""
    await machine.start().apply()
    machine.file.unlink()
    machine.file.symlink_to("missing/config.json")
    with raises_problem(ConfigUnwritable):
        await machine.start().apply(NEWER)
    machine.file.unlink()
    machine.write({"auths": {"ghcr.io": encode_entry(there)}})
    assert (await machine.start().apply(Entry("me", Sensitive("third")))).ours


def fail_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.edge.docker_config.replace_version", full)


@pytest.mark.parametrize(("store", "hours"), [("file", 12), ("helper", 12), ("memory", 18)])
async def test_a_renewal_that_cannot_be_stored_does_not_change_when_the_login_ends(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, store: str, hours: int
) -> None:
    """Docker still holds the former token, also after a restart. From the memory, it gets the new one at once."""
    machine.choice.memory = store == "memory"
    if store == "helper":
        good_helper(machine.bin, "good")
        machine.write({"credsStore": "good"})
    agent = machine.start()
    await agent.apply()
    fail_writes(monkeypatch)
    script(machine.bin, "good", f"#!/bin/sh\n[ $1 = get ] && echo '{answer('me', 's3cret')}' && exit\nexit 1\n")
    machine.choice.memory = False  # the login is to move to the file
    with contextlib.suppress(ProblemError):
        await agent.reconciler.apply(GHCR, NEWER, expires_at=END + timedelta(hours=6))
    await agent.state_file.flush()
    for start in (agent, machine.start()):
        assert start.held_until() == EPOCH + timedelta(hours=hours)


@pytest.mark.parametrize("store", ["file", "helper"])
async def test_what_could_not_be_stored_is_stored_once_the_store_is_repaired(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, store: str
) -> None:
    """The new login, not the former one. Nothing was removed, so nothing is restored. The login's task is woken."""
    if store == "helper":
        good_helper(machine.bin, "good")
        machine.write({"credsStore": "good"})
    program = machine.bin / "docker-credential-good"
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        good = program.read_text() if program.exists() else ""
        with monkeypatch.context() as full_disk:
            fail_writes(full_disk)
            script(machine.bin, "good", f"#!/bin/sh\n[ $1 = get ] && echo '{answer('me', 's3cret')}' && exit\nexit 1\n")
            with contextlib.suppress(ProblemError):
                await agent.reconciler.apply(GHCR, NEWER, expires_at=END + timedelta(hours=6))
            assert agent.reconciler.news(GHCR).unstored is not None
            assert agent.held_until() == END
            await until(lambda: agent.clock.monotonic() > 70)
            assert agent.reconciler.news(GHCR).unstored is not None
        program.write_text(good)
        seen = machine.news
        await until(lambda: agent.reconciler.news(GHCR).unstored is None)
    assert machine.news > seen
    found = await agent.reconciler.in_use(GHCR)
    assert found is not None
    assert found[0].same_login(NEWER)
    assert (agent.held_until(), agent.warnings()) == (END + timedelta(hours=6), {})
    assert "login.restored" not in agent.log.names()


@pytest.mark.parametrize(("held", "hours"), [(OURS, 12), (NEWER, 18)])
async def test_the_login_that_docker_holds_after_a_restart_has_its_own_end(
    machine: Machine, held: Entry, hours: int
) -> None:
    """A kill can leave either of two logins, and another program can write an older one back."""
    agent = machine.start()
    await agent.apply()
    await agent.reconciler.apply(GHCR, NEWER, expires_at=EPOCH + timedelta(hours=18))
    machine.write({"auths": {"ghcr.io": encode_entry(held)}})
    after = machine.start()
    assert await after.reconciler.resume(GHCR) is True
    assert after.held_until() == EPOCH + timedelta(hours=hours)
    after.clock.jump(timedelta(hours=13).total_seconds())
    async with watching(after) as until:
        after.write({"auths": {}})
        await until(lambda: after.clock.monotonic() > 30)
    assert bool(after.auths()) == (hours > 13)


async def test_without_a_readable_state_every_login_is_a_persons(machine: Machine) -> None:
    await machine.start().apply()
    (machine.directory / "state/state.json").write_text("{")
    agent = machine.start()
    assert not (await agent.apply(NEWER)).ours
    assert (await agent.apply(OURS)).ours, "a login that equals the desired one is ours"


async def test_an_invalid_file_is_reported_and_not_changed(machine: Machine) -> None:
    machine.file.write_text("{")
    with raises_problem(ConfigInvalid, match=r"config\.json is not valid") as caught:
        await machine.start().apply()
    assert caught.value.subject == "ghcr.io"
    assert machine.file.read_text() == "{"


async def test_a_login_is_removed_only_if_it_is_ours(machine: Machine) -> None:
    agent = machine.start()
    await agent.apply()
    await agent.apply(registry=Registry("quay.io"))
    agent.write({"auths": {**agent.auths(), "quay.io": encode_entry(THEIRS)}, "x": 1})
    assert await machine.start().reconciler.remove(GHCR)
    assert not await agent.reconciler.remove(Registry("quay.io"))
    assert not await agent.reconciler.remove(Registry("never.example"))
    assert agent.document() == {"auths": {"quay.io": encode_entry(THEIRS)}, "x": 1}
    assert "quay.io" not in agent.state_file.entries()


async def test_a_failed_removal_can_be_repeated(machine: Machine) -> None:
    agent = machine.start()
    await agent.apply()
    text = agent.file.read_text()
    agent.file.write_text("{")
    with raises_problem(ConfigInvalid) as caught:
        await agent.reconciler.remove(GHCR)
    assert caught.value.subject == "ghcr.io"
    agent.file.write_text(text)
    assert await agent.reconciler.remove(GHCR)
    assert agent.auths() == {}


# Credential helpers


async def test_a_login_is_stored_in_the_helper_with_a_marker_in_the_file(machine: Machine) -> None:
    """The registry's own helper comes before the general one. The plain login in the file is removed."""
    general, exact = good_helper(machine.bin, "general"), good_helper(machine.bin, "exact")
    agent = machine.start()
    await agent.apply()
    agent.write({**agent.document(), "credsStore": "general", "credHelpers": {"ghcr.io": "exact"}})
    assert await agent.apply() == AppliedLogin("exact", (), ours=True)
    assert await agent.apply(registry=Registry("quay.io")) == AppliedLogin("general", (), ours=True)
    assert agent.auths() == {"ghcr.io": {}, "quay.io": {}}
    assert list(kept(exact)) == ["ghcr.io"]
    assert list(kept(general)) == ["quay.io"]
    assert await agent.reconciler.remove(GHCR)
    assert kept(exact) == {}
    assert agent.auths() == {"quay.io": {}}


async def test_a_persons_login_in_a_helper_stays_after_the_first_start(machine: Machine) -> None:
    store = listing_helper(machine, "ghcr.io")
    machine.write({"credsStore": "good"})
    first = machine.start()
    assert (await first.apply()).ours
    fill(store, "ghcr.io")
    agent = machine.start()
    assert not (await agent.apply()).ours
    assert "docker-credential-good" in agent.warnings()["login_overridden"]
    assert kept(store)["ghcr.io"]["Secret"] == "theirs"
    assert (await agent.apply(take_over=True)).ours
    assert kept(store)["ghcr.io"]["Secret"] == "s3cret"


async def test_image_logins_in_a_helper_are_recorded_at_the_first_start(machine: Machine) -> None:
    """A secret may arrive for them later, even after a restart. Logins that are added later are a person's."""
    store = listing_helper(machine, "ghcr.io", "quay.io", "https://index.docker.io/v1/")
    machine.write({"credsStore": "good"})
    first = machine.start()
    async with watching(first):
        await first.reconciler.note_preexisting([])
        assert len(first.state_file.preexisting or {}) == 3
        fill(store, "ghcr.io", "quay.io", "https://index.docker.io/v1/", "new.example")
        assert not (await first.apply(registry=Registry("new.example"))).ours
        assert set(first.warnings()) == {"login_overridden"}
        assert (await first.apply()).ours
    await first.state_file.flush()
    second = machine.start()
    assert (await second.apply(registry=parse_hostname("docker.io"))).ours
    fill(store, "quay.io", login=NEWER)
    assert not (await second.apply(registry=Registry("quay.io"))).ours


@pytest.mark.parametrize("listing", ["exit 1", "echo not json", "echo '[1]'", "exec sleep 1000"])
async def test_a_helper_that_cannot_list_is_asked_for_known_keys(machine: Machine, listing: str) -> None:
    """Keys with Docker's marker, in `credHelpers`, and of the first secrets. All other logins stay a person's."""
    store = good_helper(machine.bin, "plain")
    program = machine.bin / "docker-credential-plain"
    program.rename(machine.bin / "works")
    script(machine.bin, "plain", f"#!/bin/sh\n[ $1 = list ] && {listing}\nexec {machine.bin}/works $1\n")
    store = machine.bin / "works.json"
    fill(store, "ghcr.io", "quay.io", "planned.example")
    machine.write({"auths": {"ghcr.io": {}}, "credsStore": "plain", "credHelpers": {"quay.io": "plain"}})
    agent = machine.start(helper_deadline_s=5)
    async with watching(agent):
        await agent.reconciler.note_preexisting([Registry("planned.example")])
        fill(store, "made.example")
        names = ("ghcr.io", "quay.io", "planned.example", "made.example")
        assert [(await agent.apply(registry=Registry(name))).ours for name in names] == [True, True, True, False]


async def test_a_helper_that_hangs_at_the_first_start_delays_no_other_login(machine: Machine) -> None:
    """It is asked only once, although two callers wait for its answer."""
    script(machine.bin, "hung", f"#!/bin/sh\n[ $1 = list ] && echo >>{machine.bin}/asked && sleep 1000\nexit 1\n")
    listing_helper(machine, "quay.io")
    machine.write({"credHelpers": {"ghcr.io": "hung", "quay.io": "good"}})
    agent = machine.start(helper_deadline_s=5)
    async with watching(agent):
        recording = asyncio.create_task(agent.reconciler.note_preexisting([]))
        hanging = asyncio.create_task(agent.apply())
        assert (await agent.apply(registry=Registry("quay.io"))).ours
        assert (await agent.apply(registry=Registry("file.example"))).ours
        with raises_problem(CredentialStoreFailed):
            await hanging
        with raises_problem(CredentialStoreFailed):
            await agent.apply()
        await recording
    assert (machine.bin / "asked").read_text() == "\n"


async def test_a_login_made_during_the_first_check_is_not_overwritten(machine: Machine) -> None:
    """The check may take seconds, and the desired login waits for it to end."""
    store = good_helper(machine.bin, "good")
    program = machine.bin / "docker-credential-good"
    login = json.dumps({"ghcr.io": {"Username": "you", "Secret": "theirs"}})
    program.write_text(
        f"{program.read_text()}elif action == 'list':\n    store.write_text('{login}')\n    print('{{}}')\n"
    )
    machine.write({"credsStore": "good"})
    agent = machine.start()
    assert not (await agent.apply()).ours
    assert kept(store)["ghcr.io"]["Username"] == "you"


async def test_a_keychain_is_asked_only_for_registries(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only for some of hundreds of them, because each answer runs a program."""
    monkeypatch.setattr("agent.services.preexisting_logins._NOTE_HELPER_S", PATIENCE_S)
    many = [f"r{number}.example" for number in range(200)]
    listing_helper(machine, "https://github.com", "GHCR.IO", "index.docker.io", "a b", "", "\ud800", *many)
    machine.write({"credsStore": "good"})
    agent = machine.start()
    assert (await agent.apply(registry=Registry("r0.example"))).ours
    preexisting = agent.state_file.preexisting or {}
    assert list(preexisting) == [f"good {name}" for name in many[1:50]]


async def test_logins_in_a_helper_that_is_configured_later_are_a_persons(machine: Machine) -> None:
    """The agent cannot know whether they came with the image."""
    store = listing_helper(machine)
    agent = machine.start()
    await agent.apply(registry=Registry("other.example"))
    agent.write({**agent.document(), "credsStore": "good"})
    fill(store, "ghcr.io")
    assert not (await agent.apply()).ours


async def test_a_helper_works_although_the_file_cannot_be_written(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker finds the login in a helper without the marker."""
    fail_writes(monkeypatch)
    store = good_helper(machine.bin, "good")
    machine.write({"credsStore": "good"})
    assert (await machine.start().apply()).ours
    assert list(kept(store)) == ["ghcr.io"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "not on the agent's PATH"),
        ("#!/bin/sh\nsleep 100\n", "did not end within"),
        (
            "#!/bin/sh\n[ $1 = get ] && echo credentials not found in native keychain\necho not implemented; exit 1\n",
            "cannot store",
        ),
        (
            "#!/bin/sh\n[ $1 = store ] && exit 0\necho credentials not found in native keychain; exit 1\n",
            "reported success, but has no login",
        ),
        ("#!/bin/sh\necho gibberish\n", "something that is not a login"),
    ],
    ids=["missing", "hanging", "cannot store", "lying", "garbage"],
)
async def test_a_failing_helper_is_reported_for_the_registry(machine: Machine, text: str | None, message: str) -> None:
    machine.write({"credHelpers": {"ghcr.io": "bad"}})
    if text is not None:
        script(machine.bin, "bad", text)
    with raises_problem(CredentialStoreFailed, match=message) as caught:
        await machine.start(helper_deadline_s=5).apply()
    assert caught.value.subject == "ghcr.io"
    assert "docker-credential-bad" in caught.value.message


async def test_a_read_only_helper_with_another_login_overrides_ours(machine: Machine) -> None:
    """Like amazon-ecr-credential-helper, which computes its answers."""
    script(
        machine.bin,
        "computed",
        f"#!/bin/sh\n[ $1 = get ] && echo '{answer('you', 'theirs')}' && exit\necho not implemented; exit 1\n",
    )
    machine.write({"credHelpers": {"ghcr.io": "computed"}})
    agent = machine.start()
    outcome = await agent.apply()
    assert (outcome.ours, outcome.stored_in) == (False, "computed")
    assert set(agent.warnings()) == {"credential_store_failed", "login_overridden"}


async def test_a_read_only_helper_with_our_older_login_overrides_nothing(machine: Machine) -> None:
    """The agent stored that login itself. A person's login does override ours, even after take_over."""
    good_helper(machine.bin, "good")
    machine.write({"credsStore": "good"})
    agent = await machine.second_start()
    assert (await agent.apply()).ours
    script(machine.bin, "good", f"#!/bin/sh\n[ $1 = get ] && echo '{answer('me', 's3cret')}' && exit\nexit 1\n")
    assert not (await agent.apply(NEWER)).ours
    assert set(agent.warnings()) == {"credential_store_failed"}
    script(machine.bin, "good", f"#!/bin/sh\n[ $1 = get ] && echo '{answer('you', 'theirs')}' && exit\nexit 1\n")
    assert not (await agent.apply(NEWER, take_over=True)).ours
    assert set(agent.warnings()) == {"credential_store_failed", "login_overridden"}


async def test_a_helper_that_ignores_our_login_overrides_ours(machine: Machine) -> None:
    """It reports success, and continues to return another login."""
    script(machine.bin, "stuck", f"#!/bin/sh\n[ $1 = get ] && echo '{answer('you', 'theirs')}'\nexit 0\n")
    machine.write({"credsStore": "stuck"})
    agent = machine.start()
    assert not (await agent.apply(take_over=True)).ours
    assert "docker-credential-stuck" in agent.warnings()["login_overridden"]
    assert "returns another login" in agent.warnings()["credential_store_failed"]


async def test_a_helper_that_changes_our_login_is_a_failed_store(machine: Machine) -> None:
    """The agent does not store it again by itself, because a person may have logged in at the same moment."""
    store = good_helper(machine.bin, "good")
    program = machine.bin / "docker-credential-good"
    honest = program.read_text()
    program.write_text(honest.replace("] = login\n", "] = {**login, 'Username': 'mallory'}\n"))
    machine.write({"credsStore": "good"})
    agent = machine.start()
    for take_over in (False, True, False):
        outcome = await agent.apply(take_over=take_over)
        assert (outcome.ours, [problem.code for problem in outcome.problems]) == (False, ["credential_store_failed"])
    assert "registry-agent renew ghcr.io" in agent.hint("credential_store_failed")
    program.write_text(honest)
    assert not (await agent.apply()).ours
    assert kept(store)["ghcr.io"]["Username"] == "mallory"
    assert (await agent.apply(take_over=True)).ours
    assert agent.warnings() == {}
    fill(store, "ghcr.io", login=Entry("mallory", OURS.secret))
    await agent.apply()
    assert set(agent.warnings()) == {"login_overridden"}, "the same login again is a person's"


# What Docker and podman use before Docker's stores


async def person_uses(machine: Machine, where: str) -> None:
    """Give Docker a login that a person has chosen, and that works."""
    if where == "the variable":
        machine.auth_config = json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    elif where == "a helper":
        script(machine.bin, "ecr-login", COMPUTED.format(answer("you", "theirs")))
        machine.write({"credsStore": "ecr-login"})
        machine.registries = Registries(200)
    else:
        await machine.second_start()
        machine.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})


@pytest.mark.parametrize("where", ["the variable", "a helper", "the file"])
async def test_a_login_that_docker_does_not_use_is_known_as_such(machine: Machine, where: str) -> None:
    """Its end concerns no pull. An attempt to remove it changes nothing, and the report of the other login stays."""
    await person_uses(machine, where)
    agent = machine.start()
    await agent.apply()
    assert agent.reconciler.news(GHCR) == (None, None, True)
    if where != "the variable":
        assert not await agent.reconciler.remove(GHCR, still_wanted=True)
        assert agent.warnings().keys() == {"login_overridden"}


@pytest.mark.parametrize("hours", [1, 13])
async def test_the_agents_login_counts_again_when_a_persons_is_gone(machine: Machine, hours: int) -> None:
    """It is stored, unless it has expired meanwhile."""
    await person_uses(machine, "the file")
    agent = machine.start()
    await agent.apply()
    agent.clock.jump(hours * HOUR_S)
    async with watching(agent) as until:
        await until(lambda: agent.clock.monotonic() > 5)
        assert agent.reconciler.news(GHCR).foreign
        seen = machine.news
        agent.write({"auths": {}})
        await until(lambda: not agent.reconciler.news(GHCR).foreign)
        assert machine.news > seen
        assert (list(agent.auths()), agent.warnings()) == (["ghcr.io"] if hours < 12 else [], {})


async def test_docker_auth_config_overrides_ours(machine: Machine) -> None:
    """Ours is stored anyway. The same login in the variable, or an invalid value, is no override."""
    machine.auth_config = json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS), "quay.io": encode_entry(OURS)}})
    agent = machine.start()
    assert (await agent.apply()).ours
    assert "DOCKER_AUTH_CONFIG" in agent.warnings()["login_overridden"]
    assert not (await agent.apply(registry=Registry("quay.io"))).problems
    machine.auth_config = "{"
    assert not (await machine.start().apply()).problems


@pytest.mark.parametrize("version", [(20, 10, 24), (28, 2, 2), None])
async def test_a_docker_that_ignores_docker_auth_config_uses_ours(
    machine: Machine, version: tuple[int, ...] | None
) -> None:
    """Docker reads the variable from 28.3 on. Without a docker, nothing does."""
    machine.auth_config = json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    machine.cli_version = version
    assert not (await machine.start().apply()).problems


async def test_podmans_login_overrides_ours_for_podman(machine: Machine) -> None:
    machine.podman.write_text(json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS)}}))
    second = machine.directory / ".config/containers/auth.json"
    second.parent.mkdir(parents=True)
    second.write_text(json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS), "quay.io/org": encode_entry(THEIRS)}}))
    agent = machine.start()
    assert (await agent.apply()).ours
    message = agent.warnings()["login_overridden"]
    assert str(machine.podman) in message
    assert str(second) not in message, "podman does not read the second file"
    outcome = await agent.apply(registry=Registry("quay.io"))
    assert "quay.io/org" in outcome.problems[0].message


# Changes while the agent runs


async def test_a_removed_login_is_restored_within_five_seconds(machine: Machine) -> None:
    """It is logged once, and shown for ten minutes."""
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        agent.write({"auths": {"their.example": {}}, "x": 1})
        assert await until(agent.warnings) < 5
        assert agent.document() == {"auths": {"their.example": {}, "ghcr.io": encode_entry(OURS)}, "x": 1}
        assert "ghcr.io" in agent.warnings()["login_restored"]
        agent.clock.jump(590)
        await until(lambda: agent.clock.monotonic() > 15 or not agent.warnings())
        assert 8 <= agent.clock.monotonic() <= 15
    assert agent.log.names().count("login.restored") == 1


async def test_a_clock_that_is_set_back_does_not_keep_the_notice_about_a_restored_login(machine: Machine) -> None:
    """It does not matter if a renewal follows, which keeps the notice."""
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        agent.write({"auths": {}})
        await until(agent.warnings)
        agent.clock.jump(-HOUR_S)
        await agent.apply(NEWER)
        assert agent.warnings().keys() == {"login_restored"}
        assert await until(lambda: not agent.warnings()) < 610


class TimedHelpers(FakeHelpers):
    """Each call takes a while, on the clock of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.clock: FakeClock | None = None

    async def get(self, name: str, server: str) -> Entry | None:
        if self.clock is not None:
            await self.clock.wait(asyncio.Event(), 0.1)
        return await super().get(name, server)


async def test_a_login_removed_from_a_helper_is_restored_within_five_seconds(machine: Machine) -> None:
    """The helper is asked for it by time, because its store cannot be watched."""
    machine.helpers = helpers = TimedHelpers()
    machine.write({"credsStore": "general"})
    agent = machine.start()
    await agent.apply()
    helpers.clock = agent.clock
    async with watching(agent) as until:
        for moment in (1, 8, 14, 21):
            await until(lambda moment=moment: agent.clock.monotonic() >= moment)  # type: ignore[misc]
            del helpers.logins["general"]["ghcr.io"]
            assert await until(lambda: helpers.logins["general"]) < 5


async def test_a_file_that_is_removed_repeatedly_is_restored_each_time(machine: Machine) -> None:
    """If it is removed, restored and removed between two checks, it looks unchanged."""
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        for _ in range(4):
            agent.file.unlink()
            assert await until(agent.file.exists) < 5


async def test_a_replaced_login_is_a_persons_until_it_is_removed(machine: Machine) -> None:
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        agent.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
        assert await until(lambda: "login_overridden" in agent.warnings()) < 5
        assert agent.auths() == {"ghcr.io": encode_entry(THEIRS)}
        agent.write({"auths": {}})
        await until(lambda: not agent.warnings())
        assert agent.auths() == {"ghcr.io": encode_entry(OURS)}


async def test_an_invalid_file_is_reported_until_it_is_fixed(machine: Machine) -> None:
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        agent.file.write_text("{")
        await until(lambda: "config_invalid" in agent.warnings())
        agent.write({"auths": {"ghcr.io": encode_entry(OURS)}})
        await until(lambda: not agent.warnings())


async def test_podmans_files_are_watched(machine: Machine) -> None:
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        machine.podman.write_text(json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS)}}))
        await until(lambda: "login_overridden" in agent.warnings())
        machine.podman.unlink()
        await until(lambda: not agent.warnings())


async def test_nothing_is_written_while_nothing_changes(machine: Machine) -> None:
    """There is no write, no report and no log event."""
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        await until(lambda: agent.clock.monotonic() > 10)
        before = (agent.written(), agent.board.snapshot.revision, agent.log.events[:])
        await until(lambda: agent.clock.monotonic() > 60)
        assert (agent.written(), agent.board.snapshot.revision, agent.log.events[:]) == before


async def test_docker_logout_from_a_helper_is_reverted(machine: Machine) -> None:
    """`docker logout` erases the login in the helper and the marker in the file."""
    store = good_helper(machine.bin, "good")
    machine.write({"credsStore": "good"})
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        await until(lambda: agent.clock.monotonic() > 5)
        store.unlink()
        agent.write({"auths": {}, "credsStore": "good"})
        await until(lambda: "login_restored" in agent.warnings())
        assert list(kept(store)) == ["ghcr.io"]
        assert agent.auths() == {"ghcr.io": {}}


async def test_a_persons_login_through_a_helper_is_noticed(machine: Machine) -> None:
    """The file does not change, so the helper is asked regularly."""
    store = good_helper(machine.bin, "good")
    machine.write({"credsStore": "good"})
    agent = machine.start()
    await agent.apply()
    store.write_text(json.dumps({"ghcr.io": {"Username": "you", "Secret": "theirs"}}))
    async with watching(agent) as until:
        assert await until(lambda: "login_overridden" in agent.warnings()) < 310


async def test_a_helper_that_hangs_delays_no_other_login(machine: Machine) -> None:
    good_helper(machine.bin, "slow")
    machine.write({"credHelpers": {"slow.example": "slow"}})
    agent = machine.start(helper_deadline_s=30)
    await agent.apply(registry=Registry("slow.example"))
    await agent.apply()
    script(machine.bin, "slow", "#!/bin/sh\nsleep 1000\n")
    async with watching(agent) as until:
        agent.write({"credHelpers": {"slow.example": "slow"}})
        async with asyncio.timeout(PATIENCE_S):
            assert await until(lambda: "ghcr.io" in agent.document().get("auths", {})) < 5


async def test_a_login_whose_removal_failed_is_not_stored_again(machine: Machine) -> None:
    """Its secret is gone. The person replaces the broken file by one without logins."""
    agent = machine.start()
    async with watching(agent) as until:
        await agent.apply()
        machine.file.write_text("{broken")
        with pytest.raises(ProblemError):
            await agent.reconciler.remove(GHCR)
        agent.write({})
        await until(lambda: agent.clock.monotonic() > 70)
        assert (agent.document(), agent.warnings()) == ({}, {})


async def test_removed_and_expired_logins_are_not_restored(machine: Machine) -> None:
    """An expired login is worse than none."""
    agent = machine.start()
    await agent.apply()
    await agent.apply(registry=Registry("quay.io"))
    await agent.reconciler.remove(GHCR)
    agent.clock.jump(timedelta(hours=13).total_seconds())
    async with watching(agent) as until:
        agent.write({"auths": {}})
        await until(lambda: agent.clock.monotonic() > 30)
        assert agent.auths() == {}


async def test_a_login_of_an_earlier_start_is_resumed_only_while_docker_has_it(machine: Machine) -> None:
    """In the file or in a helper. Not a person's login, and not if there is none."""
    agent = machine.start()
    assert await agent.reconciler.resume(GHCR) is False
    await agent.apply()
    assert await machine.start().reconciler.resume(GHCR) is True
    agent.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    assert await machine.start().reconciler.resume(GHCR) is False
    good_helper(machine.bin, "good")
    agent.write({"auths": {}, "credsStore": "good"})
    assert await machine.start().reconciler.resume(GHCR) is False
    await agent.apply()
    assert await machine.start().reconciler.resume(GHCR) is True


async def test_a_login_of_an_earlier_start_stays_in_place_until_the_first_attempt(machine: Machine) -> None:
    """The network may be down for hours. It is restored, and watched for what makes docker lose it."""
    await machine.start().apply()
    agent = machine.start()
    await agent.reconciler.resume(GHCR)
    async with watching(agent) as until:
        await until(lambda: agent.clock.monotonic() > 5)
        agent.write({"auths": {}})
        await until(lambda: "login_restored" in agent.warnings())
        assert agent.auths() == {"ghcr.io": encode_entry(OURS)}
        agent.file.write_text("{")
        await until(lambda: agent.reconciler.unusable(GHCR))
        agent.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
        await until(lambda: "login_overridden" in agent.warnings())
    assert agent.reconciler.unusable(GHCR) is None
    assert agent.auths() == {"ghcr.io": encode_entry(THEIRS)}


async def test_a_store_that_cannot_be_read_at_the_start_is_reported_and_read_again(machine: Machine) -> None:
    """Whoever repairs it need not wait for the next attempt."""
    await machine.start().apply()
    before = machine.file.read_text()
    machine.file.write_text("{")
    agent = machine.start()
    assert await agent.reconciler.resume(GHCR) is None
    assert isinstance(agent.reconciler.unusable(GHCR), ConfigInvalid)
    assert agent.warnings().keys() == {"config_invalid"}
    async with watching(agent) as until:
        await until(lambda: machine.news)
        machine.file.write_text(before)
        seen = machine.news
        await until(lambda: machine.news > seen)
        assert await agent.reconciler.resume(GHCR) is True
        assert (agent.reconciler.unusable(GHCR), agent.warnings()) == (None, {})


async def test_a_helper_that_fails_at_the_start_is_asked_again(machine: Machine) -> None:
    """No file changes when it is back. Another attempt to log in may store the login meanwhile."""
    agent = await machine.second_start()
    machine.write({"credsStore": "late"})
    assert await agent.reconciler.resume(GHCR) is None
    assert isinstance(agent.reconciler.unusable(GHCR), CredentialStoreFailed)
    async with watching(agent) as until:
        await until(lambda: machine.news >= 3)
    good_helper(machine.bin, "late")
    assert (await agent.apply()).ours
    assert (agent.reconciler.unusable(GHCR), agent.warnings()) == (None, {})
    assert await agent.reconciler.resume(GHCR) is True


async def test_a_login_that_is_no_longer_wanted_is_not_read_again(machine: Machine) -> None:
    """Its secret is gone. Its warning goes too."""
    machine.file.write_text("{")
    agent = machine.start()
    await agent.reconciler.resume(GHCR)
    await agent.reconciler.forget(GHCR)
    assert (agent.reconciler.unusable(GHCR), agent.warnings()) == (None, {})


async def test_while_the_configuration_cannot_be_read_it_is_read_every_two_seconds(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although a check is due all the time: a disk that hangs must not cost a processor as well."""
    agent, moments = machine.start(), list[float]()

    async def hung(_: DockerConfigFile) -> None:
        moments.append(agent.clock.monotonic())
        raise ProblemError(ConfigInvalid("config.json", "reading it takes too long"))

    async with watching(agent) as until:
        await agent.apply()
        with monkeypatch.context() as disk:
            disk.setattr(DockerConfigFile, "signature", hung)
            await until(lambda: agent.clock.monotonic() >= 30)
        assert 10 <= len(moments) <= 16
        agent.write({})
        assert await until(lambda: "auths" in agent.document()) < 5


async def test_a_failed_check_is_repeated(machine: Machine) -> None:
    """Free disk space, or a newly installed helper, changes no watched file."""
    good_helper(machine.bin, "late")
    machine.write({"credsStore": "late"})
    agent = machine.start()
    await agent.apply()
    away = machine.bin / "away"
    (machine.bin / "docker-credential-late").rename(away)
    async with watching(agent) as until:
        await until(lambda: "credential_store_failed" in agent.warnings())
        away.rename(machine.bin / "docker-credential-late")
        assert await until(lambda: not agent.warnings()) < 600  # as long as a busy machine runs the helper


async def test_a_store_that_works_again_when_the_login_has_ended_is_no_failure(machine: Machine) -> None:
    agent = machine.start()
    await agent.reconciler.apply(GHCR, OURS, expires_at=EPOCH + timedelta(seconds=20))
    before = machine.file.read_text()
    async with watching(agent) as until:
        machine.file.write_text("{")
        await until(lambda: agent.reconciler.unusable(GHCR))
        await until(lambda: agent.clock.monotonic() > 30)
        assert "config_invalid" in agent.warnings()
        machine.file.write_text(before)
        await until(lambda: agent.reconciler.unusable(GHCR) is None)
        assert agent.warnings() == {}


# A person's own ECR login


async def test_a_refusal_ends_with_the_login_that_a_person_removes(machine: Machine) -> None:
    """Also after the end of the agent's own login."""
    agent = await machine.second_start()
    agent.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    await agent.reconciler.apply(GHCR, OURS, expires_at=EPOCH + timedelta(seconds=20))
    agent.reconciler.note_refused(GHCR, THEIRS)
    async with watching(agent) as until:
        await until(lambda: agent.clock.monotonic() > 30)
        assert "login_rejected" in agent.warnings()
        agent.write({"auths": {}})
        await until(lambda: agent.reconciler.unusable(GHCR) is None)
        assert agent.warnings() == {}


def ecr_login(ends: float) -> Entry:
    """Like `aws ecr get-login-password | docker login`, with a token that ends so many seconds after the start."""
    content = {"payload": "p", "datakey": "d", "version": "2", "expiration": int(EPOCH.timestamp() + ends)}
    return Entry("AWS", Sensitive(base64.b64encode(json.dumps(content).encode()).decode()))


@pytest.mark.parametrize("where", ["file", "old key", "helper"])
async def test_a_persons_ecr_login_stays_until_its_token_ends(machine: Machine, where: str) -> None:
    """The agent's login then takes its place, and a notice reports it."""
    theirs = ecr_login(120)
    agent = await machine.second_start()
    store = good_helper(machine.bin, "good")
    if where == "helper":
        fill(store, "ghcr.io", login=theirs)
        agent.write({"credsStore": "good"})
    else:
        key = {"file": "ghcr.io", "old key": "https://ghcr.io/v2/"}[where]
        agent.write({"auths": {key: encode_entry(theirs)}})
    assert not (await agent.apply()).ours
    assert "works until 2026-01-01 00:02 UTC" in agent.warnings()["login_overridden"]
    async with watching(agent) as until:
        await until(lambda: agent.clock.monotonic() > 100)
        assert set(agent.warnings()) == {"login_overridden"}
        await until(lambda: set(agent.warnings()) == {"login_restored"})
        assert agent.clock.monotonic() >= 120
    assert "the ECR login for ghcr.io that a person made has ended" in agent.warnings()["login_restored"]
    assert agent.log.names().count("login.restored") == 1
    assert where == "helper" or agent.auths()["ghcr.io"] == encode_entry(OURS)
    assert where != "helper" or kept(store)["ghcr.io"]["Secret"] == "s3cret"


async def test_a_persons_ecr_login_ends_during_a_suspend(machine: Machine) -> None:
    """The machine sleeps over the end of the token: the first check after it replaces the login."""
    agent = await machine.second_start()
    agent.write({"auths": {"ghcr.io": encode_entry(ecr_login(3600))}})
    await agent.apply()
    async with watching(agent) as until:
        await until(lambda: agent.clock.monotonic() > 5)
        agent.clock.suspend(7200)
        assert await until(lambda: "login_restored" in agent.warnings()) < 10


async def test_a_persons_ecr_login_that_has_ended_is_replaced_at_once(machine: Machine) -> None:
    """It ended while the agent did not run."""
    agent = await machine.second_start()
    agent.write({"auths": {"ghcr.io": encode_entry(ecr_login(-60))}})
    assert (await agent.apply()).ours
    assert set(agent.warnings()) == {"login_restored"}


@pytest.mark.parametrize("confirmed", [True, False])
async def test_a_leap_of_the_clock_does_not_end_a_persons_ecr_login(machine: Machine, *, confirmed: bool) -> None:
    """It stays while it may be valid. Only time that has really passed, or that a server confirms, ends it."""
    theirs = ecr_login(10 * HOUR_S)
    await machine.second_start()
    machine.server_answers = confirmed
    agent = machine.start()
    agent.write({"auths": {"ghcr.io": encode_entry(theirs)}})
    await agent.apply()
    async with watching(agent) as until:
        agent.clock.jump(11 * HOUR_S)
        await until(lambda: agent.clock.monotonic() > 60)
        assert set(agent.warnings()) == {"login_overridden"}
    assert not (await agent.apply(NEWER)).ours
    assert agent.auths() == {"ghcr.io": encode_entry(theirs)}


async def test_the_agents_own_ecr_login_that_has_ended_is_replaced_without_a_notice(machine: Machine) -> None:
    agent = await machine.second_start()
    await agent.apply(ecr_login(60))
    agent.clock.jump(120)
    assert (await agent.apply(ecr_login(3600))).ours
    assert agent.warnings() == {}


@pytest.mark.parametrize(
    "theirs",
    [
        Entry("AWS", Sensitive("opaque")),
        Entry("AWS", Sensitive(base64.b64encode(b'{"expiration": "soon"}').decode())),
        Entry("you", ecr_login(-60).secret),
        Entry("AWS", ecr_login(-60).secret, identity_token=True),
    ],
    ids=["opaque", "no time", "another user", "identity token"],
)
async def test_a_persons_login_whose_end_cannot_be_read_stays(machine: Machine, theirs: Entry) -> None:
    agent = await machine.second_start()
    agent.write({"auths": {"ghcr.io": encode_entry(theirs)}})
    assert not (await agent.apply()).ours
    assert set(agent.warnings()) == {"login_overridden"}


# Helpers of the person's own, and stores that no longer work


COMPUTED = "#!/bin/sh\n[ $1 = get ] && echo '{}' && exit\necho not implemented; exit 1\n"
NOTHING = "#!/bin/sh\n[ $1 = get ] && echo credentials not found in native keychain\nexit 1\n"


class Registries:
    """Answers with `status` about each login, and remembers which."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        self.asked: list[str] = []

    async def check(self, registry: Registry, entry: Entry, timeout: float) -> ProbeResult:
        assert registry == GHCR
        assert timeout > 0
        self.asked.append(entry.secret.reveal())
        return ProbeResult(EPOCH, status=self.status, refused=self.status == 401)


@pytest.mark.parametrize("configuration", [{"credHelpers": {"ghcr.io": "ecr-login"}}, {"credsStore": "ecr-login"}])
async def test_a_persons_helper_that_works_is_left_alone(machine: Machine, configuration: dict[str, Any]) -> None:
    """Its logins change, and the registry is asked about a new one at most once a minute. There is only a notice."""
    script(machine.bin, "ecr-login", COMPUTED.format(answer("you", "first")))
    machine.write(configuration)
    machine.registries = Registries(200)
    agent = machine.start()
    outcome = await agent.apply()
    assert [(problem.code, problem.severity) for problem in outcome.problems] == [("login_overridden", "notice")]
    script(machine.bin, "ecr-login", COMPUTED.format(answer("you", "second")))
    await agent.apply(NEWER)
    assert (set(agent.warnings()), machine.registries.asked) == ({"login_overridden"}, ["first"])
    await agent.clock.advance(61)
    await agent.apply(NEWER)
    assert machine.registries.asked == ["first", "second"]
    assert agent.document() == configuration


@pytest.mark.parametrize("status", [401, 503, None], ids=["refuses", "down", "silent"])
async def test_a_persons_helper_that_does_not_work_is_reported(machine: Machine, status: int | None) -> None:
    """The hints agree: the helper cannot store another login, so a renewal would not help."""
    script(machine.bin, "computed", COMPUTED.format(answer("you", "theirs")))
    machine.write({"credHelpers": {"ghcr.io": "computed"}})
    machine.registries = Registries(status)
    agent = machine.start()
    await agent.apply()
    assert set(agent.warnings()) == {"login_overridden", "credential_store_failed"}
    assert "renew" not in agent.hint("login_overridden")


async def test_a_persons_login_in_a_store_that_works_is_still_a_warning(machine: Machine) -> None:
    """The person has not chosen a helper for this registry, but has logged in once. `renew` would replace that."""
    store = good_helper(machine.bin, "good")
    agent = await machine.second_start()
    agent.write({"credsStore": "good"})
    fill(store, "ghcr.io")
    machine.registries = Registries(200)
    outcome = await machine.start().apply()
    assert [problem.severity for problem in outcome.problems] == ["warning"]


async def test_a_store_that_cannot_store_loses_the_login(machine: Machine) -> None:
    """An editor injects its helper into config.json, and the helper stores nothing. Docker then finds no login."""
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        script(machine.bin, "editor", NOTHING)
        agent.write({**agent.document(), "credsStore": "editor"})
        await until(lambda: agent.reconciler.unusable(GHCR))
        assert "credential_store_failed" in agent.warnings()
        assert machine.news == 1
        agent.write({"auths": agent.auths()})
        await until(lambda: agent.reconciler.unusable(GHCR) is None)
        assert machine.news == 2
        assert agent.warnings() == {}


def invalid(machine: Machine) -> None:
    machine.file.write_text("{")


def loop(machine: Machine) -> None:
    machine.file.unlink(missing_ok=True)
    machine.file.symlink_to(machine.file)


def no_login_and_no_room(machine: Machine) -> None:
    machine.file.unlink(missing_ok=True)
    machine.file.symlink_to(machine.directory / "missing" / "config.json")


@pytest.mark.parametrize("break_it", [invalid, loop, no_login_and_no_room])
@pytest.mark.parametrize("before", ["logged in", "new", "restarted"])
async def test_a_file_that_docker_cannot_use_loses_the_login(
    machine: Machine, break_it: Callable[[Machine], None], before: str
) -> None:
    """Even if the agent has stored one in it before. It is back as soon as the file is fixed, without a new login."""
    agent = machine.start()
    if before != "new":
        await agent.apply()
    if before == "restarted":
        agent = machine.start()
    async with watching(agent) as until:
        break_it(machine)
        if before != "logged in":
            with raises_problem(Problem):
                await agent.apply()
        await until(lambda: agent.reconciler.unusable(GHCR))
        assert machine.news == 1
        machine.file.unlink(missing_ok=True)
        await until(lambda: agent.reconciler.unusable(GHCR) is None)
        assert machine.news == 2
        assert agent.auths() == {"ghcr.io": encode_entry(OURS)}
        assert not {"config_invalid", "config_unwritable"} & set(agent.warnings())


async def test_a_file_that_cannot_be_written_keeps_the_login_in_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that cannot be stored loses nothing: Docker still finds the earlier login."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    agent = machine.start()
    await agent.apply()
    monkeypatch.setattr("agent.edge.docker_config.replace_version", full)
    with raises_problem(ConfigUnwritable, match="the disk is full"):
        await agent.apply(NEWER)
    assert agent.reconciler.unusable(GHCR) is None


async def test_a_dead_login_in_docker_auth_config_loses_ours(machine: Machine) -> None:
    """Docker uses it first, so no pull works. It is sent once, until it may work again."""
    machine.auth_config = json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    machine.registries = Registries(401)
    agent = machine.start()
    await agent.apply()
    await agent.apply(NEWER)
    assert machine.registries.asked == ["theirs"]
    assert await agent.reconciler.in_use(GHCR) == (THEIRS, False)
    assert agent.reconciler.unusable(GHCR) is not None
    assert set(agent.warnings()) == {"login_overridden", "login_rejected"}
    assert "unset DOCKER_AUTH_CONFIG" in agent.hint("login_rejected")
    machine.registries.status = 200
    await agent.clock.advance(1801)
    await agent.apply(NEWER)
    assert (agent.reconciler.unusable(GHCR), set(agent.warnings())) == (None, {"login_overridden"})


async def test_an_ecr_token_in_docker_auth_config_is_dead_from_its_end_on(machine: Machine) -> None:
    machine.auth_config = json.dumps({"auths": {"ghcr.io": encode_entry(ecr_login(120))}})
    agent = machine.start()
    await agent.apply()
    assert agent.reconciler.unusable(GHCR) is None
    async with watching(agent) as until:
        await until(lambda: agent.reconciler.unusable(GHCR))
        assert agent.clock.monotonic() >= 120


async def test_a_file_that_docker_cannot_use_loses_nothing_that_is_in_docker_auth_config(machine: Machine) -> None:
    """Docker reads the variable without its file."""
    machine.auth_config = json.dumps({"auths": {"ghcr.io": encode_entry(OURS)}})
    machine.file.write_text("{")
    agent = machine.start()
    with raises_problem(ConfigInvalid):
        await agent.apply()
    assert await agent.reconciler.in_use(GHCR) == (OURS, True)
    assert agent.reconciler.unusable(GHCR) is None


@pytest.mark.parametrize(("status", "lost"), [(401, True), (503, False)])
async def test_a_dead_login_of_a_persons_helper_loses_ours(machine: Machine, status: int, lost: bool) -> None:
    """An answer that is not about the login proves nothing."""
    script(machine.bin, "computed", COMPUTED.format(answer("you", "theirs")))
    machine.write({"credHelpers": {"ghcr.io": "computed"}})
    machine.registries = Registries(status)
    agent = machine.start()
    await agent.apply()
    assert (agent.reconciler.unusable(GHCR) is not None) is lost


@pytest.mark.parametrize(("version", "lost"), [((28, 5), False), ((29, 0), True), (None, False)])
async def test_while_a_helper_fails_docker_uses_the_login_in_the_file(
    machine: Machine, version: tuple[int, ...] | None, lost: bool
) -> None:
    """So it is not lost. From 29 on, every pull fails. The helper's failure is reported all the same."""
    machine.cli_version = version
    agent = machine.start()
    await agent.apply()
    async with watching(agent) as until:
        agent.write({**agent.document(), "credsStore": "missing"})
        await until(agent.warnings)
        assert (agent.reconciler.unusable(GHCR) is not None) is lost


async def test_a_dead_login_of_a_person_is_reported_until_it_changes(machine: Machine) -> None:
    agent = await machine.second_start()
    agent.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    await agent.apply()
    assert await agent.reconciler.in_use(GHCR) == (THEIRS, False)
    agent.reconciler.note_refused(GHCR, THEIRS)
    assert set(agent.warnings()) == {"login_overridden", "login_rejected"}
    await agent.apply(NEWER)
    assert "login_rejected" in agent.warnings(), "a renewal of the agent's own login does not change that"
    agent.write({"auths": {"ghcr.io": encode_entry(Entry("you", Sensitive("another")))}})
    await agent.apply(NEWER)
    assert set(agent.warnings()) == {"login_overridden"}
