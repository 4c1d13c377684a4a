"""Secrets that contain each other, or begin alike: each is masked as a whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.observe.redaction import MASK, Scrubber

parts = st.text("abcxyz", min_size=1, max_size=8)


@given(st.text("abcxyz", min_size=6, max_size=12), st.lists(st.tuples(parts, parts), min_size=1, max_size=4))
@pytest.mark.parametrize("padding", ["", " " * 20_000], ids=["a short text", "a long text"])
def test_the_longest_secret_is_masked_first(padding: str, core: str, around: list[tuple[str, str]]) -> None:
    """Otherwise, what surrounds the shorter one would stay readable."""
    nested = [core]
    for before, after in around:
        nested.append(before + nested[-1] + after)
    scrubber = Scrubber()
    scrubber.protect(nested)
    for secret in nested:
        assert scrubber.scrub(f"{secret}{padding}") == f"{MASK}{padding}"


def test_a_short_secret_does_not_break_a_longer_one() -> None:
    """A short one is masked as a word of its own, and may be a word of a longer one."""
    scrubber = Scrubber()
    scrubber.protect(["abc", "pass-abc-word"])
    assert scrubber.scrub("pass-abc-word, abc") == f"{MASK}, {MASK}"
