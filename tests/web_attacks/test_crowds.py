"""Crowds of connections: the loop keeps running, memory stays flat, and everyone else is served.

`make torture` sends three thousand at a time to an agent with the usual 1,024 descriptors.
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.web_attacks import crowds
from tests.web_attacks.crowds import Attack, Endured
from tests.web_attacks.pulse import Pulse
from tests.web_attacks.target import Target


@pytest.mark.parametrize("attack", crowds.CROWDS, ids=lambda attack: attack.__name__)
def test_all_other_clients_are_served(crowded: Target, attack: Attack) -> None:
    """The attackers open as many connections as the agent has descriptors. Other requests work, also a renewal."""
    crowds.endure(crowded, attack, crowds.FEW_DESCRIPTORS, hold_s=0.3)


def test_a_request_of_any_size_costs_no_memory(crowded: Target) -> None:
    """Bodies, headers, paths, chunks and trailers of 24 MB, all at once, are refused and not kept."""
    everything_at_once(crowded, 24 << 20)


def everything_at_once(target: Target, size: int) -> Endured:
    """Send all of the oversized requests together, and return how the agent coped."""
    bombs = crowds.bombs(size)
    before = target.memory_mb()
    with Pulse(target.port, target.socket, target.pid) as pulse, ThreadPoolExecutor(len(bombs)) as pool:
        dropping = {name: pool.submit(crowds.drop, target, bomb) for name, bomb in bombs.items()}
        dropped = {name: future.result() for name, future in dropping.items()}
        held = target.memory_mb()
        heard = pulse.stop()
    # A request that the agent reads to its end gets an answer. One that is cut off in the middle may get none.
    refusals = {name: dropped[name].answer for name in ("a body", "a body in chunks", "a body without the token")}
    assert [answer.split()[1] for answer in refusals.values()] == ["413", "413", "401"], refusals
    assert all(" 202 " not in each.answer for each in dropped.values()), dropped
    assert all(dropped[name].taken < 8 << 20 for name in ("headers", "one header", "a path", "trailers")), dropped
    endured = Endured(heard, before, held, target.memory_mb(), target.descriptors())
    endured.check()
    return endured
