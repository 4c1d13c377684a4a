"""Commands, files and credential helpers that give no password. Each login works once its source does."""

from typing import Final

import pytest

from tests.codes.conftest import Reported
from tests.scenarios.fault import Fault, Group
from tests.scenarios.passwords import CALL_S, PASSWORDS

# More retries would keep a slow browser from reading the page, which draws each.
GROUP: Final = Group(
    {"test_passwords": PASSWORDS},
    {"aws": {"call_timeout_s": CALL_S}, "retry": {"first_wait_s": 10, "max_wait_s": 20, "rejected_wait_s": 20}},
)


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_source_without_a_password(reported: Reported, fault: Fault) -> None:
    """All reports name the source, the reason and the fix, and nothing that the source printed."""
    reported.by_all(fault)
