"""Logins in the agent's care: with the real file, real helpers, a real state directory, and a clock that stands."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.edge.credential_helper import CredentialHelpers
from agent.edge.docker_config import DockerConfigFile
from agent.edge.podman_auth import PodmanAuthFiles
from agent.edge.state_file import StateFile
from agent.model.docker_config import Entry, encode_entry
from agent.model.problems.stored_login import ConfigInvalid, ConfigUnwritable, CredentialStoreFailed
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.services.board import Board
from agent.services.managed_login import AppliedLogin
from agent.services.reconciler import ConfigReconciler
from tests.edge.helper_script import answer, good_helper, kept, script
from tests.fakes import EPOCH, ClockedFileWatcher, FakeClock, FakeLog, FakeWarningLog, NoFileWatcher, process
from tests.problems import raises_problem
from tests.rig.waiting import PATIENCE_S

GHCR = Registry("ghcr.io")
OURS = Entry("me", Sensitive("s3cret"))
NEWER = Entry("me", Sensitive("newer"))
THEIRS = Entry("you", Sensitive("theirs"))


@dataclass
class Agent:
    """One start of the agent, as far as stored logins go."""

    reconciler: ConfigReconciler
    board: Board
    clock: FakeClock
    log: FakeLog
    file: Path
    state_file: StateFile

    def written(self) -> tuple[int, ...]:
        """Other after every write; not `stat` as it is: its time of access moves when the file is read."""
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
        """As somebody else writes it."""
        temporary = self.file.with_name("theirs")
        temporary.write_text(json.dumps(document))
        temporary.rename(self.file)

    async def keep(self, entry: Entry = OURS, registry: Registry = GHCR, *, take_over: bool = False) -> AppliedLogin:
        return await self.reconciler.apply(registry, entry, expires_at=EPOCH + timedelta(hours=12), take_over=take_over)


class Machine:
    """An environment in which the agent is started, and started again."""

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
        self.watcher_alive = False

    def write(self, document: dict[str, Any]) -> None:
        self.file.write_text(json.dumps(document))

    def start(self, helper_deadline_s: float = 5) -> Agent:
        clock, log = FakeClock(), FakeLog()
        board = Board(process(), clock.now, FakeWarningLog())
        state_file = StateFile(self.directory / "state", self.docker)
        reconciler = ConfigReconciler(
            config=DockerConfigFile(self.docker),
            helpers=CredentialHelpers(self.environ, deadline_s=helper_deadline_s),
            podman=PodmanAuthFiles(self.environ, self.directory),
            state_file=state_file,
            board=board,
            clock=clock,
            log=log,
            watcher=ClockedFileWatcher(clock) if self.watcher_alive else NoFileWatcher(),
            auth_config=self.auth_config,
        )
        return Agent(reconciler, board, clock, log, self.file, state_file)

    async def second_start(self) -> Agent:
        """An agent that is not the very first, and knows of no login."""
        await self.start().keep(registry=Registry("before.example"))
        return self.start()


@pytest.fixture(params=[False, True], ids=["everyone looks", "the watcher turns"])
def machine(tmp_path: Path, request: pytest.FixtureRequest) -> Machine:
    machine = Machine(tmp_path)
    machine.watcher_alive = request.param
    return machine


def listing_helper(machine: Machine, *servers: str) -> Path:
    """A helper that works and can list, with a login that somebody made for each of the servers."""
    store = good_helper(machine.bin, "good")
    program = machine.bin / "docker-credential-good"
    listing = "elif action == 'list':\n    print(json.dumps({key: logins[key]['Username'] for key in logins}))\n"
    program.write_text(program.read_text() + listing)
    fill(store, *servers)
    return store


def fill(store: Path, *servers: str, login: Entry = THEIRS) -> None:
    """As somebody logs in to them."""
    fields = {"Username": login.username, "Secret": login.secret.reveal()}
    logins = {server: {"ServerURL": server, **fields} for server in servers}
    store.write_text(json.dumps(kept(store) | logins))


@contextlib.asynccontextmanager
async def watching(agent: Agent) -> AsyncIterator[Callable[[Callable[[], object]], Any]]:
    """While the watch runs; gives a function that lets its polls go by until something is so."""
    task = asyncio.create_task(agent.reconciler.run())

    async def until(condition: Callable[[], object]) -> float:
        begun = agent.clock.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                if agent.clock.waiting:
                    await agent.clock.advance(0.5)
                await asyncio.sleep(0.01)
                task.done() and task.result()
        return agent.clock.monotonic() - begun

    try:
        yield until
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_login_goes_into_the_file(machine: Machine) -> None:
    agent = machine.start()
    assert await agent.keep() == AppliedLogin("config.json", (), ours=True)
    assert agent.auths() == {"ghcr.io": encode_entry(OURS)}
    assert agent.warnings() == {}


async def test_docker_hub_gets_its_real_key(machine: Machine) -> None:
    agent = machine.start()
    await agent.keep(registry=parse_hostname("docker.io"))
    assert list(agent.auths()) == ["https://index.docker.io/v1/"]


async def test_parallel_logins_are_all_kept(machine: Machine) -> None:
    """In the file, in a helper whose store is as unlocked as many, and both at once."""
    store = good_helper(machine.bin, "good")
    machine.write({"auths": {}, "credHelpers": {f"h{number}.example": "good" for number in range(8)}})
    agent = machine.start()
    names = [*(f"r{number}.example" for number in range(20)), *(f"h{number}.example" for number in range(8))]
    outcomes = await asyncio.gather(*(agent.keep(registry=Registry(name)) for name in names))
    assert all(outcome.ours and not outcome.problems for outcome in outcomes)
    assert set(agent.auths()) == set(names)
    assert set(kept(store)) == {name for name in names if name.startswith("h")}


async def test_the_same_login_again_writes_nothing(machine: Machine) -> None:
    agent = machine.start()
    await agent.keep()
    before = agent.written()
    await agent.keep()
    assert agent.written() == before


async def test_the_first_start_replaces_what_the_image_brought(machine: Machine) -> None:
    """Also for a secret that comes days later, but only what is still the image's."""
    brought = {"ghcr.io": encode_entry(THEIRS), "quay.io": encode_entry(THEIRS), "late.example": encode_entry(THEIRS)}
    machine.write({"auths": brought})
    first = machine.start()
    assert (await first.keep()).ours
    later = machine.start()
    later.write({"auths": {**first.auths(), "quay.io": encode_entry(NEWER)}})
    assert (await later.keep(registry=Registry("late.example"))).ours
    assert not (await later.keep(registry=Registry("quay.io"))).ours


