"""All tests that change nothing share one real install."""

import subprocess
from pathlib import Path

import pytest

from tests.install.staging import ELSEWHERE, Checkout


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    if subprocess.run(["/usr/bin/python3", "-c", "import ensurepip"], capture_output=True, check=False).returncode:
        pytest.skip("needs a /usr/bin/python3 that can make virtual environments (package python3-venv)")
    return Checkout(tmp_path_factory.mktemp("install"))


@pytest.fixture(scope="session")
def installed(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree installed with umask 077, into a directory with a space in its name. Tests must not change it."""
    tree = tmp_path_factory.mktemp("staged") / "a tree"
    said = checkout.make("install", tree, umask=0o077)
    assert "enable the service for the user who runs docker; see docs/systemd.md" in said.splitlines()[-1]
    return tree


@pytest.fixture(scope="session")
def small(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout of an agent that needs one package, for tests that build but do not look at packages."""
    del checkout  # it skips the test if nothing can be built
    return Checkout(tmp_path_factory.mktemp("small")).need_only("tenacity")


@pytest.fixture(scope="session")
def elsewhere(small: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with another PREFIX, for a systemd that supports RestartSteps=. Tests must not change it."""
    tree = tmp_path_factory.mktemp("staged") / "elsewhere"
    small.make("install", tree, **ELSEWHERE)
    return tree
