"""`make dist` builds the same bytes each time. The files are complete, and install without a network."""

import filecmp
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Final

import pytest

from agent import __version__
from tests.install.locks import ROOT, here, pins
from tests.prepare.steps import DIST, DIST_AGAIN, WHEELS
from tests.rig.needs import need, prepared

TOOLS: Final = {
    "pip": 'python3 -m venv "$HOME/venv" && mkdir -p "$HOME/.local/bin" && "$HOME/venv/bin/pip" install "$0" && '
    'ln -s "$HOME/venv/bin/registry-agent" "$HOME/venv/bin/docker-credential-registry-agent" "$HOME/.local/bin"',
    "pipx": 'pipx install "$0"',
    "uv": 'uv tool install "$0"',
}
"""Commands that install the wheel `$0` for one user. pipx and uv are tried only if they are installed."""


@pytest.fixture(scope="session")
def dist() -> Path:
    return prepared(DIST)


@pytest.fixture(scope="session")
def deb(dist: Path) -> Path:
    [package] = dist.glob("*.deb")
    return package


def output(*args: str | Path, cwd: Path | None = None) -> str:
    return subprocess.run(args, cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_a_second_build_gives_the_same_bytes(dist: Path) -> None:
    """The second build has its own clone, path, file modes, time zone and portable tree, and no file differs."""
    again = prepared(DIST_AGAIN)
    names = sorted(path.name for path in dist.iterdir())
    assert len(names) == len({path.suffix for path in dist.iterdir()} | {"sdist"}) == 6
    assert sorted(path.name for path in again.iterdir()) == names
    assert [name for name in names if not filecmp.cmp(dist / name, again / name, shallow=False)] == []


def test_its_scripts_are_sound() -> None:
    """Root runs some of them on other people's machines, where the shell may not be bash."""
    need("shellcheck")
    scripts = [path for path in (ROOT / "deploy/package").rglob("*") if path.is_file()]
    assert {path.read_text().partition("\n")[0] for path in scripts} == {"#!/bin/sh"}
    output("shellcheck", "--external-sources", ROOT / "scripts/dist.sh", *scripts)


def test_the_checksums_name_every_file(dist: Path) -> None:
    """`sha256sum --check` accepts them."""
    assert "FAILED" not in output("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=dist)
    listed = {line.split()[1] for line in (dist / "SHA256SUMS").read_text().splitlines()}
    assert listed == {path.name for path in dist.iterdir()} - {"SHA256SUMS"}


def test_the_package_needs_no_other(deb: Path) -> None:
    """It installs on any Debian or Ubuntu of its architecture, without a package index."""
    fields = dict(line.split(": ", 1) for line in output("dpkg-deb", "--field", deb).splitlines() if line[0] != " ")
    assert (fields["Package"], fields["Version"]) == ("registry-agent", __version__)
    assert not fields.keys() & {"Depends", "Pre-Depends", "Recommends"}
    assert fields["Architecture"] == output("dpkg", "--print-architecture").strip()


def test_everything_in_the_package_is_root_s_and_where_it_belongs(deb: Path, tmp_path: Path) -> None:
    """Only root can change its files, and none is in `/etc` or `/usr/local`, which belong to the administrator."""
    with (tmp_path / "files").open("wb") as archived:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], stdout=archived, check=True)
    with tarfile.open(tmp_path / "files") as archive:
        members = archive.getmembers()
        units = {member.name: archive.extractfile(member) for member in members if "/system/" in member.name}
        texts = {name: file.read().decode() for name, file in units.items() if file}
    assert {(member.uid, member.gid) for member in members} == {(0, 0)}
    assert [member.name for member in members if not member.issym() and member.mode & 0o7022] == []
    tops = {"/".join(member.name.split("/")[1:3]) for member in members if not member.isdir()}
    assert tops == {"opt/registry-agent", "usr/bin", "usr/lib", "usr/share"}
    links = {
        member.name: member.linkname for member in members if member.issym() and member.name.startswith("./usr/bin")
    }
    files = {member.name for member in members}
    programs = ("registry-agent", "docker-credential-registry-agent")
    assert {f"./usr/bin/{name}": f"/opt/registry-agent/bin/{name}" for name in programs}.items() <= links.items()
    assert {f".{target}" for target in links.values()} <= files
    [service] = [text for name, text in texts.items() if name.endswith(".service")]
    assert "\nExecStart=/opt/registry-agent/bin/registry-agent run\n" in service
    assert "/usr/local/lib" not in service


def test_the_sbom_lists_what_is_in_it(dist: Path) -> None:
    """It has each pinned Python package with its license, and every Debian package that a part comes from."""
    [file] = dist.glob("*.cdx.json")
    document = json.loads(file.read_text())
    assert (document["bomFormat"], document["metadata"]["component"]["version"]) == ("CycloneDX", __version__)
    listed = {each["purl"]: each for each in document["components"]}
    python = {purl for purl in listed if purl.startswith("pkg:pypi/")}
    locked = pins(ROOT / "requirements.lock", here())
    assert python == {f"pkg:pypi/{name}@{version}" for name, version in locked.items()}
    assert [purl for purl in python if not listed[purl].get("licenses")] == []
    others = {each["name"] for purl, each in listed.items() if purl.startswith("pkg:deb/")}
    interpreter = Path("/usr/bin/python3").resolve()
    libraries = Path(f"/usr/lib/{interpreter.name}")
    parts = (interpreter, libraries / "os.py", libraries / "json/decoder.py", *libraries.glob("lib-dynload/_ssl.*"))
    assert {"libc6", *(output("dpkg-query", "--search", part).partition(":")[0] for part in parts)} <= others


@pytest.mark.parametrize("tool", [tool for tool in TOOLS if tool == "pip" or shutil.which(tool)])
def test_the_wheel_installs_for_one_user_without_a_network(tool: str, dist: Path, tmp_path: Path) -> None:
    """The wheel and those of the locked packages are enough, for the agent and for docker's credential helper."""
    [wheel] = dist.glob("*.whl")
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_NO_COMPILE": "1",
        "PIP_FIND_LINKS": str(prepared(WHEELS)),
        # pipx uses uv if it is installed.
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": str(prepared(WHEELS)),
    }
    done = subprocess.run(
        ["sh", "-ec", TOOLS[tool], wheel], env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    programs = tmp_path / ".local/bin"
    assert output(programs / "registry-agent", "--version").strip() == f"registry-agent {__version__}"
    helper = "docker-credential-registry-agent"
    assert output(programs / helper, "version").strip() == f"{helper} (registry-agent) {__version__}"
