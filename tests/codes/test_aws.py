"""What AWS can do to a login on ECR."""

from typing import Final

import pytest

from tests.scenarios.aws import AWS
from tests.scenarios.fault import Fault, Group
from tests.scenarios.life import Life

# Each question to AWS costs some CPU time: what fails is asked again only now and then.
GROUP: Final = Group(
    {"test_aws": AWS},
    {"aws": {"call_timeout_s": 60}, "retry": {"first_wait_s": 8, "max_wait_s": 8, "rejected_wait_s": 8}},
)


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_fault_of_aws(life: Life, fault: Fault) -> None:
    """Each call's refusals are reported by their own code, and the login comes when the fault has gone."""
    life.of(fault)
