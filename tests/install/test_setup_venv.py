"""Tests of `scripts/setup-venv.sh`, as `make demo` and `make test` run it."""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.install.index import Index
from tests.install.locks import ROOT, TEST, here, pins

pytestmark = pytest.mark.timeout(300)

_CHECKSUM: Final = 64
"""The length of a SHA-256 in hexadecimal digits."""
_SCRIPTS: Final = ("setup-venv.sh", "python-packages.sh")
_PROJECT: Final = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "project"
version = "1"
"""
_BACKEND: Final = """
import shutil
def build_editable(directory, settings=None, metadata=None):
    return shutil.copy("wheels/project-1-py3-none-any.whl", directory).rpartition("/")[2]
"""
# Unpacking and compiling pip takes most of the time. This python3 links an existing pip instead.
_PYTHON: Final = """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec {python} "$@"
{python} -m venv --without-pip "$3" "$4" && ln -s {pip} "$4"/lib/python3.*/site-packages/
"""
# For tests of when the script does what: records each package of a lock file as installed, and fails for `missing`.
_QUICK_PIP: Final = """
import pathlib, sys
for option, lock in zip(sys.argv, sys.argv[1:]):
    if option == "--requirement":
        for package in pathlib.Path(lock).read_text().split():
            assert package != "missing==1"
            (pathlib.Path(sys.prefix) / package).touch()
"""


class Project:
    """A checkout with the real scripts, and its own lock files and pip."""

    def __init__(self, directory: Path, pip: Path) -> None:
        self.path: Final = directory
        self.venv: Final = directory / ".venv"
        (directory / "scripts").mkdir(parents=True)
        for name in _SCRIPTS:
            shutil.copy(ROOT / "scripts" / name, directory / "scripts")
        (directory / "pyproject.toml").write_text(_PROJECT)
        (directory / "backend.py").write_text(_BACKEND)
        Index(directory / "wheels").add("project", "1")
        (directory / "bin").mkdir()
        python = directory / "bin/python3"
        python.write_text(_PYTHON.format(python=Path(sys.executable).resolve(), pip=pip))
        python.chmod(0o755)

    def lock(self, name: str, *lines: str) -> None:
        (self.path / name).write_text("".join(lines))

    def set_up(self, *locks: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the script with only `variables` as settings of pip."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        path = f"{self.path}/bin:{env['PATH']}"
        return subprocess.run(
            ["scripts/setup-venv.sh", ".venv", *locks],
            cwd=self.path,
            env={**env, "PATH": path, "PIP_CONFIG_FILE": "/dev/null", **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    def must_set_up(self, *locks: str, **variables: str) -> str:
        done = self.set_up(*locks, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def noted(self) -> set[str]:
        """Return the packages that the quick pip recorded."""
        return {path.name for path in self.venv.glob("*==*")}

    def break_off(self) -> None:
        """Leave what an interrupted run leaves: some packages, and a Python that does not run."""
        (self.venv / "bin").mkdir(parents=True)
        (self.venv / "bin/python").symlink_to("nowhere")
        (self.venv / "stray==1").touch()


# --- with the real pip ---


def requirements(name: str) -> list[str]:
    """Return what the package really needs. If the environment that runs the tests does not have it: nothing."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory into which a person's pip settings would install."""
    return tmp_path_factory.mktemp("person") / "elsewhere"


@pytest.fixture(scope="module")
def reached(elsewhere: Path) -> dict[str, str]:
    """A person's settings: the index, and many that would install to other places, in other ways, or not at all."""
    directory = elsewhere.parent
    (directory / "constraints").write_text("coverage<7\n")
    (directory / "pip.conf").write_text(
        f"[global]\nfind-links = {directory / 'index'}\nno-index = true\nquiet = 2\n"
        f"[install]\nuser = true\nno-binary = :all:\nconstraint = {directory / 'constraints'}\n"
    )
    (directory / "packages/coverage-1.dist-info").mkdir(parents=True)
    (directory / "packages/coverage-1.dist-info/METADATA").write_text("Name: coverage\nVersion: 1\n")
    return {
        "PIP_CONFIG_FILE": str(directory / "pip.conf"),
        "PIP_PYTHON": str(directory / "no-python"),
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_REQUIRE_HASHES": "1",
        "PIP_DRY_RUN": "1",
        "PIP_PRE": "1",
        **dict.fromkeys(("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PYTHONUSERBASE"), str(elsewhere)),
        "PYTHONPATH": str(directory / "packages"),
    }


@pytest.fixture(scope="module")
def locked() -> dict[str, Version]:
    return {name: version for lock in TEST for name, version in pins(ROOT / lock, here()).items()}


@pytest.fixture(scope="module")
def index(elsewhere: Path) -> Index:
    return Index(elsewhere.parent / "index")


