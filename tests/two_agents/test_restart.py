"""Clients that know an agent from before its restart."""

from tests.codes.world import World


def test_a_revision_from_before_a_restart_is_never_the_current_one(world: World) -> None:
    """Otherwise a long poll with `since` could wait although the status differs from what the client knows."""
    world.start()
    world.nothing_stopped()
    before = world.agent.status()["revision"]
    assert world.agent.end() == 0
    first = world.start().status()["revision"]
    world.nothing_stopped()
    now = world.agent.status()["revision"]
    assert first <= now < 2**31
    assert not first <= before <= now
