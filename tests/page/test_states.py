"""What the page shows for each state of the document."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Final, Literal

import pytest
from playwright.async_api import Browser, Locator, ViewportSize

from agent.model.problems.registry import RegistryDns, RegistryTimeout
from agent.model.problems.stored_login import RenewalFailing
from agent.model.status import Flavor, Phase, State, Tool, Tools
from tests.page import axe
from tests.page.browser import watching
from tests.page.documents import ECR, HOSTILE, LONG, ecr, healthy, now, put, row, worst_day
from tests.web.serving import Serving

pytestmark = pytest.mark.asyncio(loop_scope="package")

DESK: Final[ViewportSize] = {"width": 900, "height": 1100}
PHONE: Final[ViewportSize] = {"width": 360, "height": 740}
# The size of a window of 1280 pixels at a zoom of 200 %.
ZOOMED: Final[ViewportSize] = {"width": 640, "height": 400}
VIEWS: Final[tuple[tuple[ViewportSize, Literal["light", "dark"], str], ...]] = (
    (DESK, "light", "light"),
    (DESK, "dark", "dark"),
    (PHONE, "light", ""),
    (PHONE, "dark", "phone"),
    (ZOOMED, "light", ""),
)
"""Sizes and color schemes, and the picture of each in docs/images."""
_SHOWN: Final = ".registry:has-text('%s')"


async def test_shows_the_start(chromium: Browser, rig: Serving) -> None:
    """It shows how many registries were tried, even before the first attempt has ended."""
    rig.board.put_registry(row("ghcr.io"))
    rig.board.put_registry(row("quay.io", State.PENDING, attempting=True))
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("The agent is starting, 1 of 2 registries tried.")
        assert "Trying now" in await view.text(_SHOWN % "quay.io")
        rig.board.set_phase(Phase.RUNNING)
        put(rig, row("quay.io"))
        await view.shows("All is well: all 2 registries are logged in.")


async def test_shows_that_there_is_no_secret(chromium: Browser, rig: Serving) -> None:
    """Having no secret is not an error."""
    rig.board.set_phase(Phase.RUNNING)
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("All is well: there are no registry secrets, so there is no registry to log in to.")
        assert await axe.violations(view.page) == []


async def test_shows_podman_if_it_logs_in(chromium: Browser, rig: Serving) -> None:
    """It is not called docker, and it needs no engine."""
    healthy(rig)
    rig.board.set_tools(Tools(podman=Tool("/usr/bin/podman", "5.4.2"), flavor=Flavor.PODMAN))
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("podman 5.4.2", "#facts")
        assert "engine" not in await view.text("#facts")


async def test_all_is_well(chromium: Browser, rig: Serving) -> None:
    """It shows each login's identity, store and lifetime, and no warnings."""
    healthy(rig)
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("All is well: all 3 registries are logged in.")
        assert await view.text("#count") == "3 of 3 registries logged in"
        shown = await view.text(_SHOWN % ECR)
        for words in ("logged in", "assumed-role/env/i-0abc123", "team-ecr (project)", "config.json"):
            assert words in shown
        assert re.search("Expires in 9 h (29|30) min · renews in 3 h 3[67] min", shown), shown
        assert "Does not expire" in await view.text(_SHOWN % "ghcr.io")
        assert await view.page.locator(".error, .warnings").count() == 0


async def test_a_bar_empties(chromium: Browser, rig: Serving) -> None:
    """Its length is the token's remaining time. It shows the exact times, and shrinks as time passes."""
    began, expires = now() - timedelta(seconds=60), now() + timedelta(seconds=60)
    put(rig, ecr(logged_in_at=began, expires_at=expires, renew_at=None))
    async with watching(chromium, rig.url, reduced_motion="reduce") as view:
        await view.page.clock.install()
        await view.open()
        bar = view.page.get_by_role("meter", name="Time left")
        await bar.wait_for()
        assert await left(bar) == pytest.approx((0.5, 0.5), abs=0.1)
        assert f"{expires:%H:%M:%S} UTC" in (await bar.get_attribute("title") or "")
        await view.page.clock.run_for(30_000)
        assert await left(bar) == pytest.approx((0.25, 0.25), abs=0.1)
        assert re.search(r"Expires in [23]\d s", await view.text(_SHOWN % ECR))


async def left(bar: Locator) -> tuple[float, float]:
    """Return how full the bar is, as it is drawn and as a screen reader reads it."""
    box, inner = await bar.bounding_box(), await bar.locator(".left").bounding_box()
    assert box is not None
    assert inner is not None
    return inner["width"] / box["width"], float(await bar.get_attribute("aria-valuenow") or "nan") / 100


