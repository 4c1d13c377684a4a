"""Logins in the agent's memory: Docker's file only names the agent's helper."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.edge.state_file import StateFile
from agent.model.desired_login import DesiredLogin, StoreResult
from agent.model.docker_config import Entry, encode_entry
from agent.model.helper_names import OWN_HELPER
from agent.model.problems.stored_login import ConfigInvalid, ConfigUnwritable, CredentialStoreFailed
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.model.status import Phase
from agent.model.stored_state import AppliedLogin
from agent.services.credential_store import CredentialStore
from agent.services.served_logins import ServedLogins
from tests.edge.helper_script import good_helper, kept, script
from tests.fakes import EPOCH
from tests.problems import raises_problem
from tests.services.store_choice import FixedChoice
from tests.services.test_credential_store import FakeConfig, FakeHelpers
from tests.services.test_reconciler import (
    GHCR,
    NEWER,
    OURS,
    THEIRS,
    Agent,
    Machine,
    ecr_login,
    fail_writes,
    fill,
    holds,
    watching,
)

HUB = parse_hostname("docker.io")
PUBLIC_ECR = Registry("public.ecr.aws")
LINE = {"ghcr.io": OWN_HELPER}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine on which Docker asks the agent. If the agent ran its own helper, a file would appear."""
    machine = Machine(tmp_path)
    machine.choice.memory = True
    script(machine.bin, OWN_HELPER, f"#!/bin/sh\ntouch {tmp_path}/asked-itself\nexit 1\n")
    return machine


@pytest.fixture(autouse=True)
def _never_asks_itself(tmp_path: Path) -> Any:
    yield
    assert not (tmp_path / "asked-itself").exists()


async def switch(machine: Machine, agent: Agent, *, memory: bool, until: Callable[[], object]) -> None:
    """Change `docker.store` while the agent runs."""
    async with watching(agent) as wait:
        machine.choice.memory = memory
        agent.reconciler.reconfigured()
        await wait(until)


async def test_the_file_gets_a_line_and_no_secret(machine: Machine) -> None:
    agent = machine.start()
    assert await agent.apply() == AppliedLogin("memory", (), ours=True)
    assert agent.document() == {"credHelpers": LINE}
    assert machine.served.entry("ghcr.io") == OURS
    assert ("info", "login.stored", {"registry": "ghcr.io", "stored_in": "memory"}) in agent.log.events


async def test_docker_asks_the_agent_before_the_first_login(machine: Machine) -> None:
    """It then waits for the login, or gets the reason why there is none. Not on a registry where everybody may pull."""
    agent = machine.start()
    for registry in (GHCR, PUBLIC_ECR):
        await agent.reconciler.announce(registry)
    assert agent.document() == {"credHelpers": LINE}
    await agent.reconciler.forget(GHCR)
    assert helpers(agent) == {}, "its secret is gone, and there was no login"
    machine.choice.memory = False
    await agent.reconciler.announce(GHCR)
    assert helpers(agent) == {}


@pytest.mark.parametrize(
    "configuration",
    [
        {"auths": {"ghcr.io": encode_entry(THEIRS)}},
        {"auths": {"https://ghcr.io/v2/": encode_entry(THEIRS)}},
        {"credHelpers": {"ghcr.io": "good"}},
        {"credHelpers": {"ghcr.io": ""}},
        {"credsStore": "good"},
        {"credsStore": "gone"},
    ],
)
async def test_before_the_first_login_nothing_that_docker_uses_is_overridden(
    machine: Machine, configuration: dict[str, Any]
) -> None:
    """Not even a login that came with the image: it may work, and the secret may not."""
    fill(good_helper(machine.bin, "good"), "ghcr.io")
    machine.write(configuration)
    agent = machine.start()
    await agent.reconciler.announce(GHCR)
    assert agent.document() == configuration


async def test_docker_hub_gets_a_line_for_docker_and_one_for_podman(machine: Machine) -> None:
    agent = machine.start()
    await agent.apply(registry=HUB)
    assert agent.document()["credHelpers"] == {"https://index.docker.io/v1/": OWN_HELPER, "docker.io": OWN_HELPER}
    assert machine.served.entry("docker.io") == machine.served.entry("https://index.docker.io/v1/") == OURS
    assert await agent.reconciler.remove(HUB)
    assert agent.document()["credHelpers"] == {}
    assert machine.served.entry("docker.io") is None


