"""Make what `make dist` builds, and what its tests install it with."""

import stat
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.prepare.debian import copy_checkout
from tests.prepare.step import CHECKOUT, command

TREE: Final = "tree"


def build_tree(directory: Path) -> None:
    """Build the portable tree, as `TREE`."""
    command(CHECKOUT / "scripts/portable-tree.sh", directory / TREE)


def build(directory: Path, tree: Path) -> None:
    """Build all published files from the portable `tree`."""
    command(CHECKOUT / "scripts/dist.sh", directory, tree)


def build_elsewhere(directory: Path) -> None:
    """Build the same from a private clone at another path, with its own tree, in another time zone."""
    with TemporaryDirectory() as scratch:
        checkout = copy_checkout(Path(scratch) / "somebody's clone")
        for path in (checkout, *checkout.rglob("*")):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXU)
        command("env", "TZ=Asia/Tokyo", "LANG=C.UTF-8", checkout / "scripts/dist.sh", directory)


def fetch_wheels(directory: Path) -> None:
    """Fetch the packages that the agent needs to run, as an index that needs no network."""
    locked = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement", CHECKOUT / "requirements.lock")
    command(sys.executable, "-m", "pip", "download", "-qq", *locked, "--dest", directory)


def fetch_busybox(directory: Path) -> None:
    """Fetch a busybox that needs no C library, as `bin/busybox`."""
    command("apt-get", "download", "busybox-static", cwd=directory)
    (package,) = directory.glob("*.deb")
    command("dpkg-deb", "--extract", package, directory)
