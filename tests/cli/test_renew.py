"""`registry-agent renew`."""

import asyncio
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.model.problems.environment import NativeUnsupported, SecretInvalid
from agent.model.snapshot import Snapshot
from agent.model.status import Phase, RegistryStatus, State, Tool, Tools
from tests.cli.commands import Ended, command
from tests.fakes import EPOCH
from tests.web.serving import Serving, serving

ROW = RegistryStatus("ghcr.io", "team", "project", "basic", EPOCH, State.LOGGED_IN)


class Attempts:
    """Starts an attempt for each registry on the board, with an id made from its name."""

    def __init__(self, rig: Serving) -> None:
        self.rig = rig
        self.begun = asyncio.Event()
        self.asked: list[str | None] = []

    def renew(self, hostname: str | None) -> list[str]:
        names = [row.hostname for row in self.rig.board.snapshot.registries]
        if hostname is not None and hostname not in names:
            raise LookupError(hostname)
        self.asked.append(hostname)
        self.begun.set()
        return [f"id-{name}" for name in names if hostname in (None, name)]


def equip(rig: Serving) -> Attempts:
    attempts = Attempts(rig)
    rig.renewals.renew = attempts.renew  # type: ignore[method-assign]  # the server holds this object
    rig.board.set_tools(Tools(Tool("/usr/bin/docker", "28.2.2")))
    return attempts


async def renewing(rig: Serving, attempts: Attempts, *args: str) -> "asyncio.Task[Ended]":
    task = asyncio.create_task(command("renew", *args, socket=rig.socket))
    await attempts.begun.wait()
    return task


async def test_waits_for_the_outcome_of_its_own_attempt() -> None:
    """It ignores the row from before the attempt, and the row while the attempt is in progress."""
    async with serving() as rig:
        rig.board.put_registry(replace(ROW, last_error="of before"))
        attempts = equip(rig)
        task = await renewing(rig, attempts, "https://GHCR.io/")
        rig.board.put_registry(replace(ROW, attempt_id="id-ghcr.io", attempting=True, last_error="of before"))
        await asyncio.sleep(0)
        assert not task.done()
        ends = EPOCH + timedelta(hours=12)
        rig.board.put_registry(replace(ROW, attempt_id="id-ghcr.io", expires_at=ends))
        answer = await task
        assert (answer.code, answer.out, answer.err) == (0, "ghcr.io: logged in, expires in 12 h\n", "")
        assert attempts.asked == ["ghcr.io"]


async def test_exits_with_2_if_one_registry_failed() -> None:
    """Each registry has one line. One failure is enough for 2, even if the old login is still valid."""
    async with serving() as rig:
        attempts = equip(rig)
        for name in ("a.example", "b.example"):
            rig.board.put_registry(replace(ROW, hostname=name))
        task = await renewing(rig, attempts)
        rig.board.put_registry(replace(ROW, hostname="b.example", attempt_id="id-b.example"))
        rig.board.put_registry(replace(ROW, hostname="a.example", attempt_id="id-a.example", last_error="it said no"))
        answer = await task
        assert answer.code == 2
        assert answer.out.splitlines() == [
            "b.example: logged in",
            "a.example: not renewed, the earlier login stays: it said no",
        ]


async def test_shows_a_fault_that_several_registries_share_once() -> None:
    """The list of the registries is in front. Messages that differ only in the host name are the same fault."""
    async with serving() as rig:
        attempts = equip(rig)
        names = ("a.example", "b.example", "c.example")
        for name in names:
            rig.board.put_registry(replace(ROW, hostname=name))
        task = await renewing(rig, attempts)
        for name, why in zip(names, ("{} answered with 503", "AWS denies it", "{} answered with 503"), strict=True):
            failed = replace(ROW, hostname=name, state=State.RETRYING, attempt_id=f"id-{name}")
            rig.board.put_registry(replace(failed, last_error=why.format(name)))
        answer = await task
        assert answer.code == 2
        assert sorted(answer.out.splitlines()) == [
            "a.example, c.example: retrying: a.example answered with 503",
            "b.example: retrying: AWS denies it",
        ]


@pytest.mark.parametrize("ends", [EPOCH - timedelta(days=4000), EPOCH - timedelta(hours=1)])
async def test_a_token_that_has_already_expired_is_no_success(ends: datetime) -> None:
    """Some AWS emulators issue tokens that expired in 2015. A wrong clock looks the same."""
    async with serving() as rig:
        attempts = equip(rig)
        rig.board.put_registry(ROW)
        task = await renewing(rig, attempts)
        rig.board.put_registry(replace(ROW, attempt_id="id-ghcr.io", expires_at=ends))
        answer = await task
        assert answer.code == 2
        assert "the new token expired" in answer.out
        assert "check this machine's clock" in answer.out


