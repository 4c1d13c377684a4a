"""A person's browser, and the site of an attacker that it was lured to."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from aiohttp import web

from agent.demo.listening import Listener
from tests.codes.here import Here
from tests.rig.namespace import environment
from tests.rig.waiting import until

ATTACKER: Final = "attacker.example"
_PAGE: Final = Path(__file__).with_name("attacker.html")
_LOOT_S: Final = 60.0
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # What newer browsers ask the person before a page may reach this machine: the agent must not need it.
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests",
)

Loot = dict[str, str]


class Site:
    """Serves the page, and takes what it brings home. `sandboxed`: the page's origin is null."""

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


@contextmanager
def visiting(url: str, profile: Path) -> Iterator[None]:
    """Chromium with `url` open."""
    command = [
        "chromium",
        *_FLAGS,
        f"--host-resolver-rules=MAP {ATTACKER} 127.0.0.1",
        f"--user-data-dir={profile}",
        url,
    ]
    profile.mkdir(exist_ok=True)
    with (profile / "said").open("wb") as said:
        browser = subprocess.Popen(
            command, env=environment(HOME=str(profile)), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            yield
        finally:
            browser.terminate()
            with suppress(subprocess.TimeoutExpired):
                browser.wait(10)
            browser.kill()
            browser.wait()


def lure(site: Site, plan: Mapping[str, object], profile: Path, *, home: Site | None = None) -> Loot:
    """Open the page of `site` by the attacker's name; what it brings home, to the site itself unless told otherwise.

    A page that was there before comes out of the browser's cache.
    """
    home = home or site
    home.loot = {}
    plan = {**plan, "home": f"http://127.0.0.1:{home.port}/loot"}
    url = f"{site.origin}/?plan={quote(json.dumps(plan))}"
    with visiting(url, profile):
        try:
            return until("the page's report", lambda: home.loot, _LOOT_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{(profile / 'said').read_text()[-4000:]}") from None
