"""Tests of the files and the metadata in the image."""

import json
import re
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest

from agent import __version__
from tests.image.conftest import Say
from tests.prepare.image import build_image
from tests.prepare.steps import DEBIAN_13
from tests.rig.engine import Engine
from tests.rig.image import IMAGE, outside_engine
from tests.rig.needs import need, prepared

pytestmark = pytest.mark.engine

MOST_BYTES = 100_000_000
TREE = "opt/registry-agent"
OPEN_TO_ALL = {"tmp", "home/agent/.docker", "run/registry-agent", "var/lib/registry-agent"}
COMMANDS = {f"{TREE}/bin/registry-agent", f"{TREE}/bin/docker-credential-registry-agent"}
PROGRAMS = {*COMMANDS, f"{TREE}/libexec/python3", "usr/bin/docker"}
LOADER = re.compile(rf"{TREE}/lib/ld-linux-[\w-]+\.so\.\d")
UNWANTED = re.compile(
    r".*/(pip|setuptools|wheel|ensurepip|idlelib|tkinter|test|tests|\.cache|apt)(/.*)?"
    r"|.*\.(a|h|c|pyx|pyi|deb|whl|list)|etc/pip\.conf|src|image|docker-cli|root"
)


def test_it_is_small(engine: Engine, files: list[tarfile.TarInfo], tmp_path: Path, say: Say) -> None:
    """Agent, interpreter, AWS SDK and docker CLI together are smaller than 100 MB, unpacked."""
    size = _inspected(engine, tmp_path)["Size"]
    tree = sum(file.size for file in files if file.name.startswith(f"{TREE}/"))

    say(f"image {size / 1e6:.1f} MB, {TREE} {tree / 1e6:.1f} MB")
    assert size < MOST_BYTES


def test_it_says_what_it_is_and_how_it_runs(engine: Engine, tmp_path: Path) -> None:
    """It does not run as root, the agent gets signals directly, without a shell, and the label has this version."""
    config = _inspected(engine, tmp_path)["Config"]

    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"])
    assert config["Entrypoint"] == [f"/{TREE}/bin/registry-agent"]
    assert config["Cmd"] == ["run"]
    assert config["Healthcheck"]["Test"][:3] == ["CMD", f"/{TREE}/bin/registry-agent", "status"]
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_nothing_in_it_builds_installs_or_was_left_behind(files: list[tarfile.TarInfo]) -> None:
    """Its only programs are the agent, the helper, Python and docker. It has no tests, caches or build settings."""
    by_engine = (".dockerenv", "dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf")
    runnable = {file.name for file in files if file.isfile() and file.mode & stat.S_IXUSR}

    assert {name for name in runnable.difference(by_engine) if not LOADER.fullmatch(name)} == PROGRAMS
    assert [file.name for file in files if UNWANTED.fullmatch(file.name)] == []


def test_nothing_in_it_gives_anybody_more_rights(files: list[tarfile.TarInfo]) -> None:
    """No program is setuid or setgid. Everybody can write only to the directories meant for mounts."""
    assert [file.name for file in files if file.isfile() and file.mode & (stat.S_ISUID | stat.S_ISGID)] == []
    assert {file.name for file in files if not file.issym() and file.mode & stat.S_IWOTH} == OPEN_TO_ALL
    assert {file.uid for file in files} == {0}


def test_the_tree_is_for_a_path_and_compiled(files: list[tarfile.TarInfo]) -> None:
    """`bin` has only the agent and its helper, so it can be on any PATH. Each module has its bytecode."""
    names = {file.name for file in files}
    modules = {name for name in names if re.fullmatch(rf"{TREE}/lib/python[\d.]+/.*\.py", name)}
    compiled = {re.sub(r"__pycache__/([^/]+)\.cpython-\d+\.pyc$", r"\1.py", name) for name in names if ".pyc" in name}

    assert {name for name in names if name.startswith(f"{TREE}/bin/")} == COMMANDS
    assert len(modules) > 1000
    assert modules == compiled


def test_a_scanner_learns_what_is_in_it(files: list[tarfile.TarInfo]) -> None:
    """It records the Debian packages that it contains parts of, their licences, and the Python packages."""
    names = {file.name for file in files}

    for package in ("libc6", "libssl3t64", "libpython3.13-minimal", "libpython3.13-stdlib", "docker-cli"):
        assert f"var/lib/dpkg/status.d/{package}" in names
    assert f"{TREE}/share/doc/libc6/copyright" in names
    assert any(re.search(r"/botocore-[\d.]+\.dist-info/METADATA$", name) for name in names)


@pytest.mark.torture
def test_both_builders_make_the_same(files: list[tarfile.TarInfo], tmp_path: Path) -> None:
    """The classic builder's image has the same files, owners and modes as BuildKit's, which the other tests use."""
    need("docker", "dockerd")
    with outside_engine(tmp_path / "run") as engine:
        build_image(engine, prepared(DEBIAN_13), tmp_path, "by-the-classic-builder", buildkit=False)
        created = engine.must("create", "by-the-classic-builder", config=tmp_path).strip()
        engine.must("export", "--output", tmp_path / "files.tar", created, config=tmp_path)
    with tarfile.open(tmp_path / "files.tar") as archive:
        assert _shape(archive.getmembers()) == _shape(files)


def _shape(files: list[tarfile.TarInfo]) -> set[tuple[object, ...]]:
    return {(file.name, file.type, file.mode, file.uid, file.gid, file.linkname) for file in files}


def _inspected(engine: Engine, scratch: Path) -> Any:
    return json.loads(engine.must("image", "inspect", IMAGE, config=scratch))[0]
