"""Builds the project's image: an engine whose builds reach package indexes, and a base image from a Debian tree."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.rig.engine import Engine
from tests.rig.waiting import PATIENCE_S

PROJECT: Final = Path(__file__).parents[2]
IMAGE: Final = "registry-agent"
_BUILD_S: Final = 3600.0
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")


class Outside:
    """The machine itself, with its network."""

    def args(self, args: Sequence[str | Path]) -> list[str]:
        return [*map(str, args)]

    def run(
        self, *args: str | Path, env: Mapping[str, str], timeout: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            args, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )


@contextmanager
def outside_engine(directory: Path) -> Iterator[Engine]:
    """An engine on the machine's network, with its sockets and its data in `directory`."""
    directory.mkdir()
    engine = Engine(Outside(), directory / "engine", run=directory)
    try:
        yield engine
    finally:
        engine.close()
        shutil.rmtree(directory)


def import_debian(engine: Engine, tree: Path, tag: str, scratch: Path, files: Mapping[str, bytes]) -> None:
    """Import the Debian `tree` as the image `tag`, with `files` and, like the official image, without apt's lists."""
    archive = scratch / "debian.tar"
    left_out = [f"--exclude=./{name}" for name in ("dev", "var/lib/apt/lists", *files)]
    subprocess.run(["tar", "--create", f"--file={archive}", f"--directory={tree}", *left_out, "."], check=True)
    with tarfile.open(archive, "a") as packed:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    engine.must("import", archive, tag, config=scratch, timeout=600)
    archive.unlink()


def build(engine: Engine, tag: str, config: Path, *, buildkit: bool) -> None:
    """Build the project's image like a user does."""
    program = engine.builder(buildkit=buildkit)
    proxies = {name: os.environ[name] for name in _PROXIES if name in os.environ}
    passed_on = [f"--build-arg={name}" for name in proxies]
    engine.must(
        *("build", "--network=host", *passed_on, f"--tag={tag}", str(PROJECT)),
        config=config,
        program=program,
        env={"DOCKER_BUILDKIT": "1" if buildkit else "0", **proxies},
        timeout=_BUILD_S,
    )
