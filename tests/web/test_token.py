"""The token's file."""

import asyncio
import threading
from pathlib import Path

from agent.model.sensitive import Sensitive
from agent.web.token import Bearer, TokenFile


async def test_a_file_system_that_hangs_blocks_only_one_thread() -> None:
    """However many requests wait, only one read is in progress, and each request is refused in time."""
    release, readings = threading.Event(), []

    def read(path: Path) -> Sensitive:
        readings.append(path)
        release.wait(20)
        return Sensitive("s3cret")

    token = TokenFile(lambda: Path("/hangs"), read, patience_s=0.05)
    try:
        answers = await asyncio.gather(*(token.check("Bearer s3cret") for _ in range(20)))
        assert answers == [Bearer.UNREADABLE] * 20
        assert readings == [Path("/hangs")]
    finally:
        release.set()
    for _ in range(100):
        if await token.check("Bearer s3cret") is Bearer.RIGHT:
            break
    else:
        raise AssertionError("it never came back")
