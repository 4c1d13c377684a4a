"""Make the project's image, with a real engine, and the dev container feature, as their make targets do."""

import os
import re
import ssl
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.prepare.step import CHECKOUT, command
from tests.rig.engine import Engine
from tests.rig.image import IMAGE, build, import_debian, outside_engine

ARCHIVE: Final = "image.tar"
_BUNDLE: Final = "etc/ssl/certs/ca-certificates.crt"
_PIP: Final = frozenset({"index-url", "extra-index-url", "proxy", "trusted-host"})


def save_image(directory: Path, base: Path) -> None:
    """Build this checkout's image from the Debian tree `base`, and save it as `ARCHIVE`."""
    with TemporaryDirectory() as scratch, outside_engine(Path(scratch) / "run") as engine:
        build_image(engine, base, Path(scratch), IMAGE, buildkit=True)
        engine.must("save", "--output", directory / ARCHIVE, IMAGE, config=Path(scratch), timeout=600)


def build_image(engine: Engine, base: Path, scratch: Path, tag: str, *, buildkit: bool) -> None:
    """Build the image as a user would, from a base image made from the tree `base`."""
    import_debian(engine, base, base_name(), scratch, what_builds_need())
    build(engine, tag, scratch, buildkit=buildkit)


def package_feature(directory: Path, tree: Path) -> None:
    """Package the dev container feature, which includes the agent."""
    command(CHECKOUT / "deploy/devcontainer/package.sh", directory, tree)


def base_name() -> str:
    """Return the Dockerfile's default base image."""
    found = re.search(r"^ARG BASE=(\S+)$", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def what_builds_need() -> dict[str, bytes]:
    """Return the files that pip and apt need to reach their indexes from here. Other machines may need none."""
    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or f"/{_BUNDLE}"
    return {
        "etc/pip.conf": _pip_configuration().encode(),
        "etc/apt/apt.conf.d/99machine": command("apt-config", "dump", "Acquire").encode(),
        _BUNDLE: Path(bundle).read_bytes(),
    }


def _pip_configuration() -> str:
    """Return the machine's pip settings, from its files and variables, without indexes on its own disk."""
    lines = ["[global]", f"cert = /{_BUNDLE}"]
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        words = [word for word in value.strip("'\"").split() if not word.startswith("file:")]
        if option in _PIP and words:
            lines.append(f"{option} = {' '.join(words)}")
    return "\n".join([*lines, ""])
