"""A secret value that cannot be printed by accident."""

import hmac
from typing import Final, final


@final
class Sensitive:
    """A secret string. Only `reveal()` returns it. `str`, `repr`, `format`, logging and JSON show nothing of it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value: Final = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return "Sensitive(...)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sensitive):
            return NotImplemented
        # Constant time, so the duration of a comparison reveals nothing.
        ours, theirs = (v.encode("utf-8", "surrogatepass") for v in (self._value, other._value))
        return hmac.compare_digest(ours, theirs)

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str:
        raise TypeError("a Sensitive value cannot be pickled")
