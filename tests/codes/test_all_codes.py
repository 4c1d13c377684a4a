"""Nothing of section 7 is left out."""

from agent.model.problems import codes
from agent.model.problems.stored_login import InternalError
from tests.codes.causes import caused_by
from tests.codes.groups import groups, modules
from tests.codes.section7 import SEVERITIES


def test_every_code_is_caused_and_fixed() -> None:
    """What the agent can report, what the interface lists, and what the tests here cause are the same codes."""
    caused = {code for module in modules() for test in vars(module).values() for code in caused_by(test)}
    caused |= {fault.code for group in groups().values() for fault in group.faults}
    assert caused == SEVERITIES.keys()
    # A fault of the agent itself is no part of the interface, and no test can cause one on purpose.
    assert codes().keys() - {InternalError.code} == SEVERITIES.keys()