async def test_the_images_login_made_again_is_a_persons(machine: Machine) -> None:
    machine.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    await machine.start().keep()
    machine.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    assert not (await machine.start().keep()).ours


async def test_a_persons_login_stays_until_it_is_taken_over(machine: Machine) -> None:
    agent = await machine.second_start()
    agent.write({"auths": {**agent.auths(), "ghcr.io": encode_entry(THEIRS)}})
    outcome = await agent.keep()
    assert not outcome.ours
    assert agent.auths()["ghcr.io"] == encode_entry(THEIRS)
    assert "config.json has one that the agent did not store" in agent.warnings()["login_overridden"]
    assert "registry-agent renew ghcr.io" in agent.hint("login_overridden")
    outcome = await agent.keep(take_over=True)
    assert outcome == AppliedLogin("config.json", (), ours=True)
    assert agent.auths()["ghcr.io"] == encode_entry(OURS)
    assert agent.warnings() == {}


async def test_a_login_under_an_old_key_is_a_persons_too(machine: Machine) -> None:
    agent = await machine.second_start()
    agent.write({"auths": {"https://ghcr.io/v2/": encode_entry(THEIRS)}})
    assert not (await agent.keep()).ours
    assert list(agent.auths()) == ["https://ghcr.io/v2/"]


async def test_our_own_login_is_renewed_after_a_restart(machine: Machine) -> None:
    """The state directory knows it by its hash."""
    await machine.start().keep()
    agent = machine.start()
    assert (await agent.keep(NEWER)).ours
    assert agent.auths()["ghcr.io"] == encode_entry(NEWER)


