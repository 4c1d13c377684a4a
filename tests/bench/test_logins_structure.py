"""Logins are fast because config.json is written rarely. These tests count writes, not seconds."""

import asyncio
import base64
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from agent.edge.atomic_file import replace_version
from agent.edge.docker_config import DockerConfigFile
from agent.edge.file_version import FileVersion
from agent.model.docker_config import Document, entries
from agent.model.problem import ProblemError
from agent.model.problems.stored_login import ConfigUnwritable

STORM = 50


class TestConfigFile:
    """How often config.json is written."""

    async def test_a_storm_is_a_few_writes_and_loses_nothing(self, tmp_path: Path) -> None:
        """Changes that wait for one write to end are written together."""
        file = DockerConfigFile(tmp_path / "docker")
        busy, go_on = threading.Event(), threading.Event()
        with counted_writes() as writes:
            first = asyncio.create_task(file.update(held_up("first.example", busy, go_on)))
            await asyncio.to_thread(busy.wait, 20)
            storm = [asyncio.create_task(file.update(adding(f"r{n}.example"))) for n in range(STORM)]
            await asyncio.sleep(0)
            go_on.set()
            await asyncio.gather(first, *storm)
        assert set(entries(await file.read())) == {"first.example", *(f"r{n}.example" for n in range(STORM))}
        assert len(writes) == 2

    async def test_nothing_new_is_no_write(self, tmp_path: Path) -> None:
        file = DockerConfigFile(tmp_path / "docker")
        await file.update(adding("r.example"))
        with counted_writes() as writes:
            await asyncio.gather(*(file.update(adding("r.example")) for _ in range(STORM)))
        assert writes == []

    async def test_a_write_that_fails_leaves_the_others_their_turn(self, tmp_path: Path) -> None:
        """Each change gets its own error, or none if the cause is gone by then."""
        file = DockerConfigFile(tmp_path / "docker")
        faults = iter([OSError(28, "No space left on device")])
        with counted_writes(lambda: next(faults, None)):
            told = await asyncio.gather(
                *(file.update(adding(f"r{n}.example")) for n in range(3)), return_exceptions=True
            )
        assert isinstance(told[0], ProblemError)
        assert isinstance(told[0].problem, ConfigUnwritable)
        assert not any(isinstance(each, BaseException) for each in told[1:])
        assert set(entries(await file.read())) == {"r1.example", "r2.example"}

    async def test_who_waits_no_longer_gets_no_write(self, tmp_path: Path) -> None:
        """A login that is cancelled while its entry waits for the file is not written."""
        file = DockerConfigFile(tmp_path / "docker")
        busy, go_on = threading.Event(), threading.Event()
        first = asyncio.create_task(file.update(held_up("first.example", busy, go_on)))
        await asyncio.to_thread(busy.wait, 20)
        second = asyncio.create_task(file.update(adding("second.example")))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second})
        third = asyncio.create_task(file.update(adding("third.example")))
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(first, third)
        assert set(entries(await file.read())) == {"first.example", "third.example"}


def adding(host: str) -> Callable[[Document], Document]:
    auth = base64.b64encode(b"robot:secret").decode()
    return lambda document: {**document, "auths": {**document.get("auths", {}), host: {"auth": auth}}}


def held_up(host: str, busy: threading.Event, go_on: threading.Event) -> Callable[[Document], Document]:
    """Return a change that signals when the thread reaches it, and then blocks the thread."""

    def change(document: Document) -> Document:
        busy.set()
        assert go_on.wait(20)
        return adding(host)(document)

    return change


class counted_writes:  # noqa: N801 - used as a function
    """Records the data of every write. If `fault` returns an error, it is raised instead of the write."""

    def __init__(self, fault: Callable[[], OSError | None] = lambda: None) -> None:
        self._fault = fault
        self._writes: list[bytes] = []
        self._patch = patch("agent.edge.docker_config.replace_version", self._replace)

    def _replace(self, path: Path, former: FileVersion | None, data: bytes, *, sync_after: bool = False) -> None:
        error = self._fault()
        if error is not None:
            raise error
        replace_version(path, former, data, sync_after=sync_after)
        self._writes.append(data)

    def __enter__(self) -> list[bytes]:
        self._patch.start()
        return self._writes

    def __exit__(self, *_: object) -> None:
        self._patch.stop()
