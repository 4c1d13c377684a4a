"""Debian 13: systemd 257 and Python 3.13."""

from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Final

import pytest

from tests.boot.conftest import DROP_INS, SERVICE, Boot, secret
from tests.boot.test_work_under_systemd import give, wait_logged_in
from tests.prepare.steps import DEBIAN_13_ENABLED
from tests.rig.needs import need, prepared
from tests.rig.waiting import until

_STARTED: Final = f"{SERVICE}: Scheduled restart job"


@pytest.fixture(scope="module")
def newer() -> Path:
    need("systemd-nspawn", "nsenter", "ip")
    return prepared(DEBIAN_13_ENABLED)


def test_the_agent_works_there_too(boot: Boot, newer: Path, registry: str) -> None:
    """The same command installs it. It starts at boot, logs in, and systemd logs no warning about its units."""
    machine = boot(newer).wait_for_boot().wait_for(SERVICE)
    assert int(machine.must("systemctl", "--version").split()[1]) >= 254
    give(machine, secret(registry))
    wait_logged_in(machine, registry)
    assert machine.journal("--unit=registry-agent@*", "--priority=warning") == []
    exposure = machine.must("systemd-analyze", "security", "--no-pager", SERVICE).splitlines()[-1]
    assert float(exposure.rpartition(": ")[2].split()[0]) <= 1.5, exposure


def test_pauses_between_restarts_grow(boot: Boot, newer: Path) -> None:
    """From systemd 254 on, an agent that keeps crashing is restarted less and less often, but never given up."""
    machine = boot(newer).wait_for_boot().wait_for(SERVICE)
    assert machine.property("RestartSteps", SERVICE) == "6"
    assert machine.property("RestartMaxDelayUSec", SERVICE) == "1min"
    # A hundred times shorter than in the unit. They grow in the same way.
    lines = ["ExecStartPre=", "ExecStart=", "ExecStart=/bin/false", "RestartSec=20ms", "RestartMaxDelaySec=600ms"]
    machine.write(f"{DROP_INS}/test.conf", "\n".join(["[Service]", *lines, ""]))
    machine.must("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", SERVICE)
    until("ten restarts", lambda: int(machine.property("NRestarts", SERVICE)) >= 10, 60)
    stamps = machine.must("journalctl", "--output=short-unix", "--no-pager", f"UNIT={SERVICE}").splitlines()
    restarts = [float(line.split()[0]) for line in stamps if _STARTED in line]
    pauses = [later - earlier for earlier, later in pairwise(restarts)]
    # A busy machine lengthens all pauses equally, so only the growth counts: it is 580 ms.
    assert median(pauses[-3:]) - median(pauses[:3]) > 0.3, pauses
