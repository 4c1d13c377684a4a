"""A control plane that is silent when the agent starts."""

from typing import Any, Final

from tests.codes.causes import causes
from tests.codes.servers import ControlPlane
from tests.codes.world import LOGIN, World
from tests.fakecloud.faults import Broken

RIGHT: Final[dict[str, Any]] = {"name": "the-secret", "hostname": "registry.invalid", "enabled": False, **LOGIN}


@causes("secrets_unavailable", "secret_invalid")
def test_a_secrets_url_that_does_not_answer_at_first(world: World) -> None:
    """Nothing waits for it. When it answers later, an invalid secret does not affect the others."""
    door = world.registry("given")
    plane = ControlPlane([RIGHT, {**RIGHT, "name": "bad", "password": 7}])
    plane.fault = Broken.SILENT
    listener = world.serve(plane.handle)
    url = f"{listener.url}/secrets"
    world.start({"secrets": {"url": url, "poll_interval_s": 0.3}})
    world.agent.wait_logged_in(door.hostname, timeout=5)
    world.raised("secrets_unavailable", url, says="10 s", timeout=20)
    assert world.agent.status()["phase"] == "running"
    plane.fault = None
    world.down(listener)  # ends the request that hangs
    world.up(listener)
    world.cleared("secrets_unavailable", url)
    world.raised("secret_invalid", f"{url}#bad")
    plane.secrets = [RIGHT]
    world.cleared("secret_invalid", f"{url}#bad")
