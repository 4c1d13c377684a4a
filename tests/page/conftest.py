"""One Chromium for all tests of the page, and one event loop, in which the server also runs."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.page.documents import page_server
from tests.web.serving import Serving


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def chromium() -> AsyncIterator[Browser]:
    """Start Chromium without its own check of whether a site may reach this machine. The agent must decide that."""
    program = shutil.which("chromium")
    if program is None or shutil.which("npm") is None:
        pytest.skip("needs chromium and npm (packages chromium, npm)")
    sandbox = os.geteuid() != 0  # Chromium's sandbox refuses to run as root
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, chromium_sandbox=sandbox, args=["--disable-features=LocalNetworkAccessChecks"]
        )
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="package")
async def rig() -> AsyncIterator[Serving]:
    async with page_server() as rig:
        yield rig