async def test_a_registry_skipped_on_purpose_is_no_failure() -> None:
    """This holds if all are renewed. It is a failure if you name it, or if it is skipped because of a problem."""
    async with serving() as rig:
        equip(rig)
        skipped = replace(ROW, state=State.SKIPPED, last_error="disabled", attempt_id="id-ghcr.io")
        rig.board.put_registry(skipped)
        assert (await command("renew", socket=rig.socket)).code == 0
        assert (await command("renew", "ghcr.io", socket=rig.socket)).code == 2
        for problem in (NativeUnsupported("ghcr.io", "not ECR"), SecretInvalid("f.json#team", "disabled")):
            rig.board.report("plan", [problem])
            assert (await command("renew", socket=rig.socket)).code == 2


async def test_podman_alone_renews_all_registries() -> None:
    """There, `docker` is not present, and one that is skipped on purpose is no failure either."""
    async with serving() as rig:
        equip(rig)
        rig.board.set_tools(Tools(podman=Tool("/usr/bin/podman", "5.4.2")))
        rig.board.put_registry(replace(ROW, state=State.SKIPPED, last_error="disabled", attempt_id="id-ghcr.io"))
        assert (await command("renew", socket=rig.socket)).code == 0


async def test_a_registry_that_disappears_counts_as_failed() -> None:
    """Its secret was removed while the command waited."""
    async with serving() as rig:
        rig.board.put_registry(replace(ROW, attempt_id="id-ghcr.io", attempting=True))
        equip(rig)
        seen, encode = asyncio.Event(), rig.document.encode

        def watched(snapshot: Snapshot) -> bytes:
            seen.set()
            return encode(snapshot)

        rig.document.encode = watched  # type: ignore[method-assign]  # to know when the command has seen the row
        task = asyncio.create_task(command("renew", socket=rig.socket))
        await seen.wait()
        rig.board.remove_registry("ghcr.io")
        answer = await task
        assert (answer.code, answer.out) == (2, "ghcr.io: gone: its secret has disappeared\n")


async def test_exits_with_2_if_there_is_no_outcome_in_time() -> None:
    """The message names the registry that it waited for."""
    async with serving() as rig:
        rig.board.put_registry(replace(ROW, attempt_id="id-ghcr.io", attempting=True))
        equip(rig)
        answer = await command("renew", "--timeout", "1", socket=rig.socket)
        assert (answer.code, "still waiting for ghcr.io" in answer.err) == (2, True)


@pytest.mark.parametrize("answered", [0, 1], ids=["at once", "after it was asked"])
async def test_an_agent_that_hangs_does_not_outlast_the_timeout(tmp_path: Path, answered: int) -> None:
    """The agent never answers, or accepts the request and then never answers again."""
    begun = b'{"attempt_ids": ["a1"]}'
    head = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(begun)
    asked = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        if asked <= answered:
            writer.write(head + begun)
        await reader.read()
        writer.close()

    place = tmp_path / "agent.sock"
    async with await asyncio.start_unix_server(hang, place):
        began = time.monotonic()
        answer = await command("renew", "--timeout", "1", socket=place)
        assert time.monotonic() - began < 60
    assert (answer.code, "did not answer within" in answer.err) == (1, True)


async def test_exit_codes_for_an_unknown_registry_no_registry_and_no_agent() -> None:
    """An unknown registry is 2, no registry at all 0, no agent 1."""
    async with serving() as rig:
        rig.board.set_phase(Phase.RUNNING)
        equip(rig)
        unknown = await command("renew", "quay.io", socket=rig.socket)
        assert (unknown.code, "there is no secret for quay.io" in unknown.err) == (2, True)
        nothing = await command("renew", socket=rig.socket)
        assert (nothing.code, nothing.out) == (0, "there is no registry to renew\n")
        socket = rig.socket
    assert (await command("renew", socket=socket)).code == 1


async def test_exits_with_2_before_the_agent_has_read_its_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that has just started has no registries yet. This is not the same as having none to renew."""
    monkeypatch.setattr("agent.web.routes._FIRST_SECRETS_S", 0.01)
    async with serving() as rig:
        equip(rig)
        answer = await command("renew", socket=rig.socket)
        assert (answer.code, "has not read its secrets yet" in answer.err) == (2, True)


@pytest.mark.parametrize("host", ["a b", "", "https://"])
async def test_what_is_no_host_name_is_wrong_usage(host: str) -> None:
    """The exit code is 64, as in every other command, and no agent is asked."""
    async with serving() as rig:
        attempts = equip(rig)
        answer = await command("renew", host, socket=rig.socket)
    assert (answer.code, answer.out, attempts.asked) == (64, "", [])
