"""Faults of AWS during a login to ECR."""

from typing import Final

import pytest

from tests.scenarios.aws import AWS
from tests.scenarios.fault import Fault, Group
from tests.scenarios.life import Life

# Each request to AWS costs CPU time, so failed ones are retried slowly.
GROUP: Final = Group(
    {"test_aws": AWS},
    {"aws": {"call_timeout_s": 60}, "retry": {"first_wait_s": 8, "max_wait_s": 8, "rejected_wait_s": 8}},
)


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_fault_of_aws(life: Life, fault: Fault) -> None:
    """Each failure of a call has its own code, and the login follows when the fault is over."""
    life.of(fault)
