"""Nothing of section 7 is left out."""

import importlib
import pkgutil

import tests.codes
from agent.model.problems import codes
from agent.model.problems.keeping import InternalError
from tests.codes.causes import caused_by
from tests.codes.section7 import SEVERITIES


def test_every_code_is_caused_and_mended() -> None:
    """What the agent can say, what the interface lists, and what the tests here cause are the same codes."""
    names = [module.name for module in pkgutil.iter_modules(tests.codes.__path__) if module.name.startswith("test_")]
    modules = [importlib.import_module(f"tests.codes.{name}") for name in names]
    caused = {code for module in modules for test in vars(module).values() for code in caused_by(test)}
    assert caused == SEVERITIES.keys()
    # A fault of the agent itself is beside the interface, and nobody can cause one on purpose.
    assert codes().keys() - {InternalError.code} == SEVERITIES.keys()
