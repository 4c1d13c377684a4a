"""Crowds of connections that return several times and stay longer than the agent waits for a client."""

import pytest

from tests.torture.campaign import factor, say, times
from tests.web_attacks import crowds
from tests.web_attacks.crowds import Attack
from tests.web_attacks.target import Target
from tests.web_attacks.test_crowds import everything_at_once

pytestmark = [pytest.mark.torture, pytest.mark.timeout(1800)]

_HOLD_S = 35.0
"""Longer than a client may take to read an answer."""
_ROUNDS = 5
_CREEP_MB = 20


@pytest.mark.parametrize("attack", crowds.CROWDS, ids=lambda attack: attack.__name__)
def test_crowds_come_again_and_again(crowded: Target, attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    """Three thousand at a time. Other clients are served, and the memory after the last crowd is as after the first."""
    number = min(3000, times(30_000))
    seen = [crowds.endure(crowded, attack, number, _HOLD_S * min(1, factor())) for _ in range(times(_ROUNDS))]
    say(capsys, f"{len(seen)} times {number} of {attack.__name__}", str(seen[-1]))
    assert seen[-1].after_mb - seen[0].after_mb < _CREEP_MB, "\n".join(map(str, seen))


def test_requests_of_a_gigabyte(crowded: Target, capsys: pytest.CaptureFixture[str]) -> None:
    """Bodies, headers, paths, chunks and trailers, all at once, are refused and not kept."""
    endured = everything_at_once(crowded, max(16 << 20, round(crowds.GIGABYTE * min(1, factor()))))
    say(capsys, "requests of 1 GB each, all at once", str(endured))
