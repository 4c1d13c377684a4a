"""The worlds of the agents, and the browser that shows their pages."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.codes.conftest import here
from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.world import World
from tests.rig.needs import need
from tests.scenarios.readers import browser

__all__ = ["here"]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """The clean-up of a fault, after the agent has ended."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def world(here: Here, tmp_path: Path, stack: ExitStack) -> World:
    """A world. At its end, no secret may have leaked."""
    need("docker")
    return stack.enter_context(hunted(here, tmp_path / "home"))


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """A browser. It does not live for the whole session, because no other test could run an event loop meanwhile."""
    need("chromium")
    with browser() as chromium:
        yield chromium
