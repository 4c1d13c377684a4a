"""The worlds of the agents, and the browser that shows their pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.codes.conftest import here
from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.world import World
from tests.rig.needs import need

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
    sandbox = os.geteuid() != 0  # Chromium's sandbox does not work as root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), chromium_sandbox=sandbox)
        yield browser
        browser.close()
