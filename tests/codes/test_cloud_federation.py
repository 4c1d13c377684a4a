"""Faults of an identity token of the platform, which Google and Azure exchange. They happen one by one."""

from collections.abc import Iterator
from typing import Final

import pytest
from playwright.sync_api import Page

from tests.codes.world import World
from tests.rig.needs import need
from tests.scenarios.fault import Fault
from tests.scenarios.other_clouds import PLATFORM, OtherClouds
from tests.scenarios.readers import browser, page_of, report_one

ONE_BY_ONE: Final = PLATFORM


@pytest.fixture(scope="module")
def clouds(shared: World) -> OtherClouds:
    clouds = OtherClouds.of(shared)
    clouds.federate()
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
def test_identity_token_of_the_platform(world: World, page: Page, fault: Fault) -> None:
    """The message names the provider or the application that refuses it. The agent logs in once it is accepted."""
    report_one(world, page, fault)