async def test_podmans_own_line_for_docker_hub_stays(machine: Machine) -> None:
    machine.write({"credHelpers": {"docker.io": "theirs"}})
    agent = machine.start()
    assert (await agent.apply(registry=HUB)).ours
    assert agent.document()["credHelpers"]["docker.io"] == "theirs"


@pytest.mark.parametrize("memory", [True, False])
async def test_a_login_that_only_podman_uses_stays_and_is_reported(machine: Machine, memory: bool) -> None:
    """Podman asks for Docker Hub by its name, and ignores a login in the file if there is a line for that name."""
    machine.choice.memory = memory
    theirs = {"docker.io": encode_entry(THEIRS)}
    agent = await machine.second_start()
    machine.write({"auths": theirs})
    await agent.reconciler.announce(HUB)
    assert agent.document().get("credHelpers", {}) == ({HUB.docker_key: OWN_HELPER} if memory else {})
    assert (await agent.apply(registry=HUB)).ours
    assert agent.document().get("credHelpers", {}) == ({HUB.docker_key: OWN_HELPER} if memory else {})
    assert agent.document()["auths"].items() >= theirs.items()
    reason = "config.json has another login for docker.io, which podman and skopeo use first"
    assert agent.warnings() == {"login_overridden": reason}
    assert agent.hint("login_overridden") == "remove docker.io from auths in config.json"
    machine.write({"auths": {}})
    assert (await agent.apply(registry=HUB)).ours
    assert agent.document().get("credHelpers", {}).get("docker.io") == (OWN_HELPER if memory else None)
    assert agent.warnings() == {}


async def test_a_renewal_that_a_person_requests_replaces_the_login_that_only_podman_uses(machine: Machine) -> None:
    agent = await machine.second_start()
    machine.write({"auths": {"docker.io": encode_entry(THEIRS)}})
    assert (await agent.apply(registry=HUB, take_over=True)).ours
    assert helpers(agent)["docker.io"] == OWN_HELPER
    assert agent.warnings() == {}


async def test_a_renewal_does_not_touch_the_file(machine: Machine) -> None:
    agent = machine.start()
    await agent.apply()
    before = agent.written()
    assert (await agent.apply(NEWER)).ours
    assert agent.written() == before
    assert machine.served.entry("ghcr.io") == NEWER


async def test_the_login_in_the_file_disappears_when_the_store_changes(machine: Machine) -> None:
    """In the same write. Everything else in the file stays."""
    machine.choice.memory = False
    machine.write({"auths": {"quay.io": encode_entry(THEIRS)}, "psFormat": "x"})
    agent = machine.start()
    await agent.apply()
    await switch(machine, agent, memory=True, until=lambda: "ghcr.io" not in agent.auths())
    assert agent.document() == {"auths": {"quay.io": encode_entry(THEIRS)}, "psFormat": "x", "credHelpers": LINE}
    assert "login.restored" not in agent.log.names()
    assert agent.board.snapshot.warnings == ()


async def test_the_login_returns_to_the_file_when_the_store_changes_back(machine: Machine) -> None:
    """Programs that have already read the line still get their answer."""
    agent = machine.start()
    await agent.apply()
    await switch(machine, agent, memory=False, until=lambda: "ghcr.io" in agent.document().get("auths", {}))
    assert agent.document() == {"auths": {"ghcr.io": encode_entry(OURS)}, "credHelpers": {}}
    assert machine.served.entry("ghcr.io") == OURS
    assert "login.restored" not in agent.log.names()


async def test_every_state_of_the_file_has_the_login(machine: Machine) -> None:
    """While the store changes back and forth, Docker finds a login in each version of the file."""
    machine.choice.memory = False
    agent = machine.start()
    await agent.apply()
    versions, over = [agent.document()], asyncio.Event()

    async def read_on() -> None:
        while not over.is_set():
            versions.append(agent.document())
            await asyncio.sleep(0)

    reading = asyncio.create_task(read_on())
    for memory in (True, False, True):
        await switch(
            machine, agent, memory=memory, until=lambda: ("ghcr.io" in helpers(agent)) is machine.choice.memory
        )
    over.set()
    await reading
    stored = encode_entry(OURS)
    for version in versions:
        assert version.get("credHelpers") == LINE or version["auths"] == {"ghcr.io": stored}, version


