"""The home directory of the docker from snap, before its first run."""

from pathlib import Path

import pytest

from agent.edge.config_lock import ConfigLock
from agent.edge.snap import make_home


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The link to the installed revision. Its target is of no interest."""
    link = tmp_path / "installed"
    link.symlink_to("2963")
    return link


def test_the_home_of_a_docker_that_has_never_run_is_a_link_to_its_revision(tmp_path: Path, installed: Path) -> None:
    """If `current` were a directory, snap would fail to read it as a link, and no longer start docker."""
    config = tmp_path / "snap/docker/current/.docker"
    make_home(config, [tmp_path / "missing", installed])
    assert config.parent.readlink() == Path("2963")
    lock = ConfigLock(config)
    assert lock.acquire()
    lock.release()
    assert (tmp_path / "snap/docker/2963/.docker").is_dir()


def test_the_home_of_a_docker_that_has_run_stays(tmp_path: Path, installed: Path) -> None:
    """Whatever revision it is."""
    home = tmp_path / "snap/docker"
    (home / "2915").mkdir(parents=True)
    (home / "current").symlink_to("2915")
    make_home(home / "current/.docker", [installed])
    assert (home / "current").readlink() == Path("2915")
    assert sorted(path.name for path in home.iterdir()) == ["2915", "current"]


def test_other_configurations_get_no_link(tmp_path: Path, installed: Path) -> None:
    make_home(tmp_path / "home/.docker", [installed])
    assert [path.name for path in tmp_path.iterdir()] == ["installed"]
