"""Read what the lock files pin for a Python version on a machine."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).parents[2]
RUNTIME: Final = ("requirements.lock", "requirements-build.lock")
TEST: Final = (*RUNTIME, "requirements-dev.lock")
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
MACHINES: Final = ("x86_64", "aarch64")
_HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}")

Place = Mapping[str, str]


def here() -> Place:
    return {name: str(value) for name, value in default_environment().items()}


def place(python: str, machine: str) -> Place:
    """Return the marker values of a Linux machine with that Python."""
    return {
        **here(),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "platform_machine": machine,
        "sys_platform": "linux",
    }


def entries(lock: Path) -> Iterator[tuple[Requirement, list[str]]]:
    """Yield each requirement of `lock` with its hashes."""
    text = re.sub(r"^\s*#.*\n", "", lock.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    for line in text.splitlines():
        yield Requirement(_HASH.sub("", line)), _HASH.findall(line)


def pins(lock: Path, where: Place) -> dict[str, Version]:
    """Return the version of each package that `lock` installs there."""
    found: dict[str, Version] = {}
    for requirement, _ in entries(lock):
        if requirement.marker is None or requirement.marker.evaluate(dict(where)):
            [specifier] = requirement.specifier
            name = canonicalize_name(requirement.name)
            assert name not in found, f"{lock.name} pins {name} twice for {where['python_version']}"
            found[name] = Version(specifier.version)
    return found


def wanted(group: str | None) -> list[Requirement]:
    """Return the requirements in `pyproject.toml`: those of a group, or those that the agent needs to run."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = project["dependency-groups"][group] if group else project["project"]["dependencies"]
    return [Requirement(text) for text in listed]