async def test_another_program_that_restores_the_old_file_is_corrected(machine: Machine) -> None:
    """`docker login` writes the whole file as it has read it: with our old login, or without our line."""
    machine.choice.memory = False
    agent = machine.start()
    await agent.apply()
    old = agent.document()
    machine.choice.memory = True
    await agent.apply(NEWER)
    async with watching(agent) as wait:
        await wait(lambda: agent.clock.waiting)
        agent.write(old)
        await wait(lambda: helpers(agent) == LINE)
        assert agent.auths() == {}
        await wait(lambda: "login_restored" in agent.warnings())
        agent.write({**agent.document(), **old})
        await wait(lambda: agent.auths() == {})
    assert "removed the login for ghcr.io from credHelpers in config.json" in agent.warnings()["login_restored"]


async def test_a_persons_login_in_the_file_stays_until_take_over(machine: Machine) -> None:
    agent = await machine.second_start()
    agent.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    assert not (await agent.apply()).ours
    assert agent.document() == {"auths": {"ghcr.io": encode_entry(THEIRS)}}
    assert "config.json has one that the agent did not store" in agent.warnings()["login_overridden"]
    assert (await agent.apply(take_over=True)).stored_in == "memory"
    assert agent.document() == {"auths": {}, "credHelpers": LINE}


async def test_a_login_from_the_image_is_replaced(machine: Machine) -> None:
    machine.write({"auths": {"ghcr.io": encode_entry(THEIRS)}})
    agent = machine.start()
    assert (await agent.apply()).ours
    assert agent.document() == {"auths": {}, "credHelpers": LINE}


async def test_a_persons_own_line_stays(machine: Machine) -> None:
    """Their helper is used as without the agent's: its login is a person's, or the agent's goes there."""
    store = good_helper(machine.bin, "good")
    fill(store, "ghcr.io")
    agent = await machine.second_start()
    agent.write({"credHelpers": {"ghcr.io": "good", "quay.io": "good"}})
    outcome = await agent.apply()
    assert (outcome.ours, outcome.stored_in) == (False, "good")
    assert "login_overridden" in agent.warnings()
    assert (await agent.apply(registry=Registry("quay.io"))).stored_in == "good"
    assert helpers(agent) == {"ghcr.io": "good", "quay.io": "good"}


async def test_the_line_wins_over_a_helper_for_all_registries(machine: Machine) -> None:
    """The agent's login in that helper is erased. A person's login in it stays, and is used."""
    store = good_helper(machine.bin, "good")
    machine.choice.memory = False
    machine.write({"credsStore": "good"})
    agent = await machine.second_start()
    await agent.apply()
    fill(store, "quay.io")
    assert "ghcr.io" in kept(store)
    machine.choice.memory = True
    assert (await agent.apply()).stored_in == "memory"
    assert not (await agent.apply(registry=Registry("quay.io"))).ours
    assert "ghcr.io" not in kept(store)
    assert helpers(agent) == LINE
    await switch(machine, agent, memory=False, until=lambda: helpers(agent) == {})
    assert "ghcr.io" in kept(store)


async def test_a_broken_helper_for_all_registries_does_not_matter(machine: Machine) -> None:
    """An editor's helper dies with its window. Then the agent's login still works."""
    machine.write({"credsStore": "gone"})
    agent = machine.start()
    assert (await agent.apply()).ours
    assert helpers(agent) == LINE


async def test_after_a_restart_the_login_is_not_there_yet(machine: Machine) -> None:
    await machine.start().apply()
    machine.served = ServedLogins()
    again = machine.start()
    assert not await holds(again)
    assert await again.reconciler.remove(GHCR)
    assert helpers(again) == {}


async def test_an_expired_login_leaves_the_line_so_that_docker_gets_the_reason(machine: Machine) -> None:
    """Not on a public registry, where everybody may pull."""
    agent = machine.start()
    for registry in (GHCR, PUBLIC_ECR):
        await agent.reconciler.apply(registry, OURS, expires_at=EPOCH + timedelta(hours=1))
        assert await agent.reconciler.remove(registry, still_wanted=True)
        assert machine.served.entry(registry.hostname) is None
    assert helpers(agent) == LINE
    assert list(agent.state_file.entries()) == ["ghcr.io"]
    assert await agent.reconciler.remove(GHCR), "when its secret disappears"
    assert helpers(agent) == {}


async def test_an_excluded_registry_is_left_to_docker(machine: Machine) -> None:
    agent = machine.start()
    await agent.apply()
    await agent.reconciler.forget(GHCR, excluded=True)
    assert helpers(agent) == {}
    assert machine.served.entry("ghcr.io") is None


