"""Faults of Google and Azure."""

from typing import Final

import pytest

from tests.scenarios.fault import Fault, Group
from tests.scenarios.life import Life
from tests.scenarios.other_clouds import OTHER_CLOUDS

GROUP: Final = Group(
    {"test_clouds": OTHER_CLOUDS}, {"retry": {"first_wait_s": 2, "max_wait_s": 4, "rejected_wait_s": 4}}
)


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_fault_of_google_or_azure(life: Life, fault: Fault) -> None:
    """Each failure has its own code, and the login follows when the fault is over."""
    life.of(fault)
