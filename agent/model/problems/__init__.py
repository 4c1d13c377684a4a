"""All warning codes, one problem class per code, in the order of docs/warnings.md."""

from importlib import import_module
from typing import Final

from agent.model.problem import Problem

_MODULES: Final = ("environment", "registry", "aws", "google", "azure", "password_source", "stored_login")


def codes() -> dict[str, type[Problem]]:
    """Return each warning code with its class. Loads them all: most environments need few of them."""
    modules = (import_module(f"{__name__}.{name}") for name in _MODULES)
    members = (each for module in modules for each in vars(module).values())
    classes = (each for each in members if isinstance(each, type) and issubclass(each, Problem))
    # Only direct subclasses define a code. The others (such as NotARegistry) refine one, and share its code.
    return {cls.code: cls for cls in classes if Problem in cls.__bases__}
