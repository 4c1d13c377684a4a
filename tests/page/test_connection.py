"""The page when the agent does not answer, requires a token, or renews a login."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP
from typing import Any

import pytest
from aiohttp import web
from playwright.async_api import Browser

from agent.settings import StatusSettings
from tests.page import axe
from tests.page.browser import Watched, watching
from tests.page.documents import healthy
from tests.rig.agent import Agent
from tests.rig.waiting import eventually
from tests.web.serving import Serving, serving
from tests.web_attacks.target import TOKEN, Target

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.fixture
def home() -> Any:
    if shutil.which("docker") is None:
        pytest.skip("needs docker (package docker-cli or docker.io)")
    with tempfile.TemporaryDirectory(prefix="ra-") as directory:
        yield Path(directory)


@asynccontextmanager
async def target(home: Path, *, token: bool) -> AsyncIterator[Target]:
    """Start a whole agent and a registry, in a thread: they block, and the browser's event loop must keep running."""
    made = await asyncio.to_thread(Target, home, token=token)
    try:
        yield made
    finally:
        await asyncio.to_thread(made.close)


def start_again(target: Target) -> Agent:
    """Start the agent again at the same port, like systemd."""
    agent = target.world.prepare({"status": {"listen": f"127.0.0.1:{target.port}"}}).start()
    agent.watch_no_longer()
    return agent


async def test_shows_when_the_agent_dies_and_when_it_is_back(chromium: Browser, home: Path) -> None:
    """It shows since when, with the last known state below. Nobody has to reload the page."""
    async with target(home, token=False) as agent, watching(chromium, f"http://127.0.0.1:{agent.port}") as view:
        await view.open()
        await view.shows(f"All is well: {agent.hostname} is logged in.")
        await view.shows("the agent started", "#past")
        await asyncio.to_thread(agent.agent.end, SIGKILL)
        await view.shows("The agent has not answered since")
        assert "last known state below" in await view.text("#sentence")
        assert await view.text("#count") == "Before that: 1 of 1 registries logged in."
        assert agent.hostname in await view.text("#registries")
        assert await axe.violations(view.page) == []
        await view.shoot("page-gone-light")
        await asyncio.to_thread(start_again, agent)
        await view.shows("live", "#link", timeout_s=30)
        await view.shows(f"All is well: {agent.hostname} is logged in.")
        await view.shows("the agent started", "#past")


async def test_shows_that_the_agent_hangs(chromium: Browser, home: Path) -> None:
    """The connection is open, but nothing arrives for 45 seconds, the time of three comments."""
    async with target(home, token=False) as agent, watching(chromium, f"http://127.0.0.1:{agent.port}") as view:
        await view.page.clock.install()
        await view.open()
        await view.shows("All is well")
        agent.agent.send(SIGSTOP)
        try:
            await view.page.clock.run_for(40_000)
            assert await view.text("#link") == "live"
            await view.page.clock.run_for(6_000)
            await view.shows("The agent has not answered since")
        finally:
            agent.agent.send(SIGCONT)
        await view.page.clock.run_for(30_000)
        await view.shows("All is well")


