"""The rules of accessibility that a program can check, by axe-core."""

import asyncio
from functools import cache
from typing import Any, Final

from playwright.async_api import Page

from tests.prepare.steps import AXE
from tests.rig.needs import prepared

_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@cache
def _program() -> str:
    return (prepared(AXE) / "node_modules/axe-core/axe.min.js").read_text()


async def faults(page: Page) -> list[str]:
    """Each rule that is broken, with where; contrast is one of them."""
    await page.evaluate(await asyncio.to_thread(_program))  # as the debugger does, past the page's own policy
    found: dict[str, Any] = await page.evaluate("tags => axe.run(document, {runOnly: tags})", _TAGS)
    assert len(found["passes"]) > 10, "axe looked at nothing"
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
