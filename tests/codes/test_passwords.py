"""Commands, files and credential helpers that give no password. Each login works once its source does."""

from typing import Final

import pytest

from tests.scenarios.fault import Fault, Group
from tests.scenarios.life import Life
from tests.scenarios.passwords import CALL_S, PASSWORDS

GROUP: Final = Group({"test_passwords": PASSWORDS}, {"aws": {"call_timeout_s": CALL_S}})


@pytest.mark.parametrize("fault", GROUP.faults, ids=lambda fault: fault.name)
def test_a_source_without_a_password(life: Life, fault: Fault) -> None:
    """The message names the source and the reason, and nothing that it printed."""
    life.of(fault)
