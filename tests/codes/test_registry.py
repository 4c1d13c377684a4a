"""Faults of registries. Each one has its own code, and the login follows when it is over."""

from typing import Final

import pytest

from tests.scenarios.fault import Fault, Group
from tests.scenarios.life import Life
from tests.scenarios.registries import REGISTRIES
from tests.scenarios.wire import WIRE

GROUP: Final = Group(
    {"test_registry": REGISTRIES, "test_wire": WIRE},
    {"docker": {"login_timeout_s": 30}, "retry": {"first_wait_s": 2, "max_wait_s": 4, "rejected_wait_s": 4}},
)


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_fault_of_a_registry(life: Life, fault: Fault) -> None:
    """Only the login of this registry fails. It follows by itself when the fault is over."""
    life.of(fault)
