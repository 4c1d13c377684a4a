"""The list of equivalent mutants fits the code."""

import importlib

import pytest

from tests.torture.mutation.equivalent import EQUIVALENT


@pytest.mark.parametrize("name", EQUIVALENT)
def test_each_function_in_the_list_exists(name: str) -> None:
    """An entry for a removed function would excuse nothing, and hide that its successor was not checked."""
    module, *path = name.split(".")[2:]
    found: object = importlib.import_module(".".join((*name.split(".")[:2], module)))
    for part in path:
        found = getattr(found, part)
    assert callable(found)
    assert all(reason and line == line.strip() for line, reason in EQUIVALENT[name].items())
