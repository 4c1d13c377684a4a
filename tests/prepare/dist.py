"""What `make dist` builds, and what its tests install it with."""

import stat
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.prepare.debian import copy_checkout
from tests.prepare.step import CHECKOUT, command

TREE: Final = "tree"


def build_tree(directory: Path) -> None:
    """The portable tree, as `TREE`."""
    command(CHECKOUT / "scripts/portable-tree.sh", directory / TREE)


def build(directory: Path, tree: Path) -> None:
    """Everything that is published, around the portable `tree`."""
    command(CHECKOUT / "scripts/dist.sh", directory, tree)


def build_elsewhere(directory: Path) -> None:
    """The same from somebody else's private clone, with a tree of its own, in another time zone."""
    with TemporaryDirectory() as scratch:
        checkout = copy_checkout(Path(scratch) / "somebody's clone")
        for path in (checkout, *checkout.rglob("*")):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & stat.S_IRWXU)
        command("env", "TZ=Asia/Tokyo", "LANG=C.UTF-8", checkout / "scripts/dist.sh", directory)


def fetch_wheels(directory: Path) -> None:
    """The packages that the agent needs to run, as an index that needs no network."""
    locked = ("--no-deps", "--require-hashes", "--only-binary=:all:", "--requirement", CHECKOUT / "requirements.lock")
    command(sys.executable, "-m", "pip", "download", "-qq", *locked, "--dest", directory)


def fetch_busybox(directory: Path) -> None:
    """Busybox without a C library, as `bin/busybox`."""
    command("apt-get", "download", "busybox-static", cwd=directory)
    (package,) = directory.glob("*.deb")
    command("dpkg-deb", "--extract", package, directory)
