"""Opens the page in a browser, and records everything that it must not do."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, Request

from tests.rig.waiting import PATIENCE_S

SHOTS: Final = Path(__file__).parents[2] / "docs/images"
_SHOOT: Final = "PAGE_SCREENSHOTS"


class Watched:
    """One page, and what went wrong on it: errors, violations of its policy, requests to elsewhere."""

    def __init__(self, page: Page, origin: str) -> None:
        self.page: Final = page
        self.origin: Final = origin
        self.problems: Final[list[str]] = []
        page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        page.on("console", lambda line: self._heard(line.type, line.text))
        page.on("request", self._asked)

    async def open(self, path: str = "/") -> None:
        await self.page.goto(self.origin + path, wait_until="domcontentloaded")

    async def shows(self, words: str, selector: str = "#sentence", *, timeout_s: float = PATIENCE_S) -> None:
        """Wait until the element shows this text."""
        found = self.page.locator(selector).filter(has_text=words)
        await found.first.wait_for(timeout=timeout_s * 1000)

    async def text(self, selector: str) -> str:
        return await self.page.locator(selector).inner_text()

    async def shoot(self, name: str) -> None:
        """Save a screenshot in docs/images if PAGE_SCREENSHOTS is set."""
        if os.environ.get(_SHOOT):
            SHOTS.mkdir(exist_ok=True)
            await self.page.wait_for_timeout(300)  # the past is loaded a moment after the rest
            await self.page.screenshot(path=SHOTS / f"{name}.png")

    async def overflow(self) -> list[str]:
        """Return the elements that are wider than the window."""
        found: list[str] = await self.page.evaluate(_OVERFLOW)
        return found

    def _heard(self, kind: str, text: str) -> None:
        # The browser itself logs each error response, and each request that fails.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource:"):
            self.problems.append(f"{kind}: {text}")

    def _asked(self, request: Request) -> None:
        asked = urlsplit(request.url)
        if asked.scheme != "data" and f"{asked.scheme}://{asked.netloc}" != self.origin:
            self.problems.append(f"request: {request.url}")


@asynccontextmanager
async def watching(browser: Browser, origin: str, **options: Any) -> AsyncIterator[Watched]:
    """Open a page in a context of its own, and check at the end that nothing went wrong."""
    context = await browser.new_context(locale="en-GB", timezone_id="UTC", **options)
    try:
        context.set_default_timeout(PATIENCE_S * 1000)
        watched = Watched(await context.new_page(), origin)
        yield watched
        assert watched.problems == []
    finally:
        await context.close()


_OVERFLOW: Final = """() => {
  const width = document.documentElement.clientWidth;
  const out = [...document.querySelectorAll("body *:not(.skip):not(svg *)")]
    .filter((element) => element.getBoundingClientRect().right > width + 0.5);
  if (document.documentElement.scrollWidth > width) out.push(document.documentElement);
  return out.map((element) => `${element.tagName}.${element.className}: ${element.textContent.slice(0, 40)}`);
}"""
