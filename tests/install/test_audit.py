"""`make audit` fails only for a known vulnerability, never because the network is missing."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.install.index import Index
from tests.install.locks import ROOT

FINDING: Final = "Name Version ID\nyarl 1.0 GHSA-made-up"


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path / "index")


def audit(index: Index) -> subprocess.CompletedProcess[str]:
    """Run the script with the pip-audit of `index`, which is a fake from the test."""
    places = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index.directory)}
    env = {"PATH": os.environ["PATH"], "HOME": str(index.directory), **places}
    command = [ROOT / "scripts/audit.sh"]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_a_known_vulnerability_fails(index: Index) -> None:
    """The output shows it for each lock file."""
    index.add("pip-audit", "1.0", program=f"echo '{FINDING}'; exit 1")
    done = audit(index)
    assert done.returncode == 1
    assert done.stdout.count(FINDING) == len([*ROOT.glob("requirements*.lock")])


def test_nothing_known_passes(index: Index) -> None:
    """The output names each lock file, so none is forgotten."""
    index.add("pip-audit", "1.0", program="echo 'No known vulnerabilities found' >&2")
    done = audit(index)
    assert done.returncode == 0
    for lock in ROOT.glob("requirements*.lock"):
        assert f"{lock.name}: no known vulnerability" in done.stdout
    assert "NOT CHECKED" not in done.stdout


def test_no_network_passes_and_is_reported(index: Index) -> None:
    """If pip-audit is missing or cannot reach the advisories, the output says NOT CHECKED."""
    done = audit(index)
    assert (done.returncode, done.stdout) == (0, "audit: NOT CHECKED: pip-audit cannot be installed\n")
    index.add("pip-audit", "1.0", program="echo 'ERROR: Could not connect' >&2; exit 1")
    done = audit(index)
    assert done.returncode == 0
    assert "Could not connect" in done.stderr
    assert done.stdout.count("NOT CHECKED") == len([*ROOT.glob("requirements*.lock")])
