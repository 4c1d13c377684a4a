"""Where the agents of the table live, and the browser that looks at them."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.world import World
from tests.hostile.conftest import here
from tests.rig.needs import need

__all__ = ["here"]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What a fault takes back at its end, when the agent is gone."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def world(here: Here, tmp_path: Path, stack: ExitStack) -> World:
    """At its end no secret is found where none may be."""
    need("docker")
    return stack.enter_context(hunted(here, tmp_path / "home"))


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Not for the session: as long as it is there its event loop runs, and no other test can run one."""
    need("chromium")
    sandbox = os.geteuid() != 0  # Chromium's own refuses to be root's
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), chromium_sandbox=sandbox)
        yield browser
        browser.close()
