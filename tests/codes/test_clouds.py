"""Faults of Google and Azure. The page, `status` and `doctor` report each of them and its fix in the same words."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.matrix import Fault as Row
from tests.rig.needs import need
from tests.scenarios.fault import Fault, Group
from tests.scenarios.life import Life
from tests.scenarios.other_clouds import OTHER_CLOUDS
from tests.scenarios.readers import Readers, browser, found_by, look

# Each retry changes the status, and the page draws each change. More of them would keep a slow browser from reading it.
GROUP: Final = Group(
    {"test_clouds": OTHER_CLOUDS}, {"retry": {"first_wait_s": 10, "max_wait_s": 20, "rejected_wait_s": 20}}
)


@dataclass(frozen=True, slots=True)
class Reported:
    """One life of an agent, and all reports while the faults lasted."""

    life: Life
    readers: Readers


@pytest.fixture(scope="module")
def reported(here: Here, tmp_path_factory: pytest.TempPathFactory, faults: list[Row]) -> Iterator[Reported]:
    need("docker", "chromium")
    with hunted(here, tmp_path_factory.mktemp("clouds") / "home") as world:
        life = Life(world, GROUP)
        life.start()
        with browser() as chromium:
            readers = look(world, chromium)
        life.fix()
        yield Reported(life, readers)
    faults.extend(life.rows())


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_fault_of_google_or_azure(reported: Reported, fault: Fault) -> None:
    """Each failure has its own code, and the login follows when the fault is over."""
    seen = reported.life.of(fault)
    assert seen.warning is not None
    assert fault.link is not None
    reported.readers.report(seen.warning, fault.link)
    assert fault.hint in found_by(reported.readers.doctor, fault.link, fault.code, seen.caused.subject)["fix"]