async def test_lines_of_registries_without_a_secret_are_removed(machine: Machine) -> None:
    """After a restart, nothing could answer for them. A login that is still served stays."""
    machine.write({"credHelpers": {"old.example": OWN_HELPER, "soon.example": OWN_HELPER, "x.example": "theirs"}})
    agent = machine.start()
    await agent.apply()
    await agent.reconciler.forget(GHCR)
    await agent.reconciler.forget_except([Registry("soon.example")])
    assert helpers(agent) == {**LINE, "soon.example": OWN_HELPER, "x.example": "theirs"}


@pytest.mark.parametrize("reason", ["the registry refuses its secret", "its secret is gone", "the line is older"])
async def test_no_line_is_left_when_docker_uses_its_own_store(machine: Machine, reason: str) -> None:
    """Also for registries without a managed login, whether `docker.store` changes now or changed before the start.

    A login that still works is moved, although its secret is gone.
    """
    moved = reason == "its secret is gone"
    agent = machine.start()
    if moved:
        await agent.apply()
        await agent.reconciler.forget(GHCR)
    elif reason == "the registry refuses its secret":
        agent.write({"credHelpers": LINE})
    else:
        machine.choice.memory = False
        agent.write({"credHelpers": {**LINE, "other.example": OWN_HELPER}})
    agent.board.set_phase(Phase.RUNNING)
    await switch(machine, agent, memory=False, until=lambda: helpers(agent) == {})
    assert agent.document().get("auths", {}) == ({"ghcr.io": encode_entry(OURS)} if moved else {})


async def test_lines_stay_until_the_first_attempts_are_over(machine: Machine) -> None:
    """Docker asks for the login meanwhile, and gets it as soon as there is one."""
    machine.choice.memory = False
    machine.write({"credHelpers": LINE})
    agent = machine.start()
    async with watching(agent) as wait:
        await wait(lambda: agent.clock.monotonic() > 60)
        assert helpers(agent) == LINE
        agent.board.set_phase(Phase.RUNNING)
        await wait(lambda: helpers(agent) == {})


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_login_that_cannot_be_moved_is_still_served(machine: Machine, *, restarted: bool) -> None:
    """Docker's own store is broken. Its line stays, so Docker gets the login from the agent, and the status says so."""
    machine.write({"credsStore": "gone"})
    agent = machine.start()
    await agent.apply()
    if restarted:
        machine.served = ServedLogins()
        agent = machine.start()
    agent.board.set_phase(Phase.RUNNING)
    machine.choice.memory = False
    outcome = await agent.apply()
    assert (outcome.stored_in, outcome.ours, agent.reconciler.unusable(GHCR)) == ("memory", True, None)
    assert "docker-credential-gone is not on the agent's PATH" in agent.warnings()["credential_store_failed"]
    store = good_helper(machine.bin, "gone")
    async with watching(agent) as wait:
        await wait(lambda: helpers(agent) == {})
        assert kept(store)["ghcr.io"]["Secret"] == "s3cret"
        await wait(lambda: not agent.warnings())


async def test_without_the_program_a_line_gives_docker_no_login(machine: Machine) -> None:
    """The store is broken, too: the agent must not report a login that Docker cannot get."""
    machine.write({"credsStore": "gone"})
    agent = machine.start()
    await agent.apply()
    machine.choice.memory = machine.choice.installed = False
    with raises_problem(CredentialStoreFailed):
        await agent.apply(NEWER)
    assert agent.reconciler.unusable(GHCR) is not None


async def test_a_persons_login_in_a_store_that_failed_is_used_again(machine: Machine) -> None:
    """Until the store can be read, the agent's login works instead. It does not override a person's login for good."""
    store = good_helper(machine.bin, "good")
    program, away = machine.bin / "docker-credential-good", machine.bin / "away"
    agent = await machine.second_start()
    agent.write({"credsStore": "good"})
    fill(store, "ghcr.io")
    program.rename(away)
    assert (await agent.apply()).stored_in == "memory"
    assert helpers(agent)["ghcr.io"] == OWN_HELPER
    away.rename(program)
    async with watching(agent) as wait:
        await wait(lambda: "login_overridden" in agent.warnings())
    assert "ghcr.io" not in helpers(agent)
    assert kept(store)["ghcr.io"]["Secret"] == "theirs"


