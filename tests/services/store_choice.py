"""A choice of the store that a test makes."""

from collections.abc import Hashable


class FixedChoice:
    """Docker asks the agent if `memory` is true. A test may change it at any time.

    `installed`: docker finds the agent's helper, so it can ask.
    """

    def __init__(self, *, memory: bool = False) -> None:
        self.memory = memory
        self.installed = True

    async def wanted(self) -> bool:
        return self.memory

    async def possible(self) -> bool:
        return self.installed

    def signature_now(self) -> Hashable:
        return self.memory
