"""What a foreign web page can learn from the agent, or make it do, in a real browser."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.codes.here import Here
from tests.web_attacks.browser import Browser, Loot, Site
from tests.web_attacks.target import TOKEN, Target

NOTHING: Final = re.compile(r"failed: (TypeError|SecurityError|Error)?[\w :',().]*|opaque 0 |loaded |true|[0-9]*")
"""Results that come from the browser itself. Everything else came from the agent."""
READABLE: Final = frozenset(
    {
        *("/v1/status", "/v1/events", "/v1/logs", "/v1/timeline", "/v1/rights"),
        *("/metrics", "/openapi.json", "/livez", "/readyz"),
    }
)
REFUSAL: Final = re.compile(r'basic 403 {"error": {"code": "host_not_allowed", .*|loaded {"error": .*|{"error": .*')


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if shutil.which("chromium") is None:
        pytest.skip("needs chromium (package chromium)")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


@pytest.fixture
def here() -> Iterator[Here]:
    here = Here()
    yield here
    here.close()


@pytest.fixture
def site(here: Here) -> Iterator[Site]:
    """Start the attacker's site."""
    site = Site(here)
    yield site
    site.close()


def gained(loot: Loot) -> dict[str, str]:
    """Return what the page learned."""
    assert len(loot) > 60, "the page did not try all"
    return {name: what for name, what in loot.items() if not NOTHING.fullmatch(what)}


@contextmanager
def unmoved(target: Target) -> Iterator[None]:
    """Check that the agent did not try a registry, and that no request reached the registry."""
    before = (target.attempts(), target.world.good.registry.logins.total())
    yield
    assert (target.attempts(), target.world.good.registry.logins.total()) == before


def plan(target: Target, **more: str) -> dict[str, str]:
    return {"agent": f"http://127.0.0.1:{target.port}", "hostname": target.hostname, **more}


@pytest.mark.parametrize("token", [False, True], ids=["without a token", "with a token"])
def test_a_page_of_another_origin_gains_nothing(browser: Browser, site: Site, home: Path, *, token: bool) -> None:
    """It reads nothing, not even the health probes, and renews nothing, even if another origin is allowed."""
    with Target(home, token=token, allow_origins=("http://dashboard.example",)) as target, unmoved(target):
        assert gained(browser.lure(site, plan(target))) == {}


def test_a_page_without_an_origin_gains_nothing(browser: Browser, here: Here, home: Path) -> None:
    """This is a page in a sandbox, whose origin is `null`."""
    site = Site(here, sandboxed=True)
    with Target(home, token=False, allow_origins=("http://dashboard.example",)) as target, unmoved(target):
        assert gained(browser.lure(site, plan(target))) == {}
    site.close()


def test_a_page_of_an_allowed_origin_reads(browser: Browser, site: Site, home: Path) -> None:
    """This shows that the attacks reach the agent. But without a configured token, the page renews nothing."""
    with Target(home, token=False, allow_origins=(site.origin,)) as target, unmoved(target):
        loot = gained(browser.lure(site, plan(target)))
    assert {f"fetch {path}" for path in READABLE} | {"xhr", "event source"} <= loot.keys()
    assert target.hostname in loot["fetch /v1/status"]
    assert all("token_not_configured" in loot[f"renew {how}"] for how in ("simple", "text", "preflighted", "xhr")), loot


def test_a_page_of_an_allowed_origin_needs_the_token(browser: Browser, site: Site, home: Path) -> None:
    """With the token it reads and renews. Without it, or with a guess, it is refused."""
    with Target(home, token=True, allow_origins=(site.origin,)) as target:
        loot = gained(browser.lure(site, plan(target, token=TOKEN)))
        assert target.attempts() == 2
    assert "attempt_ids" in loot["renew preflighted"]
    assert target.hostname in loot["fetch /v1/status"]
    for name in ("guess /v1/status", "renew simple", "renew guessed", "renew keepalive", "xhr"):
        assert "unauthorized" in loot[name], loot[name]


@pytest.mark.parametrize("token", [False, True], ids=["without a token", "with a token"])
def test_dns_rebinding_gains_nothing(browser: Browser, here: Here, home: Path, *, token: bool) -> None:
    """A site points its own name at the agent while the browser shows its page. It learns only that an agent exists."""
    site, collector = Site(here), Site(here)
    own = {"agent": site.origin, "hostname": "ghcr.io"}
    browser.lure(site, own, home=collector)
    site.close()
    with Target(home, token=token, port=site.port) as target, unmoved(target):
        loot = gained(browser.lure(site, own, home=collector))
    collector.close()
    probes = {name: loot.pop(name) for name in list(loot) if name.endswith(("livez", "readyz"))}
    assert len(probes) == 6
    assert set(probes.values()) == {
        f"basic 200 {json.dumps({'live': True})}",
        f"basic 200 {json.dumps({'ready': True, 'phase': 'running'})}",
    }
    assert "etag" not in loot.pop("head")
    assert loot.keys() >= {"fetch /v1/status", "renew simple", "renew form", "iframe /v1/status"}
    assert {name: what for name, what in loot.items() if not REFUSAL.fullmatch(what)} == {}
