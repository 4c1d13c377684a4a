"""Checks the page's accessibility with axe-core."""

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


async def violations(page: Page) -> list[str]:
    """Return each violated rule, such as contrast, and where it is violated."""
    await page.evaluate(await asyncio.to_thread(_program))  # not blocked by the page's policy
    found: dict[str, Any] = await page.evaluate("tags => axe.run(document, {runOnly: tags})", _TAGS)
    assert len(found["passes"]) > 10, "axe looked at nothing"
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]
