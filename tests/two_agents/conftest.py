"""Fixtures: an environment with an agent, in which other agents of the same user run too."""

from tests.doctor.conftest import here, world

__all__ = ["here", "world"]
