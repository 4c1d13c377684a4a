"""Everything that a person can read during a fault. Each must report the fault and its fix in the same words."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, Page, sync_playwright

from tests.codes.world import Warning_, World
from tests.doctor.machine import Doctor, Link, Told
from tests.rig.waiting import PATIENCE_S
from tests.scenarios.fault import Fault
from tests.scenarios.window import address_of

_EXAMINED_S = 170.0


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium. While it runs, no test of this process can run an event loop."""
    sandbox = os.geteuid() != 0  # Chromium's sandbox does not work as root
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), chromium_sandbox=sandbox)
        yield chromium
        chromium.close()


@dataclass(frozen=True, slots=True)
class Readers:
    """The output of `status`, the text and the first sentence of the page, and the findings of doctor."""

    status: str
    page: str
    sentence: str
    doctor: Told

    def report(self, warning: Warning_, link: str) -> None:
        """Fail unless each of them reports the warning."""
        assert warning["message"] in self.status, self.status
        assert warning["hint"] in self.status, self.status
        assert "all is well" not in self.status
        assert _words(warning["message"]).lower() in self.page, self.page
        assert _words(warning["hint"].replace("`", "")).lower() in self.page, self.page  # it shows code as code
        assert warning["code"] in self.page
        assert "all is well" not in self.sentence
        found = found_by(self.doctor, link, warning["code"], warning["subject"])
        assert found["needs"] == warning["needs"]
        if warning["needs"] == "nobody":  # a hint with something to do would contradict it
            assert warning["hint"].startswith(("wait", "no action needed")), warning


@contextmanager
def page_of(world: World, chromium: Browser) -> Iterator[Page]:
    """The page of the running agent. It follows the agent until the end."""
    with address_of(world.agent.socket, world.here) as url, chromium.new_page() as page:
        page.goto(url)
        yield page


def read(world: World, page: Page, *args: str) -> Readers:
    """Read everything once. `args` are those of doctor."""
    shown = world.agent.command("status", "--socket", str(world.agent.socket), timeout=60)
    assert shown.returncode == 0, shown.stderr
    for warning in world.agent.status()["warnings"]:
        page.get_by_text(warning["message"]).first.wait_for(timeout=PATIENCE_S * 1000)
    body, sentence = page.locator("body").inner_text(), page.locator("#sentence").inner_text()
    told = Doctor(world)(*args, timeout=_EXAMINED_S)
    return Readers(_words(shown.stdout), _words(body).lower(), _words(sentence).lower(), told)


def look(world: World, chromium: Browser) -> Readers:
    """Read everything once from the running agent."""
    with page_of(world, chromium) as page:
        return read(world, page)


def report_one(world: World, page: Page, fault: Fault) -> None:
    """Cause a fault while the agent runs. All of them report it in the same words, and it ends with its fix."""
    caused = fault.cause(world)
    warning = world.raised(fault.code, caused.subject, says=fault.says)
    assert fault.hint in warning["hint"], warning
    assert warning["needs"] == fault.needs, warning
    assert fault.link is not None
    readers = read(world, page, caused.subject)
    readers.report(warning, fault.link)
    assert fault.hint in found_by(readers.doctor, fault.link, fault.code, caused.subject)["fix"]
    caused.fix()
    world.agent.wait_logged_in(*caused.logins)
    world.cleared(fault.code, caused.subject)


def found_by(told: Told, name: str, code: str, subject: str) -> Link:
    """The broken link with this name and code, either of `subject` or shared by all registries."""
    chains: list[list[Link]] = [told.document["links"]]
    chains += [each["links"] for each in told.document["registries"] if each["hostname"] == subject]
    links = [link for chain in chains for link in chain if (link["name"], link["code"]) == (name, code)]
    # Several files may have the same code. Each link names its file.
    links = [link for link in links if "/" not in subject or subject.partition("#")[0] in link["seen"]]
    assert links, (name, code, told.document)
    assert links[0]["outcome"] == "broken"
    return links[0]


def first_of(told: Told, hostname: str) -> str:
    """The link that doctor shows first for this registry: the first one that has a code."""
    (chain,) = (each["links"] for each in told.document["registries"] if each["hostname"] == hostname)
    return next(str(link["name"]) for link in chain if link["outcome"] == "broken" and link["code"] is not None)


def _words(text: str) -> str:
    return re.sub(r"\s+", " ", text)
