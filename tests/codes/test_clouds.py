"""Faults of Google and Azure. The page, `status` and `doctor` report each of them and its fix in the same words."""

from typing import Final

import pytest

from tests.codes.conftest import Reported
from tests.scenarios.fault import Fault, Group
from tests.scenarios.other_clouds import OTHER_CLOUDS

# Each retry changes the status, and the page draws each change. More of them would keep a slow browser from reading it.
GROUP: Final = Group(
    {"test_clouds": OTHER_CLOUDS}, {"retry": {"first_wait_s": 10, "max_wait_s": 20, "rejected_wait_s": 20}}
)


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_fault_of_google_or_azure(reported: Reported, fault: Fault) -> None:
    """Each failure has its own code, and the login follows when the fault is over."""
    reported.by_all(fault)
