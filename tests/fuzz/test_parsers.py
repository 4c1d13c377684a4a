"""Every parser of outside text gets inputs that are almost valid. `make torture` gives each a million."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.all_targets import NAMES, all_targets
from tests.fuzz.mutation import mutated, pumped
from tests.fuzz.target import SIZE, Target, TooSlowError, run

_INPUTS = 150


def test_every_target_is_run() -> None:
    """No parser is left out of the list of names."""
    assert sorted(all_targets()) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_seeds_hold(name: str) -> None:
    """Valid inputs keep every promise."""
    target = all_targets()[name]
    for seed in target.seeds:
        run(target, seed)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_crashes_a_parser(name: str) -> None:
    """For any input, a parser returns a valid result, or raises its declared error, which shows no secret."""
    target = all_targets()[name]
    inputs = st.one_of(
        st.randoms(use_true_random=False).map(lambda random: mutated(target, random)),
        st.binary(max_size=200),
        st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    )

    @settings(suppress_health_check=list(HealthCheck), database=None)
    @given(inputs)
    def check(data: bytes) -> None:
        run(target, data)

    check()
    random = Random(name)  # noqa: S311 - it guards nothing
    for _ in range(_INPUTS):
        run(target, mutated(target, random))


@pytest.mark.parametrize("name", NAMES)
def test_no_parser_is_slow(name: str) -> None:
    """64 KB of one repeated word, or of many different items, take at most a tenth of a second times `slowness`."""
    target = all_targets()[name]
    for word in target.words:
        run(target, pumped(word))
    for heap in target.heaps:
        run(target, heap(SIZE))


def test_a_slow_parser_is_found_out() -> None:
    """A parser that takes quadratic time misses the deadline."""

    def quadratic(data: bytes) -> None:
        while data:
            data = data[8:] + b""
            assert data.count(b"b") == 0

    target = Target("quadratic", quadratic, (b"a",), (b"a",), slowness=0.1)
    with pytest.raises(TooSlowError):
        run(target, pumped(b"a"))


def test_mutations_repeat() -> None:
    """The same seed gives the same inputs, so a failure can be reproduced."""
    target = all_targets()["host-name"]
    inputs = [[mutated(target, random) for _ in range(20)] for random in (Random(1), Random(1))]  # noqa: S311 - as above
    assert inputs[0] == inputs[1]
