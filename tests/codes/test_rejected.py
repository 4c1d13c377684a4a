"""A password or key that is refused, and an agent that restarts meanwhile."""

from typing import Final

import pytest

from tests.scenarios.aws import REJECTED_KEYS
from tests.scenarios.fault import Fault, Group
from tests.scenarios.life import Life
from tests.scenarios.registries import REJECTED

GROUP: Final = Group(
    {"test_registry": REJECTED, "test_aws": REJECTED_KEYS}, {"retry": {"rejected_wait_s": 600}}, restarted=True
)


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_rejection(life: Life, fault: Fault) -> None:
    """It is not tried again too early, not even after a restart. A corrected secret is used at once."""
    life.of(fault)
