"""A separate checkout, and the trees that it installs."""

import os
import re
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypedDict

from tests.prepare.debian import copy_checkout

LIB: Final = "usr/local/lib/registry-agent"
_INSTALL_S: Final = 900.0
_OWN: Final = ("PYTHON", "PREFIX", "DESTDIR", "UNITDIR", "SYSTEMD_VERSION", "SUDO_USER", "MAKE", "MFLAGS")
Listing = dict[str, tuple[object, ...]]


class Elsewhere(TypedDict):
    """Where `make` installs, and for which version of systemd."""

    PREFIX: str
    SYSTEMD_VERSION: str


ELSEWHERE: Final[Elsewhere] = {"PREFIX": "/opt/x/", "SYSTEMD_VERSION": "254.1-2"}
"""Another prefix, and a systemd that supports RestartSteps=."""


class Checkout:
    """Another user's clone that only they can read, at a path that appears nowhere else."""

    def __init__(self, directory: Path) -> None:
        self.path: Final = copy_checkout(directory / "somebody's clone")
        for path in (self.path, *self.path.rglob("*")):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXU)
            if os.geteuid() == 0:
                os.chown(path, 65534, 65534)

    def make(self, target: str, destination: Path | str, umask: int = 0o022, **variables: str) -> str:
        """Run `make` with `DESTDIR` and `variables`, and return its output.

        Raises:
            Refused: it failed. The text is its output.
        """
        said = [f"{name}={value}" for name, value in {"DESTDIR": str(destination), **variables}.items()]
        return self.run(["make", target, *said], umask=umask)

    def run(self, args: list[str], umask: int = 0o022, **variables: str) -> str:
        """Run any command like `make` does, with `variables` in its environment."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
        done = subprocess.run(
            args,
            cwd=self.path,
            env={**env, **variables},
            umask=umask,
            capture_output=True,
            text=True,
            timeout=_INSTALL_S,
            check=False,
        )
        if done.returncode != 0:
            raise Refused(done.stdout + done.stderr)
        return done.stdout

    def need_only(self, package: str) -> "Checkout":
        """Reduce what the agent needs to one package, so that a build takes seconds. `--version` needs none."""
        pin = re.compile(rf"^{package}==.*?(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
        self.change("requirements.lock", lambda text: pin.findall(text)[0])
        needs = re.compile(r"^dependencies = \[.*?^\]", re.MULTILINE | re.DOTALL)
        self.change("pyproject.toml", lambda text: needs.sub(f'dependencies = ["{package}"]', text, count=1))
        return self

    def change(self, file: str, change: Callable[[str], str]) -> None:
        path = self.path / file
        path.write_text(change(path.read_text()))


class Refused(Exception):  # noqa: N818 - it is a refusal
    """A command failed. The text is its output."""


def listing(tree: Path) -> Listing:
    """Map each path below `tree` to its mode, owner, inode, time and size, and to the target of a link."""
    return {str(path.relative_to(tree)): _traits(path) for path in sorted(tree.rglob("*"))}


def _traits(path: Path) -> tuple[object, ...]:
    seen = path.lstat()
    leads = path.readlink() if path.is_symlink() else None
    return (seen.st_mode, seen.st_uid, seen.st_gid, seen.st_ino, seen.st_mtime_ns, seen.st_size, leads)


def files(tree: Path) -> Iterator[Path]:
    return (path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())


def copy(tree: Path, target: Path) -> Path:
    """Copy the tree with its times and owners, so that a test can change the copy."""
    subprocess.run(["cp", "--archive", str(tree), str(target)], check=True)
    return target


def version(tree: Path, lib: str = LIB) -> str:
    """Return what `--version` prints for the agent in `tree`, with its own interpreter. The tree can be anywhere."""
    args = [str(tree / lib / "bin/python"), "-I", "-m", "agent", "--version"]
    return subprocess.run(args, capture_output=True, text=True, check=True).stdout.strip()
