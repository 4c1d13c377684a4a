"""Faults of the machine's own identity. All registries of a cloud share it, so the faults happen one by one."""

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Page

from tests.codes.world import World
from tests.rig.needs import need
from tests.scenarios.fault import Fault
from tests.scenarios.other_clouds import MACHINE, OtherClouds
from tests.scenarios.readers import browser, page_of, report_one

ONE_BY_ONE: Final = MACHINE


@pytest.fixture(scope="module")
def clouds(shared: World) -> OtherClouds:
    clouds = OtherClouds.of(shared)
    shared.start()
    return clouds


@pytest.fixture(scope="module")
def page(clouds: OtherClouds, shared: World) -> Iterator[Page]:  # noqa: ARG001 - which has started the agent
    need("chromium")
    with browser() as chromium, page_of(shared, chromium) as page:
        yield page


@pytest.fixture
def world(clouds: OtherClouds, shared_world: World) -> World:  # noqa: ARG001 - which has started it
    return shared_world


@pytest.mark.parametrize("fault", ONE_BY_ONE, ids=lambda fault: fault.name)
def test_identity_of_the_machine(world: World, page: Page, fault: Fault) -> None:
    """The message names what is missing and for whom. The agent logs in as soon as it is there."""
    report_one(world, page, fault)
