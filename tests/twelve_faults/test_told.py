"""Each of the twelve faults is told right, with its mend, by the page, by `status` and by `doctor`."""

from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser

from tests.codes.world import Warning_, World
from tests.doctor.patient import Doctor
from tests.twelve_faults.faults import TWELVE, Told
from tests.twelve_faults.window import address_of


@pytest.mark.parametrize("name", TWELVE)
def test_it_is_told_right(world: World, stack: ExitStack, chromium: Browser, name: str) -> None:
    """What happened and what mends it, in the same words wherever a person looks."""
    told = TWELVE[name](world, stack)
    warning = world.raised(told.code, told.subject, says=told.what, timeout=30)
    assert told.fix in warning["hint"]
    _status_tells(world, warning)
    _page_tells(world, warning, chromium)
    _doctor_tells(world, told, warning)


def _status_tells(world: World, warning: Warning_) -> None:
    shown = world.agent.command("status", "--socket", str(world.agent.socket))
    assert shown.returncode == 0, shown.stderr
    assert "all is well" not in shown.stdout
    words = " ".join(shown.stdout.split())
    assert warning["message"] in words, shown.stdout
    assert warning["hint"] in words, shown.stdout


def _page_tells(world: World, warning: Warning_, chromium: Browser) -> None:
    """The sentence at the top says that not all is well; what, and what to do, stands below."""
    with address_of(world.agent.socket, world.here) as url, chromium.new_page() as page:
        page.goto(url)
        page.get_by_text(warning["message"]).first.wait_for(timeout=15_000)
        words = " ".join(page.locator("body").inner_text().split()).lower()
        assert " ".join(warning["hint"].split()).lower() in words
        assert warning["code"] in words
        assert "all is well" not in page.locator("#sentence").inner_text().lower()


def _doctor_tells(world: World, told: Told, warning: Warning_) -> None:
    links = [each for each in Doctor(world)().all_links() if (each["name"], each["code"]) == (told.link, told.code)]
    assert links, told
    assert links[0]["outcome"] == "broken"
    assert told.fix in links[0]["fix"]
    assert links[0]["needs"] == warning["needs"]
