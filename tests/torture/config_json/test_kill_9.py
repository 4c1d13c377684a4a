"""`kill -9` at any moment of a login storm: the real agent, the real docker CLI, a real registry."""

from random import Random

import pytest

from tests.rig.waiting import throughout, until
from tests.torture import campaign
from tests.torture.config_json.site import Keeper, Site

_SHARES = {"plain": 600, "linked": 200, "mounted": 200}
_AIMED = 0.3
"""The share of kills that wait a moment for a write to begin. A write takes only a few milliseconds."""


def kill(keeper: Keeper, chance: Random, *, early: bool) -> int:
    """Start the agent, kill it during many logins, and return how many temporary files it left.

    With `early`, it is killed while it starts. Otherwise it gets all its logins first, and must have removed what
    killed agents left. The file is complete all the time.
    """
    if early:
        keeper.flip()
    keeper.agent.start()
    if not early:
        keeper.settled()
        assert not keeper.file_faults()
        assert not keeper.leftovers()
        before = keeper.real.stat().st_mtime_ns
        keeper.flip()
        until("the storm", lambda: keeper.real.stat().st_mtime_ns != before)
    throughout(chance.uniform(0, 1.0 if early else 0.3), lambda: not keeper.file_faults())
    keeper.kill(in_a_write=chance.random() < _AIMED)
    assert not keeper.faults(), keeper.faults()
    return len(set(keeper.leftovers()))


def storm(site: Site, layout: str, kills: int) -> str:
    """Kill `kills` agents, every second one after it got all its logins, and return the figures."""
    chance, left = campaign.chance(f"kill -9 {layout}"), 0
    with site.keeper(layout) as keeper:
        keeper.flip()
        for number in range(kills):
            left += kill(keeper, chance, early=number % 2 == 0)
        keeper.agent.start()
        keeper.settled()
        assert not keeper.file_faults()
    return f"{kills} kills, {left} left a temporary file; nothing foreign lost, every own login known and back"


@pytest.mark.parametrize("layout", _SHARES)
def test_a_kill_in_a_login_storm_loses_nothing(site: Site, layout: str) -> None:
    """It stays valid JSON with all that is not ours, its mode and owner. A start restores our logins and cleans up."""
    storm(site, layout, 2)


@pytest.mark.torture
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("layout", _SHARES)
def test_a_thousand_kills(site: Site, capsys: pytest.CaptureFixture[str], layout: str) -> None:
    """The same, a thousand times in all."""
    campaign.say(capsys, f"kill -9 ({layout})", storm(site, layout, campaign.times(_SHARES[layout])))
