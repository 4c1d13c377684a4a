"""A browser, and the attacker's site that it opens."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import web

from agent.demo.listener import Listener
from tests.codes.here import Here
from tests.rig.namespace import environment
from tests.rig.waiting import PATIENCE_S, until

ATTACKER: Final = "attacker.example"
_PAGE: Final = Path(__file__).with_name("attacker.html")
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Newer browsers ask the person before a page may reach this machine. The agent must be safe without this.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
)

Loot = dict[str, str]


class Site:
    """Serves the attacker's page, and receives what it learned. With `sandboxed`, the page's origin is `null`."""

    def __init__(self, here: Here, *, sandboxed: bool = False) -> None:
        self._here: Final = here
        self._headers: Final = {"Cache-Control": "max-age=3600"}
        if sandboxed:
            self._headers["Content-Security-Policy"] = "sandbox allow-scripts allow-forms"
        self._door: Final = Listener(self._handle)
        self.port: Final = self._door.port
        self.loot: Loot = {}
        here.call(self._door.up())

    @property
    def origin(self) -> str:
        return f"http://{ATTACKER}:{self.port}"

    def close(self) -> None:
        self._here.call(self._door.close())

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/loot":
            self.loot = json.loads(await request.read())
        if request.path != "/":
            return web.Response(status=404, headers={"Cache-Control": "no-store"})
        return web.Response(body=_PAGE.read_bytes(), content_type="text/html", headers=self._headers)


class Browser:
    """Chromium with its own profile. Each page opens in a new tab, which is closed afterwards."""

    def __init__(self, profile: Path) -> None:
        self._output: Final = profile / "output"
        flags = (*_FLAGS, f"--host-resolver-rules=MAP {ATTACKER} 127.0.0.1", f"--user-data-dir={profile}")
        with self._output.open("wb") as output:
            self._process: Final = subprocess.Popen(
                ["chromium", *flags, "--remote-debugging-port=0", "about:blank"],
                env=environment(HOME=str(profile)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        port = until("the browser's port", lambda: _first_line(profile / "DevToolsActivePort"))
        self._control: Final = f"http://127.0.0.1:{port}/json"

    def close(self) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        self._process.kill()
        self._process.wait()

    @contextmanager
    def visiting(self, url: str) -> Iterator[None]:
        tab = json.loads(self._ask("PUT", f"new?{quote(url, safe='')}"))
        try:
            yield
        finally:
            self._ask("GET", f"close/{tab['id']}")

    def lure(self, site: Site, plan: Mapping[str, object], *, home: Site | None = None) -> Loot:
        """Open the page of `site` by the attacker's name, and return what it reports to the site, or to `home`.

        A page that was opened before comes from the browser's cache.
        """
        home = home or site
        home.loot = {}
        plan = {**plan, "home": f"http://127.0.0.1:{home.port}/loot"}
        with self.visiting(f"{site.origin}/?plan={quote(json.dumps(plan))}"):
            try:
                return until("the page's report", lambda: home.loot)
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self._output.read_text()[-4000:]}") from None

    def _ask(self, method: str, what: str) -> bytes:
        request = urllib.request.Request(f"{self._control}/{what}", method=method)  # noqa: S310 - the browser's
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310 - as above
            body: bytes = answer.read()
        return body


def _first_line(file: Path) -> str:
    return file.read_text().partition("\n")[0] if file.exists() else ""