@pytest.mark.parametrize("there", [OURS, NEWER])
async def test_our_own_login_is_known_after_a_write_that_did_not_end(machine: Machine, there: Entry) -> None:
    """Noted before it is written: whichever of the two is there is ours."""
    await machine.start().keep()
    machine.file.unlink()
    machine.file.symlink_to("missing/config.json")
    with raises_problem(ConfigUnwritable):
        await machine.start().keep(NEWER)
    machine.file.unlink()
    machine.write({"auths": {"ghcr.io": encode_entry(there)}})
    assert (await machine.start().keep(Entry("me", Sensitive("third")))).ours


async def test_after_a_damaged_state_everything_is_a_persons(machine: Machine) -> None:
    await machine.start().keep()
    (machine.directory / "state/state.json").write_text("{")
    agent = machine.start()
    assert not (await agent.keep(NEWER)).ours
    assert (await agent.keep(OURS)).ours, "what equals ours is ours"


async def test_a_broken_file_is_reported_about_the_registry_and_left(machine: Machine) -> None:
    machine.file.write_text("{")
    with raises_problem(ConfigInvalid, match=r"config\.json is not valid") as caught:
        await machine.start().keep()
    assert caught.value.subject == "ghcr.io"
    assert machine.file.read_text() == "{"


async def test_a_login_is_released_only_while_it_is_ours(machine: Machine) -> None:
    agent = machine.start()
    await agent.keep()
    await agent.keep(registry=Registry("quay.io"))
    agent.write({"auths": {**agent.auths(), "quay.io": encode_entry(THEIRS)}, "x": 1})
    assert await machine.start().reconciler.remove(GHCR)
    assert not await agent.reconciler.remove(Registry("quay.io"))
    assert not await agent.reconciler.remove(Registry("never.example"))
    assert agent.document() == {"auths": {"quay.io": encode_entry(THEIRS)}, "x": 1}
    assert "quay.io" not in agent.state_file.entries()


async def test_a_release_that_fails_can_be_tried_again(machine: Machine) -> None:
    agent = machine.start()
    await agent.keep()
    text = agent.file.read_text()
    agent.file.write_text("{")
    with raises_problem(ConfigInvalid) as caught:
        await agent.reconciler.remove(GHCR)
    assert caught.value.subject == "ghcr.io"
    agent.file.write_text(text)
    assert await agent.reconciler.remove(GHCR)
    assert agent.auths() == {}


# Credential helpers


async def test_a_login_goes_into_the_helper_with_a_marker_in_the_file(machine: Machine) -> None:
    """The exact registry's helper before the general one; the plain login that we had in the file goes."""
    general, exact = good_helper(machine.bin, "general"), good_helper(machine.bin, "exact")
    agent = machine.start()
    await agent.keep()
    agent.write({**agent.document(), "credsStore": "general", "credHelpers": {"ghcr.io": "exact"}})
    assert await agent.keep() == AppliedLogin("exact", (), ours=True)
    assert await agent.keep(registry=Registry("quay.io")) == AppliedLogin("general", (), ours=True)
    assert agent.auths() == {"ghcr.io": {}, "quay.io": {}}
    assert list(kept(exact)) == ["ghcr.io"]
    assert list(kept(general)) == ["quay.io"]
    assert await agent.reconciler.remove(GHCR)
    assert kept(exact) == {}
    assert agent.auths() == {"quay.io": {}}


async def test_a_persons_login_in_a_helper_stays_but_for_the_first_start(machine: Machine) -> None:
    store = listing_helper(machine, "ghcr.io")
    machine.write({"credsStore": "good"})
    first = machine.start()
    assert (await first.keep()).ours
    fill(store, "ghcr.io")
    agent = machine.start()
    assert not (await agent.keep()).ours
    assert "docker-credential-good" in agent.warnings()["login_overridden"]
    assert kept(store)["ghcr.io"]["Secret"] == "theirs"
    assert (await agent.keep(take_over=True)).ours
    assert kept(store)["ghcr.io"]["Secret"] == "s3cret"


async def test_what_the_image_brought_in_a_helper_is_seen_when_the_agent_begins(machine: Machine) -> None:
    """A secret may come for it later, also after a restart; what is made there since is a person's."""
    store = listing_helper(machine, "ghcr.io", "quay.io", "https://index.docker.io/v1/")
    machine.write({"credsStore": "good"})
    first = machine.start()
    async with watching(first):
        await first.reconciler.note_preexisting([])
        assert len(first.state_file.preexisting or {}) == 3
        fill(store, "ghcr.io", "quay.io", "https://index.docker.io/v1/", "new.example")
        assert not (await first.keep(registry=Registry("new.example"))).ours
        assert set(first.warnings()) == {"login_overridden"}
        assert (await first.keep()).ours
    await first.state_file.flush()
    second = machine.start()
    assert (await second.keep(registry=parse_hostname("docker.io"))).ours
    fill(store, "quay.io", login=NEWER)
    assert not (await second.keep(registry=Registry("quay.io"))).ours


