"""All warning codes, one problem class per code, in the order of docs/warnings.md."""

from typing import Final

from agent.model.problem import Problem
from agent.model.problems import aws, azure, environment, google, password_source, registry, stored_login

_MODULES: Final = (environment, registry, aws, google, azure, password_source, stored_login)


def codes() -> dict[str, type[Problem]]:
    """Return each warning code with its class."""
    members = (each for module in _MODULES for each in vars(module).values())
    classes = (each for each in members if isinstance(each, type) and issubclass(each, Problem))
    # Only direct subclasses define a code. The others (such as NotARegistry) refine one, and share its code.
    return {cls.code: cls for cls in classes if Problem in cls.__bases__}