async def test_the_worst_day(chromium: Browser, rig: Serving) -> None:
    """It shows every state, and each warning with its hint, grouped by who has to act."""
    worst_day(rig)
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("Action needed: ghcr.io refused the user name or password of secret team-ghcr, and 5 more.")
        for hostname, words in {
            ECR: "logged in",
            "ghcr.io": "refused",
            "registry.internal.example": "retrying",
            "public.ecr.aws": "expired",
            "quay.io": "not tried yet",
            "old.example.com": "skipped",
        }.items():
            assert words in await view.text(_SHOWN % hostname), hostname
        refused = await view.text(_SHOWN % "ghcr.io")
        assert "ghcr.io refused the user name or password of secret team-ghcr" in refused
        what_to_do = "What to do: update the secret's user name or password"
        assert what_to_do in await view.text("#warnings")
        assert (await view.text("main")).count(what_to_do) == 1
        assert "Next attempt in 28 min" in refused or "Next attempt in 29 min" in refused
        groups = await view.page.locator("#warnings h2").all_inner_texts()
        titles = [group.split("\n")[0].split(" by an admin")[0] for group in groups]
        assert titles[:2] == ["Action needed", "Admin action needed"]
        assert await view.page.locator("#warnings li").count() == 6
        assert await view.page.locator("#notices li").count() == 2
        first = await view.page.locator(".registry h3").all_inner_texts()
        assert set(first[:2]) == {"ghcr.io", "public.ecr.aws"}


async def test_a_warning_that_is_retried_needs_no_action(chromium: Browser, rig: Serving) -> None:
    """The page shows that no action is needed. When the warning is cleared, all is well again."""
    put(rig, row("ghcr.io"))
    rig.board.report("a", [RegistryTimeout("quay.io", "quay.io did not answer in time")])
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("No action needed, the agent is retrying: quay.io did not answer in time.")
        assert await view.page.locator("#verdict").get_attribute("data-tone") == "warn"
        rig.board.report("a")
        await view.shows("All is well: ghcr.io is logged in.")
        assert await view.page.locator("#warnings li").count() == 0


async def test_the_same_fault_of_several_registries_is_shown_once(chromium: Browser, rig: Serving) -> None:
    """It lists the registries. The first sentence counts it once, too."""
    for host in ("ghcr.io", "quay.io"):
        put(rig, row(host))
        rig.board.report(host, [RegistryTimeout(host, f"{host} did not answer in time")])
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("No action needed, the agent is retrying: ghcr.io did not answer in time.")
        await view.shows("ghcr.io, quay.io", "#warnings")
        assert await view.page.locator("#warnings li").count() == 1
        assert "more" not in await view.text("#verdict")
        rig.board.report("quay.io", [RegistryTimeout("quay.io", "quay.io did not answer for 30 s")])
        await view.shows("ghcr.io did not answer in time, and 1 more.")
        assert await view.page.locator("#warnings li").count() == 2


async def test_a_warning_can_become_an_error(chromium: Browser, rig: Serving) -> None:
    """The code and subject stay the same. A warning that needs a person is still shown first."""
    put(rig, ecr(age_h=11.5))
    rig.board.report("a", [RenewalFailing(ECR, "it could not be renewed")])
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("Warning: it could not be renewed", "#warnings")
        rig.board.report(
            "a", [RenewalFailing(ECR, "it could not be renewed", severity=type(RenewalFailing.severity)("error"))]
        )
        await view.shows("Error: it could not be renewed", "#warnings")
        assert await view.page.locator("#verdict").get_attribute("data-tone") == "bad"
        await view.shows("No action needed, the agent is retrying: it could not be renewed.")
        rig.board.report("b", [RegistryDns(ECR, "it does not resolve")])
        await view.shows("Action needed: it does not resolve, and 1 more.")


async def test_a_command_in_a_hint_can_be_copied_as_it_stands(chromium: Browser, rig: Serving) -> None:
    """It is shown as code, without the backquotes."""
    rig.board.report("a", [RegistryTimeout("quay.io", "no answer", hint="run `getent hosts quay.io`, then wait")])
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("getent hosts quay.io", "#warnings .hint code")
        assert await view.text("#warnings .hint") == "Run getent hosts quay.io, then wait"