@pytest.mark.parametrize("listing", ["exit 1", "echo not json", "echo '[1]'", "exec sleep 1000"])
async def test_a_helper_without_a_list_is_asked_for_what_is_known(machine: Machine, listing: str) -> None:
    """By Docker's marker, or in `credHelpers`, and for what there are secrets at first; the rest stays a person's."""
    store = good_helper(machine.bin, "plain")
    program = machine.bin / "docker-credential-plain"
    program.rename(machine.bin / "works")
    script(machine.bin, "plain", f"#!/bin/sh\n[ $1 = list ] && {listing}\nexec {machine.bin}/works $1\n")
    store = machine.bin / "works.json"
    fill(store, "ghcr.io", "quay.io", "planned.example")
    machine.write({"auths": {"ghcr.io": {}}, "credsStore": "plain", "credHelpers": {"quay.io": "plain"}})
    agent = machine.start(helper_deadline_s=2.5)
    async with watching(agent):
        await agent.reconciler.note_preexisting([Registry("planned.example")])
        fill(store, "made.example")
        names = ("ghcr.io", "quay.io", "planned.example", "made.example")
        assert [(await agent.keep(registry=Registry(name))).ours for name in names] == [True, True, True, False]


async def test_the_first_look_into_a_helper_that_hangs_keeps_no_other_login_waiting(machine: Machine) -> None:
    """And it is asked once only, although two wait for its answer."""
    script(machine.bin, "hung", f"#!/bin/sh\n[ $1 = list ] && echo >>{machine.bin}/asked && sleep 1000\nexit 1\n")
    listing_helper(machine, "quay.io")
    machine.write({"credHelpers": {"ghcr.io": "hung", "quay.io": "good"}})
    agent = machine.start(helper_deadline_s=2.5)
    async with watching(agent):
        looking = asyncio.create_task(agent.reconciler.note_preexisting([]))
        hanging = asyncio.create_task(agent.keep())
        assert (await agent.keep(registry=Registry("quay.io"))).ours
        assert (await agent.keep(registry=Registry("file.example"))).ours
        with raises_problem(CredentialStoreFailed):
            await hanging
        with raises_problem(CredentialStoreFailed):
            await agent.keep()
        await looking
    assert (machine.bin / "asked").read_text() == "\n"


async def test_who_logs_in_during_the_first_look_is_not_overwritten(machine: Machine) -> None:
    """The look may take seconds, and the login that is to be kept waits for its end."""
    store = good_helper(machine.bin, "good")
    program = machine.bin / "docker-credential-good"
    login = json.dumps({"ghcr.io": {"Username": "you", "Secret": "theirs"}})
    program.write_text(
        f"{program.read_text()}elif action == 'list':\n    store.write_text('{login}')\n    print('{{}}')\n"
    )
    machine.write({"credsStore": "good"})
    agent = machine.start()
    assert not (await agent.keep()).ours
    assert kept(store)["ghcr.io"]["Username"] == "you"