STORE: dict[str, Any] = {"credsStore": "good"}
STALE: dict[str, Any] = {"credsStore": "good", "auths": {"ghcr.io": encode_entry(THEIRS)}}
"""A person logged in to the file. Later, an editor named a helper, so Docker ignores that login."""


async def test_a_login_in_a_file_that_docker_ignores_keeps_nothing_from_asking_the_agent(machine: Machine) -> None:
    """Docker asks the helper, which has no login. The person's old login stays where it is, for podman until then."""
    good_helper(machine.bin, "good")
    agent = await machine.second_start()
    agent.write(STALE)
    await agent.reconciler.announce(GHCR)
    assert agent.document() == STALE
    assert await agent.apply() == AppliedLogin("memory", (), ours=True)
    assert agent.document() == {**STALE, "credHelpers": LINE}
    assert agent.warnings() == {}


async def test_a_login_in_a_file_that_docker_ignores_does_not_hold_up_a_change_of_the_store(machine: Machine) -> None:
    """The renewed login would only be in memory, and the helper would keep the old one."""
    store = good_helper(machine.bin, "good")
    machine.choice.memory = False
    agent = await machine.second_start()
    agent.write({"credsStore": "good"})
    assert (await agent.apply()).stored_in == "good"
    agent.write(STALE)
    machine.choice.memory = True
    assert (await agent.apply(NEWER)).stored_in == "memory"
    assert agent.document() == {**STALE, "credHelpers": LINE}
    assert kept(store) == {}


async def test_a_persons_login_that_docker_uses_because_a_helper_fails_is_not_overridden(machine: Machine) -> None:
    """Up to docker 28. The helper for all registries is broken, or away with its window."""
    agent = await machine.second_start()
    agent.write({**STALE, "credsStore": "away"})
    with raises_problem(CredentialStoreFailed):
        await agent.apply()
    assert agent.document() == {**STALE, "credsStore": "away"}


async def test_an_ended_login_in_a_file_that_docker_ignores_is_not_reported_as_replaced(machine: Machine) -> None:
    good_helper(machine.bin, "good")
    agent = await machine.second_start()
    agent.write({**STALE, "auths": {"ghcr.io": encode_entry(ecr_login(-60))}})
    assert (await agent.apply()).ours
    assert agent.warnings() == {}


@pytest.mark.parametrize("key", ["ghcr.io", "https://ghcr.io/v2/"])
async def test_a_person_who_logs_in_right_before_the_write_keeps_that_login(key: str) -> None:
    """What decides is the file at the moment of the write. A login without a line never counts as stored."""
    config, theirs = FakeConfig(), {"auths": {key: encode_entry(THEIRS)}}
    state_file = StateFile(None, Path("/nowhere"))
    state_file.set_preexisting({})
    store = CredentialStore(
        config,
        FakeHelpers(),
        state_file,
        has_ended=lambda _: False,
        choice=FixedChoice(memory=True),
        served=ServedLogins(),
    )

    def log_in() -> None:
        config.document = theirs

    config.before_update = log_in
    assert await store.store(DesiredLogin(GHCR, OURS, None)) == StoreResult("config.json", THEIRS, ours=False)
    assert config.document == theirs


@pytest.mark.parametrize("registry", [GHCR, PUBLIC_ECR])
@pytest.mark.parametrize("still_wanted", [False, True])
async def test_a_broken_helper_does_not_keep_the_removed_login_in_memory(
    machine: Machine, registry: Registry, still_wanted: bool
) -> None:
    """The failure is reported, because the helper may have a copy. It is removed once the helper works."""
    machine.write({"credsStore": "gone"})
    agent = machine.start()
    await agent.apply(registry=registry)
    with raises_problem(CredentialStoreFailed):
        await agent.reconciler.remove(registry, lambda: True, still_wanted=still_wanted)
    assert machine.served.entry(registry.hostname) is None
    stays = still_wanted and registry is GHCR
    assert helpers(agent) == (LINE if stays else {}), "then docker gets the reason"
    store = good_helper(machine.bin, "gone")
    fill(store, registry.hostname, login=OURS)
    assert await agent.reconciler.remove(registry)
    assert kept(store) == {}


async def test_a_removal_that_is_not_due_any_more_changes_nothing_while_the_helper_fails(machine: Machine) -> None:
    machine.write({"credsStore": "gone"})
    agent = machine.start()
    await agent.apply()
    answers = iter([True])
    assert not await agent.reconciler.remove(GHCR, lambda: next(answers, False))
    assert (helpers(agent), machine.served.entry("ghcr.io")) == (LINE, OURS)