async def test_hostile_text_is_text(chromium: Browser, rig: Serving) -> None:
    """Markup in names and messages is shown as text, has no effect, and does not break the layout."""
    put(rig, row("ghcr.io", identity=HOSTILE, secret=HOSTILE, last_error=HOSTILE), row(LONG))
    rig.board.report("a", [RegistryTimeout(HOSTILE, HOSTILE + LONG, hint=HOSTILE)])
    rig.timeline.note("warning", {"event": "warning.raised", "code": "x", "subject": HOSTILE, "message": HOSTILE})
    async with watching(chromium, rig.url, viewport=PHONE) as view:
        await view.open()
        await view.shows("<img src=x", "#past")
        assert await view.page.locator("main img, main script").count() == 0
        assert "owned" not in (await view.page.title()).split("<")[0]
        assert await view.overflow() == []


async def test_shows_that_the_agent_is_shutting_down(chromium: Browser, rig: Serving) -> None:
    """The last document has the phase `stopping`."""
    healthy(rig)
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("All is well")
        rig.board.set_phase(Phase.STOPPING)
        await view.shows("The agent is shutting down and no longer renews the logins.")


async def test_shows_the_last_day(chromium: Browser, rig: Serving) -> None:
    """It lists logins, renewals, problems with their duration, and clock jumps, the newest first."""
    await past(rig)
    healthy(rig)
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("renewed", "#past")
        entries = await view.page.locator("#past li bdi").all_inner_texts()
        assert entries == [
            "ghcr.io renewed",
            "the clock jumped ahead by 8 h: the machine slept, or its clock was set",
            "resolved after 20 min: quay.io did not answer in time",
            "quay.io did not answer in time",
            "ghcr.io logged in",
            "secrets changed: 2 new, 0 changed, 1 gone",
            "the agent started, version 1.0.0",
        ]
        assert await view.page.locator(".lane rect").count() == 1
        assert await view.page.locator(".lane circle").count() == 1


async def past(rig: Serving) -> None:
    """Record the events of a morning, with the rig's clock."""
    rig.clock.jump(-10 * 3600)
    note = rig.timeline.note
    note("info", {"event": "agent.starting", "version": "1.0.0"})
    note("info", {"event": "secrets.changed", "added": ["a#x", "a#y"], "changed": [], "removed": ["a#z"]})
    rig.clock.jump(60)
    note("info", {"event": "login.succeeded", "registry": "ghcr.io", "stored_in": "config.json"})
    rig.clock.jump(600)
    fault = {"code": "registry_timeout", "subject": "quay.io"}
    message = "quay.io did not answer in time"
    note("warning", {"event": "warning.raised", **fault, "message": message, "needs": "nobody"})
    rig.clock.jump(timedelta(minutes=20).total_seconds())
    note("info", {"event": "warning.cleared", **fault})
    rig.clock.jump(timedelta(hours=8, minutes=11).total_seconds())
    note("info", {"event": "clock.jumped", "seconds": 28800.4})
    rig.clock.jump(60)
    note("info", {"event": "login.succeeded", "registry": "ghcr.io", "stored_in": "config.json"})
    rig.clock.jump((now() - rig.clock.now()).total_seconds())


@pytest.mark.parametrize(("document", "name"), [(healthy, "healthy"), (worst_day, "error")], ids=["healthy", "worst"])
async def test_it_is_accessible(
    chromium: Browser, rig: Serving, document: Callable[[Serving], None], name: str
) -> None:
    """It passes axe's rules, such as contrast, in light and dark, and fits into 360 pixels and a zoom of 200 %."""
    await past(rig)
    document(rig)
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("renewed", "#past")
        for size, scheme, picture in VIEWS:
            await view.page.set_viewport_size(size)
            await view.page.emulate_media(color_scheme=scheme)
            assert await axe.violations(view.page) == [], (size, scheme)
            assert await view.overflow() == [], (size, scheme)
            if picture:
                await view.shoot(f"page-{name}-{picture}")


async def test_a_keyboard_is_enough(chromium: Browser, rig: Serving) -> None:
    """The first Tab stop skips the header, and the skip link moves the focus to the main part."""
    worst_day(rig)
    async with watching(chromium, rig.url) as view:
        await view.open()
        await view.shows("Action needed")
        await view.page.keyboard.press("Tab")
        assert await view.page.evaluate("document.activeElement.textContent") == "Skip to the registries"
        await view.page.keyboard.press("Enter")
        assert await view.page.evaluate("document.activeElement.id") == "main"


async def test_without_javascript_it_names_the_command(chromium: Browser, rig: Serving) -> None:
    """`registry-agent status` shows the same information."""
    async with watching(chromium, rig.url, java_script_enabled=False) as view:
        await view.open()
        await view.shows("registry-agent status", ".banner")
        assert await view.page.locator("#verdict").is_hidden()