async def test_a_keychain_is_not_asked_for_what_no_registry_is_called(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor for hundreds of registries: each answer is a program that runs."""
    monkeypatch.setattr("agent.services.credential_store._NOTE_HELPER_S", PATIENCE_S)
    many = [f"r{number}.example" for number in range(200)]
    listing_helper(machine, "https://github.com", "GHCR.IO", "index.docker.io", "a b", "", "\ud800", *many)
    machine.write({"credsStore": "good"})
    agent = machine.start()
    assert (await agent.keep(registry=Registry("r0.example"))).ours
    brought = agent.state_file.preexisting or {}
    assert list(brought) == [f"good {name}" for name in many[1:50]]


async def test_a_helper_that_is_named_later_brings_nothing(machine: Machine) -> None:
    """What it has when the agent meets it may be a person's."""
    store = listing_helper(machine)
    agent = machine.start()
    await agent.keep(registry=Registry("other.example"))
    agent.write({**agent.document(), "credsStore": "good"})
    fill(store, "ghcr.io")
    assert not (await agent.keep()).ours


async def test_a_file_that_cannot_be_written_does_not_matter_to_a_helper(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker finds a helper's login without the marker."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("agent.edge.docker_config.replace_version", full)
    store = good_helper(machine.bin, "good")
    machine.write({"credsStore": "good"})
    assert (await machine.start().keep()).ours
    assert list(kept(store)) == ["ghcr.io"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "not on the PATH"),
        ("#!/bin/sh\nsleep 100\n", "did not end within"),
        (
            "#!/bin/sh\n[ $1 = get ] && echo credentials not found in native keychain\necho not implemented; exit 1\n",
            "cannot store",
        ),
        (
            "#!/bin/sh\n[ $1 = store ] && exit 0\necho credentials not found in native keychain; exit 1\n",
            "said that it stored, but has no login",
        ),
        ("#!/bin/sh\necho gibberish\n", "an answer that is no login"),
    ],
    ids=["missing", "hanging", "cannot store", "lying", "garbage"],
)
async def test_a_helper_that_fails_is_an_error_about_the_registry(
    machine: Machine, text: str | None, message: str
) -> None:
    machine.write({"credHelpers": {"ghcr.io": "bad"}})
    if text is not None:
        script(machine.bin, "bad", text)
    with raises_problem(CredentialStoreFailed, match=message) as caught:
        await machine.start(helper_deadline_s=2.5).keep()
    assert caught.value.subject == "ghcr.io"
    assert "docker-credential-bad" in caught.value.message


async def test_a_helper_that_cannot_store_and_has_a_login_overrides_ours(machine: Machine) -> None:
    """As amazon-ecr-credential-helper, which computes its answers."""
    script(
        machine.bin,
        "computed",
        f"#!/bin/sh\n[ $1 = get ] && echo '{answer('you', 'theirs')}' && exit\necho not implemented; exit 1\n",
    )
    machine.write({"credHelpers": {"ghcr.io": "computed"}})
    agent = machine.start()
    outcome = await agent.keep()
    assert (outcome.ours, outcome.stored_in) == (False, "computed")
    assert set(agent.warnings()) == {"credential_store_failed", "login_overridden"}


async def test_a_helper_that_cannot_store_and_has_an_older_one_of_ours_overrides_nothing(machine: Machine) -> None:
    """Nobody else put it there; but where a person did, taking it over does not make it ours."""
    good_helper(machine.bin, "good")
    machine.write({"credsStore": "good"})
    agent = await machine.second_start()
    assert (await agent.keep()).ours
    script(machine.bin, "good", f"#!/bin/sh\n[ $1 = get ] && echo '{answer('me', 's3cret')}' && exit\nexit 1\n")
    assert not (await agent.keep(NEWER)).ours
    assert set(agent.warnings()) == {"credential_store_failed"}
    script(machine.bin, "good", f"#!/bin/sh\n[ $1 = get ] && echo '{answer('you', 'theirs')}' && exit\nexit 1\n")
    assert not (await agent.keep(NEWER, take_over=True)).ours
    assert set(agent.warnings()) == {"credential_store_failed", "login_overridden"}


async def test_a_helper_that_lies_about_a_login_overrides_ours(machine: Machine) -> None:
    """It takes ours without a word and goes on to give another: whoever asked for ours learns that it is not there."""
    script(machine.bin, "stuck", f"#!/bin/sh\n[ $1 = get ] && echo '{answer('you', 'theirs')}'\nexit 0\n")
    machine.write({"credsStore": "stuck"})
    agent = machine.start()
    assert not (await agent.keep(take_over=True)).ours
    assert "docker-credential-stuck" in agent.warnings()["login_overridden"]
    assert "gives another login" in agent.warnings()["credential_store_failed"]


