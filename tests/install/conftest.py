"""One real install serves all tests that only look."""

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
    """Installed under the most closed umask, into a directory with a space in its name. To look at only."""
    tree = tmp_path_factory.mktemp("staged") / "a tree"
    said = checkout.make("install", tree, umask=0o077)
    assert "enable the service of the user who runs docker; docs/systemd.md shows how" in said.splitlines()[-1]
    return tree


@pytest.fixture(scope="session")
def small(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout of an agent that needs one package, for tests that build but do not look at packages."""
    del checkout  # it skips where nothing can be built
    return Checkout(tmp_path_factory.mktemp("small")).need_only("tenacity")


@pytest.fixture(scope="session")
def elsewhere(small: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a PREFIX of its own, for a systemd that knows RestartSteps=. To look at only."""
    tree = tmp_path_factory.mktemp("staged") / "elsewhere"
    small.make("install", tree, **ELSEWHERE)
    return tree
