"""Building the project's image: an engine whose builds reach package indexes, and a base image made here."""

import io
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.rig.debian_tree import debian_tree
from tests.rig.engine import Engine
from tests.rig.waiting import PATIENCE_S

PROJECT: Final = Path(__file__).parents[2]
_BUILD_S: Final = 420.0
_BUNDLE: Final = "etc/ssl/certs/ca-certificates.crt"
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_PIP: Final = frozenset({"index-url", "extra-index-url", "proxy", "trusted-host"})
_PIP_CONFIG: Final = (sys.executable, "-m", "pip", "config", "list")
_APT_CONFIG: Final = ("apt-config", "dump", "Acquire")


class Outside:
    """The machine itself, with its own network."""

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
    """An engine on the machine's own network, with its sockets and all that it stores in `directory`."""
    directory.mkdir()
    engine = Engine(Outside(), directory / "engine", run=directory)
    try:
        yield engine
    finally:
        engine.close()
        shutil.rmtree(directory)


def import_debian(engine: Engine, suite: str, tag: str, scratch: Path, files: Mapping[str, bytes]) -> None:
    """A minimal Debian as the image `tag`, without apt's lists, as the official one is, but with these files."""
    archive = scratch / "debian.tar"
    left_out = [f"--exclude=./{name}" for name in ("dev", "var/lib/apt/lists", *files)]
    tree = debian_tree(suite, ["ca-certificates"])
    pack = ["tar", "--create", f"--file={archive}", f"--directory={tree}", *left_out, "."]
    subprocess.run(pack, check=True)
    with tarfile.open(archive, "a") as packed:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"./{name}")
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    engine.must("import", archive, tag, config=scratch, timeout=120)
    archive.unlink()


def what_builds_need() -> dict[str, bytes]:
    """How pip and apt reach their indexes from here; a build elsewhere needs none of it."""
    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile or f"/{_BUNDLE}"
    apt = subprocess.run(_APT_CONFIG, capture_output=True, check=True)
    return {
        "etc/pip.conf": _pip_configuration().encode(),
        "etc/apt/apt.conf.d/99machine": apt.stdout,
        _BUNDLE: Path(bundle).read_bytes(),
    }


def base_name() -> str:
    """What the Dockerfile starts from unless told otherwise."""
    found = re.search(r"^ARG BASE=(\S+)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def build(engine: Engine, tag: str, config: Path, *, buildkit: bool) -> None:
    """Build the project's image as anybody would."""
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


def _pip_configuration() -> str:
    """The machine's own, from its files and variables, without indexes that are files of this machine."""
    lines = ["[global]", f"cert = /{_BUNDLE}"]
    listed = subprocess.run(_PIP_CONFIG, capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        words = [word for word in value.strip("'\"").split() if not word.startswith("file:")]
        if option in _PIP and words:
            lines.append(f"{option} = {' '.join(words)}")
    return "\n".join([*lines, ""])
