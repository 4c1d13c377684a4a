"""The agents that the short form attacks."""

from tests.web_attacks.conftest import crowded, home

__all__ = ["crowded", "home"]
