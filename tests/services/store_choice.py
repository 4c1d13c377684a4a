"""A choice of the store that a test makes."""

from collections.abc import Hashable


class FixedChoice:
    """Docker asks the agent if `memory` is true. A test may change it at any time."""

    def __init__(self, *, memory: bool = False) -> None:
        self.memory = memory

    async def wanted(self) -> bool:
        return self.memory

    def signature_now(self) -> Hashable:
        return self.memory
