"""The tests here cover all codes that `severities.py` lists."""

from agent.model.problems import codes
from agent.model.problems.stored_login import InternalError
from tests.codes.causes import caused_by
from tests.codes.groups import groups, modules
from tests.codes.severities import SEVERITIES


def test_every_code_is_caused_and_fixed() -> None:
    """The agent can report exactly the codes that the interface lists and that the tests here cause."""
    caused = {code for module in modules() for test in vars(module).values() for code in caused_by(test)}
    caused |= {fault.code for group in groups().values() for fault in group.faults}
    caused |= {fault.code for module in modules() for fault in getattr(module, "ONE_BY_ONE", ())}
    assert caused == SEVERITIES.keys()
    # A bug of the agent is not part of the interface, and no test can cause one on purpose.
    assert codes().keys() - {InternalError.code} == SEVERITIES.keys()
