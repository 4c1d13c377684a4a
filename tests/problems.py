"""Expect a problem, as `pytest.raises` expects an exception."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import pytest

from agent.model.problem import Problem, ProblemError

P = TypeVar("P", bound=Problem)


class Caught(Generic[P]):
    """`value` is the problem that was raised, once the block has ended."""

    value: P


@contextmanager
def raises_problem(*kinds: type[P], match: str | None = None) -> Iterator[Caught[P]]:
    """Fail unless the block raises a problem of one of these classes, with the pattern `match` in its message."""
    caught: Caught[P] = Caught()
    with pytest.raises(ProblemError, match=match) as raised:
        yield caught
    assert isinstance(raised.value.problem, kinds)
    caught.value = raised.value.problem
