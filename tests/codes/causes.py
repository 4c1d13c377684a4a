"""Declares which codes a test causes, and checks that it does."""

import functools
from collections.abc import Callable

from tests.codes.severities import SEVERITIES
from tests.codes.world import World

Test = Callable[..., None]


def causes(*codes: str) -> Callable[[Test], Test]:
    """Mark a test. It fails unless each of `codes` was raised and cleared."""
    assert SEVERITIES.keys() >= set(codes)

    def mark(test: Test) -> Test:
        @functools.wraps(test)
        def kept(world: World, *args: object, **kwargs: object) -> None:
            test(world, *args, **kwargs)
            world.has_seen(frozenset(codes))

        kept.causes = codes  # type: ignore[attr-defined] # functions take attributes
        return kept

    return mark


def caused_by(test: object) -> frozenset[str]:
    return frozenset(getattr(test, "causes", ()))
