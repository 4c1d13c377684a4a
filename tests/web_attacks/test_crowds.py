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
def test_everyone_else_is_served(crowded: Target, attack: Attack) -> None:
    """As many connections that want no answer as the agent has descriptors: others get theirs, a renewal too."""
    crowds.endure(crowded, attack, crowds.FEW_DESCRIPTORS, hold_s=0.3)


def test_a_request_of_any_size_costs_nothing(crowded: Target) -> None:
    """Bodies, headers, paths, chunks and trailers of 24 MB, all at once: refused, and not kept."""
    everything_at_once(crowded, 24 << 20)


def everything_at_once(target: Target, size: int) -> Endured:
    """Each of the bombs, together; how the agent was."""
    bombs = crowds.bombs(size)
    before = target.memory_mb()
    with Pulse(target.port, target.socket, target.pid) as pulse, ThreadPoolExecutor(len(bombs)) as pool:
        dropping = {name: pool.submit(crowds.drop, target, bomb) for name, bomb in bombs.items()}
        dropped = {name: future.result() for name, future in dropping.items()}
        held = target.memory_mb()
        heard = pulse.stop()
    # Of what is read to its end the answer can be read; what is cut off in the middle need not have one.
    refusals = {name: dropped[name].answer for name in ("a body", "a body in chunks", "a body without the token")}
    assert [answer.split()[1] for answer in refusals.values()] == ["413", "413", "401"], refusals
    assert all(" 202 " not in each.answer for each in dropped.values()), dropped
    assert all(dropped[name].taken < 8 << 20 for name in ("headers", "one header", "a path", "trailers")), dropped
    endured = Endured(heard, before, held, target.memory_mb(), target.descriptors())
    endured.check()
    return endured