async def test_comments_are_signs_of_life(chromium: Browser, rig: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing changes, the page stays live, because comments arrive."""
    healthy(rig)
    rig.routes.events.comment_every_s = 0.1
    written: list[bytes] = []
    write = web.StreamResponse.write

    async def counted(response: web.StreamResponse, data: bytes) -> None:
        await write(response, data)
        written.append(data)

    monkeypatch.setattr(web.StreamResponse, "write", counted)
    async with watching(chromium, rig.url) as view:
        await view.page.clock.install()
        await view.open()
        await view.shows("All is well")
        for _ in range(4):
            enough = len(written) + 10
            await eventually(lambda enough=enough: len(written) >= enough)  # type: ignore[misc] # its default is its argument
            await view.page.clock.run_for(30_000)
        assert await view.text("#link") == "live"
        assert sum(frame.startswith(b"event") for frame in written) == 1, "it connected anew"


async def test_asks_for_the_token(chromium: Browser) -> None:
    """It reports a wrong token, and shows the status with the right one. Only this tab keeps it, until "Forget"."""
    async with serving() as rig, watching(chromium, rig.url) as view:
        rig.status = StatusSettings(listen="127.0.0.1:0", token_file=rig.use_token(TOKEN))
        healthy(rig)
        await view.open()
        field = view.page.get_by_label("Token", exact=True)
        await field.wait_for()
        assert await view.page.locator("#content").is_hidden()
        assert await axe.violations(view.page) == []
        await view.shoot("page-token-light")
        await field.fill("guess")
        await field.press("Enter")
        await view.shows("The token is wrong.", "#wrong")
        await field.fill(TOKEN)
        await view.page.get_by_role("button", name="Show the status").click()
        await view.shows("All is well")
        assert await view.page.evaluate("[localStorage.length, document.cookie, location.href]") == [
            0,
            "",
            rig.url + "/",
        ]
        await view.page.reload()
        await view.shows("All is well")
        other = await view.page.context.new_page()
        await other.goto(rig.url)
        await other.get_by_label("Token", exact=True).wait_for()
        await other.close()
        await view.page.get_by_role("button", name="Forget the token").click()
        await field.wait_for()


async def test_asks_again_after_the_token_has_changed(chromium: Browser) -> None:
    """The status that the old token showed is hidden."""
    async with serving() as rig, watching(chromium, rig.url) as view:
        rig.status = StatusSettings(listen="127.0.0.1:0", token_file=rig.use_token(TOKEN))
        healthy(rig)
        await view.open()
        await view.page.get_by_label("Token", exact=True).fill(TOKEN)
        await view.page.keyboard.press("Enter")
        await view.shows("All is well")
        rig.use_token("another")
        await rig.server.close()
        rig.status = StatusSettings(
            listen=f"127.0.0.1:{view.origin.rpartition(':')[2]}", token_file=rig.status.token_file
        )
        await rig.server.start()
        await view.shows("The token is wrong.", "#wrong")
        assert await view.page.locator("#content").is_hidden()


async def test_renew_now(chromium: Browser, home: Path) -> None:
    """With the token there is a button. It renews the registry, announces the outcome, and keeps the focus."""
    async with target(home, token=True) as agent, watching(chromium, f"http://127.0.0.1:{agent.port}") as view:
        await signed_in(view)
        before = await asyncio.to_thread(agent.attempts)
        button = view.page.get_by_role("button", name=f"Renew {agent.hostname} now")
        await button.wait_for()
        await view.shoot("page-renew-light")
        await button.focus()
        await view.page.keyboard.press("Enter")
        await view.shows(f"{agent.hostname} is renewed", "#announcement")
        assert await asyncio.to_thread(agent.attempts) == before + 1
        assert (
            await view.page.evaluate("document.activeElement.getAttribute('aria-label')")
            == f"Renew {agent.hostname} now"
        )
        assert await button.inner_text() == "Renew now"


async def test_shows_why_a_renewal_was_refused(chromium: Browser) -> None:
    """The agent's message is shown next to the registry."""
    async with serving() as rig, watching(chromium, rig.url) as view:
        rig.status = StatusSettings(listen="127.0.0.1:0", token_file=rig.use_token(TOKEN))
        healthy(rig)
        await view.open()
        await signed_in(view)
        await view.page.get_by_role("button", name="Renew docker.io now").click()
        await view.shows("Not renewed: there is no secret for docker.io", ".registry:has-text('docker.io')")


async def signed_in(view: Watched) -> None:
    await view.open()
    await view.page.get_by_label("Token", exact=True).fill(TOKEN)
    await view.page.keyboard.press("Enter")
    await view.shows("All is well")


async def test_without_a_token_there_is_no_button(chromium: Browser, rig: Serving) -> None:
    """The page shows the command instead."""
    healthy(rig)
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("registry-agent renew HOST", "#how-to-renew")
        assert await view.page.get_by_role("button", name="Renew").count() == 0
