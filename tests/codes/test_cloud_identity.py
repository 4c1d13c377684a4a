"""Google identities that are not available. The machine has one, so the faults happen one by one."""

from typing import Final

import pytest

from tests.codes.causes import causes
from tests.codes.world import World
from tests.fakecloud.faults import Answer, Broken, Fault
from tests.scenarios.other_clouds import OtherClouds


@pytest.fixture(scope="module")
def clouds(shared: World) -> OtherClouds:
    clouds = OtherClouds.of(shared)
    shared.start()
    return clouds


@pytest.fixture
def world(clouds: OtherClouds, shared_world: World) -> World:  # noqa: ARG001 - which has started it
    return shared_world


METADATA: Final[dict[str, Fault]] = {
    "no service account": Answer(404, headers={"Metadata-Flavor": "Google"}),
    "another cloud's metadata server": Answer(404, "<html>404 - Not Found</html>", "text/html"),
    "the connection is reset": Broken.RESET,
}


@causes("google_credentials_missing")
@pytest.mark.parametrize("fault", METADATA)
def test_no_google_identity(world: World, clouds: OtherClouds, fault: str) -> None:
    """The message names the metadata server. The agent logs in as soon as there is an identity."""
    clouds.google.faults["metadata"] = METADATA[fault]
    # Another identity than in the test before, whose token still works.
    account = clouds.new_account()
    door = clouds.gar(account)
    world.raised("google_credentials_missing", door.hostname, says="metadata")
    clouds.google.faults.clear()
    world.agent.wait_logged_in(door.hostname)
    world.cleared("google_credentials_missing", door.hostname)
    row = world.agent.registry(door.hostname)
    assert row is not None
    assert (row["kind"], row["identity"]) == ("gar", f"serviceAccount:{account}")