@pytest.fixture(scope="module")
def project(locked: dict[str, Version], index: Index, reached: dict[str, str], elsewhere: Path) -> Project:
    """A project set up from the real lock files. The index also has a newer release of every package."""
    spec = find_spec("pip")
    assert spec is not None
    assert spec.origin is not None
    project = Project(elsewhere.parent / "a checkout", Path(spec.origin).parent)
    lines = {name: index.add(name, str(version), requirements(name)) for name, version in locked.items()}
    for name, version in locked.items():
        index.add(name, tomorrows(version), requirements(name))
    for lock in TEST:
        project.lock(lock, *(lines[name] for name in pins(ROOT / lock, here())))
    project.must_set_up(*TEST, **reached)
    return project


def tomorrows(version: Version) -> str:
    epoch = f"{version.epoch}!" if version.epoch else ""
    return f"{epoch}{version.major}.{version.minor + 1}"


def test_newer_releases_of_everything_change_nothing(project: Project, locked: dict[str, Version]) -> None:
    """One package is needed with an extra, which the lock does not name. pip once took its newest release."""
    infos = project.venv.glob("lib/python3.*/site-packages/*.dist-info")
    found = dict(info.name.removesuffix(".dist-info").split("-") for info in infos)
    assert found.pop("project") == "1"
    assert {name.replace("_", "-"): Version(version) for name, version in found.items()} == locked
    [needed] = [need for need in map(Requirement, requirements("pytest-cov")) if need.name == "coverage"]
    assert needed.extras


@pytest.mark.usefixtures("project")
def test_a_persons_settings_install_nothing_elsewhere(elsewhere: Path) -> None:
    """The script uses only the index from these settings."""
    assert not elsewhere.exists()


def test_packages_that_do_not_fit_together_are_an_error(
    project: Project, index: Index, reached: dict[str, str]
) -> None:
    """The set-up fails if a lock file lacks what one of its packages needs."""
    project.lock("more.lock", index.add("alpha", "1", ["beta>=1"]))
    done = project.set_up(*TEST, "more.lock", **reached)
    assert done.returncode != 0
    assert "alpha 1 requires beta, which is not installed" in done.stderr


# --- with the quick pip ---


def quick_project(checkout: Path, pip: Path) -> Project:
    pip.mkdir()
    (pip / "__main__.py").write_text(_QUICK_PIP)
    project = Project(checkout, pip)
    project.lock("a.lock", "alpha==1")
    project.lock("b.lock", "beta==1")
    return project


@pytest.fixture
def quick(tmp_path: Path) -> Project:
    return quick_project(tmp_path / "checkout", tmp_path / "pip")


def test_a_complete_environment_is_left_alone(quick: Project) -> None:
    """The script prints nothing, also if it gets fewer lock files than before."""
    assert quick.must_set_up("a.lock", "b.lock") != ""
    before = sorted((path, path.lstat().st_mtime_ns) for path in quick.venv.rglob("*"))
    assert quick.must_set_up("a.lock", "b.lock") == ""
    assert quick.must_set_up("b.lock") == ""
    assert sorted((path, path.lstat().st_mtime_ns) for path in quick.venv.rglob("*")) == before


def test_a_checkout_whose_path_is_as_long_as_a_checksum(tmp_path: Path) -> None:
    """The record also has the path of the checkout, which must not count as a checksum."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        checkout = Path(short, "c" * (_CHECKSUM - 1 - len(short)))
        assert len(str(checkout)) == _CHECKSUM
        project = quick_project(checkout, tmp_path / "pip")
        project.must_set_up("a.lock")
        assert project.must_set_up("a.lock") == ""
        project.must_set_up("a.lock", "b.lock")
        assert project.noted() == {"alpha==1", "beta==1"}


def test_another_lock_file_is_added(quick: Project) -> None:
    """`make fleet` adds its packages to those of `make test`. The environment is not made again."""
    quick.must_set_up("a.lock")
    before = (quick.venv / "pyvenv.cfg").stat().st_mtime_ns
    quick.must_set_up("a.lock", "b.lock")
    assert quick.noted() == {"alpha==1", "beta==1"}
    assert (quick.venv / "pyvenv.cfg").stat().st_mtime_ns == before


def test_what_a_changed_lock_no_longer_lists_is_gone(quick: Project) -> None:
    """This also holds if the run uses only another lock file."""
    quick.must_set_up("a.lock", "b.lock")
    quick.lock("a.lock", "alpha==2")
    quick.must_set_up("b.lock")
    assert quick.noted() == {"beta==1"}
    quick.must_set_up("a.lock", "b.lock")
    assert quick.noted() == {"alpha==2", "beta==1"}


def test_what_an_interrupted_run_left_is_cleared_away(quick: Project) -> None:
    """The first run ended before the environment had a working Python."""
    quick.break_off()
    quick.must_set_up("a.lock")
    assert quick.noted() == {"alpha==1"}


def test_a_run_that_failed_is_not_taken_for_complete(quick: Project) -> None:
    """If a run fails while it adds a lock file, the next run makes the environment again."""
    quick.must_set_up("a.lock")
    quick.lock("b.lock", "beta==1\nmissing==1")
    assert quick.set_up("a.lock", "b.lock").returncode != 0
    quick.must_set_up("a.lock")
    assert quick.noted() == {"alpha==1"}
