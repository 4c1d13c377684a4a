"""Everything that can go wrong, one class per warning code, in the order of docs/warnings.md."""

from typing import Final

from agent.model.problem import Problem
from agent.model.problems import aws, environment, registry, stored_login

_MODULES: Final = (environment, registry, aws, stored_login)


def codes() -> dict[str, type[Problem]]:
    """Every warning code and its class."""
    named = (each for room in _MODULES for each in vars(room).values())
    found = (each for each in named if isinstance(each, type) and issubclass(each, Problem))
    return {cls.code: cls for cls in found if Problem in cls.__bases__}
