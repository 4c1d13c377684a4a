"""Faults of the machine's own identity. All registries of a cloud share it, so the faults happen one by one."""

from typing import Final

import pytest

from tests.codes.world import World
from tests.scenarios.fault import Fault
from tests.scenarios.other_clouds import MACHINE, OtherClouds
from tests.scenarios.readers import report_one

ONE_BY_ONE: Final = MACHINE


@pytest.fixture(scope="module")
def clouds(shared: World) -> OtherClouds:
    clouds = OtherClouds.of(shared)
    shared.start()
    return clouds


@pytest.fixture
def world(clouds: OtherClouds, shared_world: World) -> World:  # noqa: ARG001 - which has started it
    return shared_world


@pytest.mark.parametrize("fault", ONE_BY_ONE, ids=lambda fault: fault.name)
def test_identity_of_the_machine(world: World, fault: Fault) -> None:
    """The message names what is missing and for whom. The agent logs in as soon as it is there."""
    report_one(world, fault)
