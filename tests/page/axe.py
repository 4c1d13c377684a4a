"""The rules of accessibility that a program can check, by axe-core."""

import asyncio
import atexit
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from playwright.async_api import Page

_PINNED: Final = Path(__file__).with_name("axe")
_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@cache
def _program() -> str:
    """What `axe/package-lock.json` pins, once a session, from wherever this machine's npm gets its packages."""
    directory = Path(mkdtemp(prefix="axe-"))
    atexit.register(shutil.rmtree, directory)
    shutil.copytree(_PINNED, directory, dirs_exist_ok=True)
    install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(install, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return (directory / "node_modules/axe-core/axe.min.js").read_text()


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
