"""A requested login replaces what was stored when somebody asked, and nothing that was stored later."""

import asyncio
import json
from pathlib import Path

import pytest

from agent.model.docker_config import Entry, encode_entry
from agent.model.problems.stored_login import ConfigUnwritable
from agent.model.sensitive import Sensitive
from agent.model.stored_state import AppliedLogin
from tests.edge.helper_script import good_helper, script
from tests.problems import raises_problem
from tests.services.test_reconciler import GHCR, NEWER, OURS, THEIRS, Agent, Machine, fill, holds

LATER = Entry("you", Sensitive("made later"))


@pytest.fixture(params=["file", "helper"])
async def agent(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Agent, Machine]:
    """An agent that is not the very first one, and where Docker holds a person's login."""
    machine = Machine(tmp_path)
    if request.param == "helper":
        good_helper(machine.bin, "good")
        machine.write({"credHelpers": {GHCR.hostname: "good"}})
    agent = await machine.second_start()
    person_logs_in(machine, THEIRS)
    return agent, machine


async def attempt(agent: tuple[Agent, Machine], login: Entry = OURS) -> AppliedLogin:
    """An attempt that was requested, or one of its retries."""
    return await agent[0].reconciler.apply(GHCR, login, expires_at=None, take_over=True)


def person_logs_in(machine: Machine, login: Entry) -> None:
    document = json.loads(machine.file.read_text())
    if "credHelpers" in document:
        fill(machine.bin / "docker-credential-good.json", GHCR.hostname, login=login)
    else:
        machine.write({"auths": {**document["auths"], GHCR.hostname: encode_entry(login)}})


async def test_without_a_request_a_persons_login_stays(agent: tuple[Agent, Machine]) -> None:
    """Even if the attempt may take over: nobody has asked."""
    assert not (await attempt(agent)).ours


async def test_a_request_takes_over_what_was_there(agent: tuple[Agent, Machine]) -> None:
    """Only with an attempt that was asked for, and only once."""
    reconciler = agent[0].reconciler
    reconciler.note_replaceable(GHCR)
    assert not (await agent[0].apply()).ours
    assert (await attempt(agent)).ours
    person_logs_in(agent[1], THEIRS)
    assert not (await attempt(agent, NEWER)).ours


async def test_a_login_that_is_made_after_the_request_stays(agent: tuple[Agent, Machine]) -> None:
    """Until somebody asks again."""
    reconciler = agent[0].reconciler
    reconciler.note_replaceable(GHCR)
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == f"note:{GHCR}"))
    assert not (await agent[0].apply()).ours, "the request still holds"
    person_logs_in(agent[1], LATER)
    assert not (await attempt(agent)).ours
    reconciler.note_replaceable(GHCR)
    assert (await attempt(agent)).ours


async def test_a_request_holds_until_the_login_is_stored(agent: tuple[Agent, Machine]) -> None:
    """A full disk, or an attempt that is cancelled, does not end it."""
    reconciler, file = agent[0].reconciler, agent[1].file
    reconciler.note_replaceable(GHCR)
    cancelled = asyncio.create_task(attempt(agent))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert not (await agent[0].apply()).ours, "the reading has ended by now"
    content = file.read_text()
    file.unlink()
    file.symlink_to("missing/config.json")
    with raises_problem(ConfigUnwritable):
        await attempt(agent)
    file.unlink()
    file.write_text(content)
    assert (await attempt(agent)).ours


@pytest.mark.parametrize("end", ["forget", "remove"])
async def test_a_registry_that_is_left_alone_ends_the_request(agent: tuple[Agent, Machine], end: str) -> None:
    """Somebody excludes the registry after the request, or takes its secret away."""
    reconciler = agent[0].reconciler
    reconciler.note_replaceable(GHCR)
    await getattr(reconciler, end)(GHCR)
    assert not (await attempt(agent)).ours


async def test_the_check_of_a_stored_login_takes_nothing_over(agent: tuple[Agent, Machine]) -> None:
    """It would store the former login, although the requested attempt may fail."""
    reconciler = agent[0].reconciler
    reconciler.note_replaceable(GHCR)
    assert (await attempt(agent)).ours
    person_logs_in(agent[1], THEIRS)
    reconciler.note_replaceable(GHCR)
    running = asyncio.create_task(reconciler.run())
    async with asyncio.timeout(60):
        while "login_overridden" not in agent[0].warnings():
            await agent[0].clock.advance(2)
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await attempt(agent, NEWER)).ours


async def test_a_removal_asks_again_once_the_store_was_read(tmp_path: Path) -> None:
    """The helper takes its time. Meanwhile, the reason for the removal ends: the login stays, and stays ours."""
    machine = Machine(tmp_path)
    good_helper(machine.bin, "good")
    machine.write({"credsStore": "good"})
    agent = machine.start()
    await agent.apply()
    program, asked = machine.bin / "docker-credential-good", tmp_path / "asked"
    program.rename(machine.bin / "works")
    script(machine.bin, "good", f"#!/bin/sh\ntouch {asked}\nexec {machine.bin}/works $1\n")
    (machine.bin / "docker-credential-good.json").rename(machine.bin / "works.json")
    assert not await agent.reconciler.remove(GHCR, lambda: not asked.exists())
    assert await holds(agent)
    assert await agent.reconciler.remove(GHCR)
    assert not await agent.reconciler.remove(GHCR)


ALIASES = ("https://ghcr.io", "https://ghcr.io/v2/", "http://ghcr.io/v1/", "ghcr.io/v2")


@pytest.mark.parametrize("alias", ALIASES)
async def test_a_login_under_an_alias_counts_like_one_under_the_key(tmp_path: Path, alias: str) -> None:
    """A person's stays, is taken over on request, and is never removed. The image's is replaced."""
    image = Machine(tmp_path)
    image.write({"auths": {alias: encode_entry(THEIRS)}})
    first = image.start()
    assert (await first.apply()).ours, "it came with the image"
    assert await first.reconciler.remove(GHCR)

    agent = image.start()
    image.write({"auths": {alias: encode_entry(LATER)}})
    assert not (await agent.apply()).ours
    assert "login_overridden" in agent.warnings()
    assert not await holds(agent)
    assert not await agent.reconciler.remove(GHCR)
    assert agent.auths() == {alias: encode_entry(LATER)}
    agent.reconciler.note_replaceable(GHCR)
    assert (await attempt((agent, image))).ours
    assert await holds(agent)
    assert agent.auths()[GHCR.hostname] == encode_entry(OURS)
    assert agent.warnings() == {}


async def test_a_login_under_an_alias_that_is_made_after_the_request_stays(tmp_path: Path) -> None:
    """Also if the one that was there when somebody asked stood under another name."""
    machine = Machine(tmp_path)
    agent = await machine.second_start()
    machine.write({"auths": {"https://ghcr.io/v2/": encode_entry(THEIRS)}})
    agent.reconciler.note_replaceable(GHCR)
    assert not (await agent.apply()).ours
    machine.write({"auths": {"https://ghcr.io": encode_entry(LATER)}})
    assert not (await attempt((agent, machine))).ours
    assert agent.auths() == {"https://ghcr.io": encode_entry(LATER)}
