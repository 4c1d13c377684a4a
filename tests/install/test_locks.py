"""The lock files are complete, consistent, and free of conflicts for every supported Python."""

import re
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.install.locks import MACHINES, PYTHONS, ROOT, TEST, Place, entries, here, pins, place, wanted

LOCKS: Final = sorted(ROOT.glob("requirements*.lock"))


def required(roots: list[Requirement], locked: dict[str, Version], where: Place) -> set[str]:
    """Return the packages that `roots` need there, with extras. Fail if `locked` has no version that they accept.

    The needs of a package come from the environment that runs the tests, if that has the locked version.
    """
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, "", "pyproject.toml") for requirement in roots]
    while waiting:
        requirement, extra, source = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({**where, "extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{source} needs {requirement}, which is not locked"
        assert requirement.specifier.contains(locked[name], prereleases=True), f"{source} needs {requirement}"
        new = {(name, asked) for asked in ("", *requirement.extras)} - seen
        seen |= new
        if installed(name) == locked[name]:
            waiting += [(need, asked, name) for _, asked in new for need in needs(name)]
    return {name for name, _ in seen}


@cache
def needs(name: str) -> list[Requirement]:
    return [Requirement(text) for text in metadata.requires(name) or ()]


@cache
def installed(name: str) -> Version | None:
    try:
        return Version(metadata.version(name))
    except metadata.PackageNotFoundError:
        return None


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_is_one_version_with_hashes(lock: Path) -> None:
    """Only files with a listed hash can be installed. An extra would add packages that are not listed."""
    for requirement, hashes in entries(lock):
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], requirement
        assert not requirement.extras, requirement
        assert hashes, requirement


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_what_a_locked_package_needs_is_locked(python: str, machine: str) -> None:
    """This holds for every supported Python, with extras. Otherwise pip chooses a version, or a package is missing."""
    where = place(python, machine)
    for lock, roots in (
        ("requirements.lock", wanted(None)),
        ("requirements-dev.lock", wanted(None) + wanted("dev")),
        ("requirements-build.lock", [Requirement("hatchling"), Requirement("editables")]),
        ("requirements-fleet.lock", wanted("fleet")),
        ("requirements-torture.lock", wanted("torture")),
    ):
        required(roots, pins(ROOT / lock, where), where)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_all_lock_files_agree(python: str, machine: str) -> None:
    """An environment can use several of them, so a package has the same version in all."""
    together: dict[str, Version] = {}
    for lock in LOCKS:
        for name, version in pins(lock, place(python, machine)).items():
            assert together.setdefault(name, version) == version, f"{lock.name}: {name}"


def test_the_test_environment_holds_what_its_locks_list() -> None:
    """It has the locked versions. `make test` updates it."""
    locked = {name: version for lock in TEST for name, version in pins(ROOT / lock, here()).items()}
    assert {name: installed(name) for name in locked} == locked


def test_the_test_environment_has_nothing_that_it_does_not_need() -> None:
    """`pyproject.toml` lists every package in its lock, or a listed package needs it."""
    locked = pins(ROOT / "requirements-dev.lock", here())
    assert required(wanted(None) + wanted("dev"), locked, here()) == set(locked)
    assert not locked.keys() & {"matplotlib", "atheris", "mutmut"}, "these come with make fleet and make torture"


def test_every_script_installs_packages_the_same_way() -> None:
    """Only `python-packages.sh` runs pip, and `lock.sh`, which installs the program that writes the lock files."""
    files = [ROOT / "Makefile", ROOT / "Dockerfile", *ROOT.glob("scripts/*"), *ROOT.glob("deploy/**/*.sh")]
    own_pip = re.compile(r"-m pip\b|/pip\b(?!-audit)|\bpip3? install|--requirement\b")
    found = {path.name for path in files if path.is_file() and own_pip.search(path.read_text())}
    assert found == {"python-packages.sh", "lock.sh"}
