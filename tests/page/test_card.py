"""The card in another page, and the headers of the page and the card."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page

from agent.demo.listener import Listener
from agent.settings import StatusSettings
from tests.page import axe
from tests.page.browser import watching
from tests.page.documents import HOSTILE, healthy, row, worst_day
from tests.rig.waiting import eventually
from tests.web.serving import Serving, raw, serving

pytestmark = pytest.mark.asyncio(loop_scope="package")

_ELSEWHERE: Final = "dashboard.example"


@asynccontextmanager
async def dashboard(chromium: Browser, rig: Serving, name: str) -> AsyncIterator[tuple[Page, str]]:
    """Serve a page of host `name` with the card in a frame. Yield a browser page and the origin."""
    html = f'<title>x</title><iframe title="Registry logins" width="400" height="120" src="{rig.url}/card"></iframe>'

    async def serve(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=html, content_type="text/html")

    door = Listener(serve)
    await door.up()
    context = await chromium.new_context()
    page = await context.new_page()
    try:
        await page.route(
            f"http://{_ELSEWHERE}:{door.port}/", lambda route: route.fulfill(body=html, content_type="text/html")
        )
        yield page, f"http://{name}:{door.port}"
    finally:
        await context.close()
        await door.close()


async def test_a_page_of_this_machine_may_frame_it(chromium: Browser, rig: Serving) -> None:
    """The sentence and the count are the page's own, and follow the agent."""
    healthy(rig)
    async with dashboard(chromium, rig, "localhost") as (page, origin):
        await page.goto(origin)
        card = page.frame_locator("iframe")
        await card.get_by_text("All is well: all 3 registries are logged in.").wait_for()
        assert await card.locator("#count").inner_text() == "3 of 3 registries logged in"


async def test_other_pages_may_frame_it_only_if_allowed(chromium: Browser, rig: Serving) -> None:
    """`status.allow_origins` lists the origins that may."""
    healthy(rig)
    async with dashboard(chromium, rig, _ELSEWHERE) as (page, origin):
        refusals: list[str] = []
        page.on("console", lambda line: refusals.append(line.text))
        await page.goto(origin)
        await eventually(lambda: any("frame-ancestors" in text for text in refusals))
        assert await page.frame_locator("iframe").locator("#sentence").count() == 0
        rig.status = StatusSettings(listen="127.0.0.1:0", allow_origins=(origin,))
        await page.goto(origin)
        await page.frame_locator("iframe").get_by_text("All is well").wait_for()


async def test_it_follows_the_agent_and_shows_when_it_is_gone(chromium: Browser, rig: Serving) -> None:
    """It polls every ten seconds. If the agent does not answer, it shows since when."""
    worst_day(rig)
    async with watching(chromium, rig.url) as view:
        await view.page.clock.install()
        await view.open("/card")
        await view.shows("Action needed: ghcr.io refused the user name or password of secret team-ghcr, and 5 more.")
        assert await axe.violations(view.page) == []
        rig.board.report("test")
        await view.page.clock.run_for(15_000)
        await view.shows("All is well: 2 of 7 registries logged in, 5 skipped.")
        await rig.server.close()
        await view.page.clock.run_for(15_000)
        await view.shows("The agent has not answered since")
        await rig.server.start()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_is_small(chromium: Browser, rig: Serving, scheme: str) -> None:
    """It fits into 320 by 120 pixels, in light and in dark, whatever names it shows, and passes axe's rules."""
    healthy(rig)
    rig.board.put_registry(row(HOSTILE))
    options = {"viewport": {"width": 320, "height": 120}, "color_scheme": scheme}
    async with watching(chromium, rig.url, **options) as view:
        await view.open("/card")
        await view.shows("All is well")
        assert await axe.violations(view.page) == []
        assert await view.overflow() == []
        await view.shoot(f"card-{scheme}")


async def test_with_a_token_it_only_shows_that_one_is_required(chromium: Browser) -> None:
    """It has no input for the token: nobody should type a token into a frame of another page."""
    async with serving() as rig, watching(chromium, rig.url) as view:
        rig.status = StatusSettings(listen="127.0.0.1:0", token_file=rig.use_token("s3cret"))
        await view.open("/card")
        await view.shows("This agent requires a token.")
        assert await view.page.locator("input").count() == 0
        link = view.page.get_by_role("link", name="Details")
        assert (await link.get_attribute("href"), await link.get_attribute("target")) == ("/", "_blank")


async def test_nobody_may_frame_the_page(chromium: Browser, rig: Serving) -> None:
    """It has a button, and an input for a token."""
    async with rig.on_tcp() as tcp:
        policy = (await tcp.get("/")).headers["Content-Security-Policy"]
    assert policy.endswith("frame-ancestors 'none'")
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert chromium.is_connected()


@pytest.mark.parametrize("path", ["/", "/card"])
async def test_the_static_html_needs_no_token_but_an_allowed_host(path: str) -> None:
    """It contains no status, supports ETags, and is refused to a Host that is not allowed."""
    async with serving() as rig, rig.on_tcp() as tcp, rig.on_socket() as unix:
        healthy(rig)
        rig.status = StatusSettings(listen="127.0.0.1:0", token_file=rig.use_token("s3cret"))
        shell = await tcp.get(path)
        assert shell.status == 200
        assert shell.headers["Cache-Control"] == "no-cache"
        assert shell.headers["X-Content-Type-Options"] == "nosniff"
        assert shell.headers["Referrer-Policy"] == "no-referrer"
        text = await shell.text()
        assert "ghcr.io" not in text
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), "an address of elsewhere"
        again = await tcp.get(path, headers={"If-None-Match": shell.headers["ETag"]})
        assert (again.status, await again.read()) == (304, b"")
        assert await (await unix.get(path)).text() == text
        assert (await tcp.head(path)).status == 200
        assert (await tcp.post(path)).status == 405
        refused = await raw(rig, f"GET {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".encode())
        assert b"host_not_allowed" in refused
