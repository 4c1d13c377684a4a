"""Which codes a test is about, and that it keeps its word."""

import functools
from collections.abc import Callable

from tests.codes.section7 import SEVERITIES
from tests.codes.world import World

Test = Callable[..., None]


def causes(*codes: str) -> Callable[[Test], Test]:
    """Marks a test: it fails unless it has seen each of `codes` come and go."""
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
