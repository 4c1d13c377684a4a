"""Servers that accept a connection and stay silent. Each one delays only its own login."""

from typing import Final

import pytest

from tests.scenarios.aws import ALONE, SILENT_AWS
from tests.scenarios.fault import Fault, Group
from tests.scenarios.life import Life
from tests.scenarios.registries import SILENT
from tests.scenarios.wire import SILENT_WIRE

GROUP: Final = Group(
    {"test_registry": SILENT, "test_wire": SILENT_WIRE, "test_aws": (*SILENT_AWS, *ALONE)},
    {
        "docker": {"login_timeout_s": 2},
        "aws": {"call_timeout_s": 2},
        "retry": {"first_wait_s": 1, "max_wait_s": 2},
    },
)


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_server_that_does_not_answer(life: Life, fault: Fault) -> None:
    """The attempt ends after the time in the settings. The login follows when the server answers."""
    life.of(fault)