async def test_a_helper_that_alters_what_it_is_given_cannot_store(machine: Machine) -> None:
    """Nobody logged in there. It is not stored again unasked, since somebody may have, just then."""
    store = good_helper(machine.bin, "good")
    program = machine.bin / "docker-credential-good"
    honest = program.read_text()
    program.write_text(honest.replace("] = login\n", "] = {**login, 'Username': 'mallory'}\n"))
    machine.write({"credsStore": "good"})
    agent = machine.start()
    for take_over in (False, True, False):
        outcome = await agent.keep(take_over=take_over)
        assert (outcome.ours, [problem.code for problem in outcome.problems]) == (False, ["credential_store_failed"])
    assert "registry-agent renew ghcr.io" in agent.hint("credential_store_failed")
    program.write_text(honest)
    assert not (await agent.keep()).ours
    assert kept(store)["ghcr.io"]["Username"] == "mallory"
    assert (await agent.keep(take_over=True)).ours
    assert agent.warnings() == {}
    fill(store, "ghcr.io", login=Entry("mallory", OURS.secret))
    await agent.keep()
    assert set(agent.warnings()) == {"login_overridden"}, "what it altered is gone, so the same again is a person's"


# What is used before Docker's stores


async def test_docker_auth_config_overrides_ours(machine: Machine) -> None:
    """Ours is stored all the same; the same login there, or a value that Docker cannot read, is no override."""
    machine.auth_config = json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS), "quay.io": encode_entry(OURS)}})
    agent = machine.start()
    assert (await agent.keep()).ours
    assert "DOCKER_AUTH_CONFIG" in agent.warnings()["login_overridden"]
    assert not (await agent.keep(registry=Registry("quay.io"))).problems
    machine.auth_config = "{"
    assert not (await machine.start().keep()).problems


async def test_podmans_own_login_overrides_ours_for_podman(machine: Machine) -> None:
    machine.podman.write_text(json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS)}}))
    second = machine.directory / ".config/containers/auth.json"
    second.parent.mkdir(parents=True)
    second.write_text(json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS), "quay.io/org": encode_entry(THEIRS)}}))
    agent = machine.start()
    assert (await agent.keep()).ours
    message = agent.warnings()["login_overridden"]
    assert str(machine.podman) in message
    assert str(second) not in message, "podman does not get that far"
    outcome = await agent.keep(registry=Registry("quay.io"))
    assert "quay.io/org" in outcome.problems[0].message


# The watch


async def test_a_login_that_vanished_is_back_within_five_seconds(machine: Machine) -> None:
    """And said for ten minutes, once."""
    agent = machine.start()
    await agent.keep()
    async with watching(agent) as until:
        agent.write({"auths": {"their.example": {}}, "x": 1})
        assert await until(agent.warnings) < 5
        assert agent.document() == {"auths": {"their.example": {}, "ghcr.io": encode_entry(OURS)}, "x": 1}
        assert "ghcr.io" in agent.warnings()["login_restored"]
        agent.clock.jump(590)
        await until(lambda: agent.clock.monotonic() > 15 or not agent.warnings())
        assert 8 <= agent.clock.monotonic() <= 15
    assert agent.log.names().count("login.restored") == 1


async def test_a_file_that_is_removed_again_and_again_comes_back_each_time(machine: Machine) -> None:
    """Gone, put back and gone between two looks, it looks as if nothing had changed."""
    agent = machine.start()
    await agent.keep()
    async with watching(agent) as until:
        for _ in range(4):
            agent.file.unlink()
            assert await until(agent.file.exists) < 5


async def test_a_login_that_somebody_changes_is_theirs_until_it_goes(machine: Machine) -> None:
    agent = machine.start()
    await agent.keep()
    async with watching(agent) as until:
        agent.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
        assert await until(lambda: "login_overridden" in agent.warnings()) < 5
        assert agent.auths() == {"ghcr.io": encode_entry(THEIRS)}
        agent.write({"auths": {}})
        await until(lambda: not agent.warnings())
        assert agent.auths() == {"ghcr.io": encode_entry(OURS)}


async def test_a_file_that_breaks_is_reported_and_mended_by_itself(machine: Machine) -> None:
    agent = machine.start()
    await agent.keep()
    async with watching(agent) as until:
        agent.file.write_text("{")
        await until(lambda: "config_invalid" in agent.warnings())
        agent.write({"auths": {"ghcr.io": encode_entry(OURS)}})
        await until(lambda: not agent.warnings())


