"""The groups of faults, and the tests that cause a fault themselves."""

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import tests.codes
from tests.scenarios.fault import Group


def modules() -> Iterator[ModuleType]:
    for module in pkgutil.iter_modules(tests.codes.__path__):
        if module.name.startswith("test_"):
            yield importlib.import_module(f"tests.codes.{module.name}")


def groups() -> dict[str, Group]:
    """The groups by the name of their test module."""
    found = {module.__name__.rpartition(".")[2]: getattr(module, "GROUP", None) for module in modules()}
    return {name: group for name, group in found.items() if group is not None}