async def test_a_file_that_cannot_be_written_does_not_keep_the_removed_login_in_memory(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = machine.start()
    await agent.apply()
    with monkeypatch.context() as patched:
        fail_writes(patched)
        with raises_problem(ConfigUnwritable):
            await agent.reconciler.remove(GHCR)
    assert machine.served.entry("ghcr.io") is None
    assert await agent.reconciler.remove(GHCR)
    assert helpers(agent) == {}


async def test_a_login_whose_secret_is_gone_does_not_stay_in_the_file(machine: Machine) -> None:
    """`docker.store` changes to the helper, at once or after the agent did not see its program for a moment."""
    machine.choice.memory = False
    agent = machine.start()
    await agent.apply()
    await agent.reconciler.forget(GHCR)
    agent.board.set_phase(Phase.RUNNING)
    for _ in range(2):
        await switch(machine, agent, memory=True, until=lambda: helpers(agent) == LINE)
        assert agent.auths() == {}
        assert machine.served.entry("ghcr.io") == OURS
        await switch(machine, agent, memory=False, until=lambda: "ghcr.io" in agent.auths())


async def test_a_login_whose_secret_is_gone_is_moved_once_the_file_can_be_written(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.choice.memory = False
    agent = machine.start()
    await agent.apply()
    await agent.reconciler.forget(GHCR)
    agent.board.set_phase(Phase.RUNNING)
    async with watching(agent) as wait:
        with monkeypatch.context() as patched:
            fail_writes(patched)
            machine.choice.memory = True
            agent.reconciler.reconfigured()
            await wait(lambda: agent.clock.monotonic() > 100)
        assert "ghcr.io" in agent.auths()
        await wait(lambda: helpers(agent) == LINE)
    assert agent.auths() == {}


@pytest.mark.parametrize("chosen", [{"credHelpers": {"ghcr.io": "good"}}, {"credHelpers": {"ghcr.io": ""}}, STORE])
async def test_a_login_whose_secret_is_gone_is_moved_to_no_store_that_a_person_chose(
    machine: Machine, chosen: dict[str, Any]
) -> None:
    """Docker may ignore it there. It would use it again."""
    store = good_helper(machine.bin, "good")
    machine.choice.memory = False
    agent = machine.start()
    await agent.apply()
    await agent.reconciler.forget(GHCR)
    agent.write(document := {**agent.document(), **chosen})
    agent.board.set_phase(Phase.RUNNING)
    machine.choice.memory = True
    async with watching(agent) as wait:
        await wait(lambda: agent.clock.monotonic() > 100)
    assert (agent.document(), kept(store)) == (document, {})


async def test_a_newer_login_that_could_not_be_stored_outlives_the_removal_of_the_former_one(machine: Machine) -> None:
    """Programs that have read the configuration before still ask for it."""
    agent = machine.start()
    await agent.apply()
    agent.file.write_text("{")
    with raises_problem(ConfigInvalid):
        await agent.apply(NEWER)
    with raises_problem(ConfigInvalid):
        await agent.reconciler.remove(GHCR, still_wanted=True)
    assert machine.served.entry("ghcr.io") == NEWER
    with raises_problem(ConfigInvalid):
        await agent.reconciler.remove(GHCR)
    assert machine.served.entry("ghcr.io") is None


async def test_a_login_that_a_person_removed_after_its_secret_was_gone_does_not_return(machine: Machine) -> None:
    machine.choice.memory = False
    agent = machine.start()
    await agent.apply()
    await agent.reconciler.forget(GHCR)
    agent.write({"auths": {"quay.io": encode_entry(THEIRS)}})
    agent.board.set_phase(Phase.RUNNING)
    machine.choice.memory = True
    async with watching(agent) as wait:
        await wait(lambda: agent.clock.monotonic() > 100)
    assert agent.document() == {"auths": {"quay.io": encode_entry(THEIRS)}}


async def test_an_identity_token_is_kept_as_one(machine: Machine) -> None:
    agent = machine.start()
    token = Entry("", Sensitive("refresh"), identity_token=True)
    assert (await agent.apply(token)).ours
    assert "refresh" not in agent.file.read_text()
    assert machine.served.entry("ghcr.io") == token


def helpers(agent: Agent) -> dict[str, str]:
    found: dict[str, str] = json.loads(agent.file.read_text()).get("credHelpers", {})
    return found
