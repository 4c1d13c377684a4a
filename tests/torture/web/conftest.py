"""Agents to attack: a new one for each crowd, with the usual number of descriptors."""

from collections.abc import Iterator

import pytest

from tests.web_attacks import crowds
from tests.web_attacks.conftest import crowded_target, home
from tests.web_attacks.target import Target

__all__ = ["home"]


@pytest.fixture
def crowded() -> Iterator[Target]:
    with crowded_target(crowds.DESCRIPTORS) as target:
        yield target
