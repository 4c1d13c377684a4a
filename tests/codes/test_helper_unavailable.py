"""Logins in memory, where docker cannot ask the agent for them."""

from tests.codes.causes import causes
from tests.codes.test_helper_store import HELPER, asking
from tests.codes.world import PASSWORD, World
from tests.rig.helper import NAME, install_helper, password_from
from tests.rig.waiting import until


@causes("helper_unavailable")
def test_a_credential_helper_that_docker_does_not_find(world: World) -> None:
    """The logins are in the file. As soon as the program is installed, the file has only lines."""
    door, good = world.registry("door"), world.good.hostname
    world.start(HELPER)
    world.raised("helper_unavailable", NAME, says="docker does not find")
    world.agent.wait_logged_in(door.hostname)
    assert set(world.agent.docker_config()["auths"]) == {door.hostname, good}

    helper = install_helper(world.home / "programs")
    world.cleared("helper_unavailable", NAME)
    lines = {"auths": {}, "credHelpers": {door.hostname: "registry-agent", good: "registry-agent"}}
    until("lines only", lambda: world.agent.docker_config() == lines)
    world.agent.wait_for("memory", lambda status: {row["stored_in"] for row in status["registries"]} == {"memory"})
    assert password_from(helper, door.hostname, asking(world)) == PASSWORD