async def test_podmans_files_are_watched(machine: Machine) -> None:
    agent = machine.start()
    await agent.keep()
    async with watching(agent) as until:
        machine.podman.write_text(json.dumps({"auths": {"ghcr.io": encode_entry(THEIRS)}}))
        await until(lambda: "login_overridden" in agent.warnings())
        machine.podman.unlink()
        await until(lambda: not agent.warnings())


async def test_nothing_is_done_while_nothing_changes(machine: Machine) -> None:
    """No write, no report: neither the file nor the board moves."""
    agent = machine.start()
    await agent.keep()
    async with watching(agent) as until:
        await until(lambda: agent.clock.monotonic() > 10)
        before = (agent.written(), agent.board.snapshot.revision, agent.log.events[:])
        await until(lambda: agent.clock.monotonic() > 60)
        assert (agent.written(), agent.board.snapshot.revision, agent.log.events[:]) == before


async def test_docker_logout_from_a_helper_is_made_good(machine: Machine) -> None:
    """It erases the helper's login and the marker."""
    store = good_helper(machine.bin, "good")
    machine.write({"credsStore": "good"})
    agent = machine.start()
    await agent.keep()
    async with watching(agent) as until:
        await until(lambda: agent.clock.monotonic() > 5)
        store.unlink()
        agent.write({"auths": {}, "credsStore": "good"})
        await until(lambda: "login_restored" in agent.warnings())
        assert list(kept(store)) == ["ghcr.io"]
        assert agent.auths() == {"ghcr.io": {}}


async def test_a_persons_login_through_a_helper_is_noticed(machine: Machine) -> None:
    """It leaves no trace in the file, so the helper is asked now and then."""
    store = good_helper(machine.bin, "good")
    machine.write({"credsStore": "good"})
    agent = machine.start()
    await agent.keep()
    store.write_text(json.dumps({"ghcr.io": {"Username": "you", "Secret": "theirs"}}))
    async with watching(agent) as until:
        assert await until(lambda: "login_overridden" in agent.warnings()) < 310


async def test_a_helper_that_hangs_keeps_no_other_login_waiting(machine: Machine) -> None:
    good_helper(machine.bin, "slow")
    machine.write({"credHelpers": {"slow.example": "slow"}})
    agent = machine.start(helper_deadline_s=30)
    await agent.keep(registry=Registry("slow.example"))
    await agent.keep()
    script(machine.bin, "slow", "#!/bin/sh\nsleep 1000\n")
    async with watching(agent) as until:
        agent.write({"credHelpers": {"slow.example": "slow"}})
        async with asyncio.timeout(PATIENCE_S):
            assert await until(lambda: "ghcr.io" in agent.document().get("auths", {})) < 5


async def test_what_is_released_or_expired_is_not_put_back(machine: Machine) -> None:
    """A stale login is worse than none."""
    agent = machine.start()
    await agent.keep()
    await agent.keep(registry=Registry("quay.io"))
    await agent.reconciler.remove(GHCR)
    agent.clock.jump(timedelta(hours=13).total_seconds())
    async with watching(agent) as until:
        agent.write({"auths": {}})
        await until(lambda: agent.clock.monotonic() > 30)
        assert agent.auths() == {}


async def test_what_docker_holds_is_ours_while_it_is_what_was_written(machine: Machine) -> None:
    """In the file or in a helper; a person's login there, or none at all, is not."""
    agent = machine.start()
    assert not await agent.reconciler.holds(GHCR)
    await agent.keep()
    assert await machine.start().reconciler.holds(GHCR)
    agent.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    assert not await machine.start().reconciler.holds(GHCR)
    good_helper(machine.bin, "good")
    agent.write({"auths": {}, "credsStore": "good"})
    assert not await machine.start().reconciler.holds(GHCR)
    await agent.keep()
    assert await machine.start().reconciler.holds(GHCR)


async def test_a_failed_check_is_tried_again(machine: Machine) -> None:
    """A disk with room again, or a helper that is installed, changes no file that is watched."""
    good_helper(machine.bin, "late")
    machine.write({"credsStore": "late"})
    agent = machine.start()
    await agent.keep()
    away = machine.bin / "away"
    (machine.bin / "docker-credential-late").rename(away)
    async with watching(agent) as until:
        await until(lambda: "credential_store_failed" in agent.warnings())
        away.rename(machine.bin / "docker-credential-late")
        assert await until(lambda: not agent.warnings()) < 600  # as long as a busy machine runs the helper
