"""Serving the status is cheap: documents are made once for all readers, and a change touches only its own row."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web

from agent.model.problems.registry import LoginRejected
from agent.model.snapshot import Snapshot
from agent.model.status import RegistryStatus, State
from agent.observe import redaction
from agent.observe.redaction import Scrubber
from agent.services.board import Board
from tests.fakes import EPOCH, FakeClock, FakeLog, process
from tests.rig.waiting import PATIENCE_S
from tests.web.serving import serving

READERS = 30


@dataclass
class Rendered:
    """How often each revision was turned into a document."""

    documents: Counter[int]


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> Rendered:
    counted = Rendered(Counter())
    as_json = Snapshot.as_json

    def counting(snapshot: Snapshot, now: datetime, uptime_s: float) -> dict[str, Any]:
        counted.documents[snapshot.revision] += 1
        return as_json(snapshot, now, uptime_s)

    monkeypatch.setattr(Snapshot, "as_json", counting)
    return counted


async def test_a_revision_is_rendered_once(rendered: Rendered) -> None:
    """On TCP and on the socket, for plain requests, long polls and streams, and while the clock advances."""
    async with serving() as rig, rig.on_tcp() as tcp, rig.on_socket() as unix:
        rig.log_in()
        for path in ("/v1/status", "/v1/status?since=7&wait=1") * READERS:
            await rig.clock.advance(0.3)
            for door in (tcp, unix):
                await (await door.get(path)).read()
        async with tcp.get("/v1/events") as stream:
            await stream.content.readuntil(b"\n\n")
        assert rendered.documents == {1: 1}


async def test_an_event_is_put_together_once_for_all_streams(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reader gets the same bytes object."""
    written: dict[int, list[bytes]] = {}
    write = web.StreamResponse.write

    async def watched(response: web.StreamResponse, frame: bytes) -> None:
        written.setdefault(int(frame.split(b"id: ")[1].split()[0]), []).append(frame)
        await write(response, frame)

    monkeypatch.setattr(web.StreamResponse, "write", watched)
    async with serving() as rig, rig.on_tcp() as tcp:
        streams = [await tcp.get("/v1/events") for _ in range(READERS)]
        rig.log_in()
        async with asyncio.timeout(PATIENCE_S):
            for stream in streams:
                await stream.content.readuntil(b"\n\n")
                assert b"ghcr.io" in await stream.content.readuntil(b"\n\n")
        assert [written[revision] for revision in (0, 1)] == [[written[n][0]] * READERS for n in (0, 1)]
        assert [len({id(frame) for frame in written[revision]}) for revision in (0, 1)] == [1, 1]
        assert rendered.documents == {0: 1, 1: 1}
        for stream in streams:
            stream.close()


def test_a_change_of_one_registry_does_not_look_at_the_others() -> None:
    """It finds its row among a thousand by bisection. The others stay the same objects, sorted by host name."""
    board = Board(process(), FakeClock().now, FakeLog())
    names = [f"registry-{number:04}.example" for number in range(1000)]
    for name in reversed(names):
        board.put_registry(RegistryStatus(name, "team", "project", "basic", EPOCH))
    rows = board.snapshot.registries
    assert [row.hostname for row in rows] == names
    asked: Counter[str] = Counter()
    hostname = vars(RegistryStatus)["hostname"]

    class Counted:
        def __get__(self, row: RegistryStatus, _: type) -> str:
            name: str = hostname.__get__(row)  # a slot is a descriptor
            asked[name] += 1
            return name

        def __set__(self, row: RegistryStatus, name: str) -> None:
            hostname.__set__(row, name)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RegistryStatus, "hostname", Counted())
        board.put_registry(RegistryStatus(names[500], "team", "project", "basic", EPOCH, State.LOGGED_IN))
    assert len(asked) < 25
    changed = [
        before.hostname for before, now in zip(rows, board.snapshot.registries, strict=True) if before is not now
    ]
    assert changed == [names[500]]
    board.remove_registry(names[500])
    assert [row.hostname for row in board.snapshot.registries] == [*names[:500], *names[501:]]


def test_a_report_of_one_owner_does_not_look_at_the_others() -> None:
    """Only the reported problem is scrubbed. The other warnings stay the same objects."""
    scrubbed: list[str] = []

    def scrub(text: str) -> str:
        scrubbed.append(text)
        return text

    board = Board(process(), FakeClock().now, FakeLog(), scrub)
    for number in range(1000):
        board.report(f"login:{number}", [LoginRejected(f"r{number}.example", "no")])
    scrubbed.clear()
    before = board.snapshot.warnings
    board.report("login:500", [LoginRejected("r500.example", "still no")])
    assert [text for text in scrubbed if text.endswith("no")] == ["still no"]
    assert len(scrubbed) == 2
    changed = [now.subject for then, now in zip(before, board.snapshot.warnings, strict=True) if then is not now]
    assert changed == ["r500.example"]


def test_a_look_for_secrets_does_not_grow_with_their_number() -> None:
    """A text is not searched for each of a thousand passwords, but only for those that begin like a part of it."""
    few, many = Scrubber(), Scrubber()
    passwords = [f"{number:04}-password-of-somebody" for number in range(1000)]
    few.protect(passwords[:1])
    many.protect(passwords)
    text = f"a line that holds {passwords[0]} and nothing else"
    assert many.scrub(text) == few.scrub(text) == f"a line that holds {redaction.MASK} and nothing else"
    searched: Counter[str] = Counter()

    class Searched(str):
        """A text that counts the parts that it is searched for."""

        __slots__ = ()

        def __contains__(self, part: object) -> bool:
            searched[str(part)] += 1
            return super().__contains__(part)  # type: ignore[operator]  # it is a text

    for scrubber in (few, many):
        searched.clear()
        scrubber.scrub(Searched("no secret is here, and nothing that begins like one does"))
        assert searched.keys() <= {"…"}
