"""The push to `report.url`."""

import pytest

from tests.codes.causes import causes
from tests.codes.world import World
from tests.fakecloud.faults import Answer, Broken, Fault
from tests.rig.waiting import until


@pytest.fixture(scope="module")
def started(shared: World) -> World:
    """One agent, which pushes to another receiver in each test."""
    shared.start()
    return shared


@pytest.fixture
def world(started: World, shared_world: World) -> World:  # noqa: ARG001 - which has started it
    return shared_world


@causes("report_failed")
@pytest.mark.parametrize(
    "fault",
    [Answer(500), Answer(401), Answer(307, headers={"Location": "http://localhost/"}), Broken.RESET],
    ids=["500", "401", "redirect", "connection reset"],
)
def test_a_receiver_that_refuses_the_push(world: World, fault: Fault) -> None:
    """The next push that is accepted shows that the notice has cleared."""
    dashboard, listener = world.dashboard()
    dashboard.fault = fault
    url = f"{listener.url}/status"
    world.set(report={"url": url, "interval_s": 1})
    world.raised("report_failed", url)
    dashboard.fault = None
    world.cleared("report_failed", url)
    until("a document without the notice", lambda: dashboard.documents and _is_content(dashboard.documents[-1]))


@causes("report_failed")
def test_an_unreachable_receiver(world: World) -> None:
    """The agent continues, and pushes once the receiver listens."""
    _, listener = world.dashboard()
    world.down(listener)
    world.set(report={"url": listener.url, "interval_s": 1})
    world.raised("report_failed", listener.url, says="refused")
    world.up(listener)
    world.cleared("report_failed", listener.url)


def _is_content(document: dict[str, object]) -> bool:
    warnings = document["warnings"]
    assert isinstance(warnings, list)
    return "report_failed" not in {warning["code"] for warning in warnings}
