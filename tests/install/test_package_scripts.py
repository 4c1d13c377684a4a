"""The scripts of the package and of the archive, in a root of their own, next to a `make install` in any prefix."""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.prepare.steps import BUSYBOX
from tests.rig.needs import need_root, prepared

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "deploy/package"
OPT: Final = "opt/registry-agent"
HELPER: Final = "docker-credential-registry-agent"
UNIT: Final = "etc/systemd/system/registry-agent@.service"
ENABLED: Final = "etc/systemd/system/multi-user.target.wants/registry-agent@ada.service"
STATE: Final = "var/lib/registry-agent/ada/state.json"
CALLS: Final = "calls"
_RECORD: Final = f'#!/bin/sh\necho "$(basename "$0") $*" >>/{CALLS}\n'


def _program(path: Path, text: str = _RECORD) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with busybox and an enabled agent of the package or archive. `systemctl` and the agent record calls."""
    need_root("for chroot")
    for directory in ("bin", "usr/bin", "dev", "etc", "run/systemd/system"):
        (tmp_path / directory).mkdir(parents=True)
    os.mknod(tmp_path / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    shutil.copy(prepared(BUSYBOX) / "bin/busybox", tmp_path / "bin/busybox")
    (tmp_path / "bin/busybox").chmod(0o755)
    subprocess.run(["chroot", tmp_path, "/bin/busybox", "--install", "-s", "/bin"], check=True)
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    for name in ("systemctl", "systemd-run"):
        _program(tmp_path / "usr/bin" / name)
    _program(tmp_path / OPT / "bin/registry-agent")
    for script in PACKAGE.glob("*.sh"):
        _program(tmp_path / OPT / "share/package" / script.stem, script.read_text())
    # As scripts/dist.sh makes it.
    lines = (PACKAGE / "debian/postrm").read_text().splitlines(keepends=True)
    _program(tmp_path / "postrm", "".join([*lines[:2], (PACKAGE / "other.sh").read_text(), *lines[2:]]))
    for file in (ENABLED, STATE):
        (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / ENABLED).symlink_to("/usr/lib/systemd/system/registry-agent@.service")
    (tmp_path / STATE).touch()
    (tmp_path / "var/lib/registry-agent/state.json").touch()  # of an agent of root
    return tmp_path


def _make_install(root: Path, prefix: str) -> None:
    """What `make install` puts there, in short."""
    lib = root / prefix / "lib"
    _program(lib / "registry-agent.versions/1/bin/registry-agent")
    (lib / "registry-agent").symlink_to("registry-agent.versions/1")
    _program(root / prefix / "bin" / HELPER)
    unit = root / (UNIT if prefix != "usr/local" else "usr/local/lib/systemd/system/registry-agent@.service")
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.write_text(
        f"[Service]\nExecStartPre=-/bin/true\nExecStart=/{prefix}/lib/registry-agent/bin/registry-agent run\n"
    )


def _purge_package(root: Path) -> str:
    """Do what `dpkg --purge` does."""
    said = _run(root, f"/{OPT}/share/package/before-removal /usr")
    shutil.rmtree(root / OPT)
    return said + _run(root, "/postrm remove; /postrm purge")


def _remove_archive(root: Path) -> str:
    (root / OPT / "share/package/files").write_text(f"usr/bin/{HELPER}\n")
    (root / "usr/bin" / HELPER).symlink_to(f"/{OPT}/bin/{HELPER}")
    return _run(root, f"/{OPT}/share/package/uninstall")


def _run(root: Path, script: str) -> str:
    done = subprocess.run(
        ["chroot", root, "/bin/env", "-i", "PATH=/bin:/usr/bin", "/bin/sh", "-ec", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _calls(root: Path) -> str:
    return (root / CALLS).read_text() if (root / CALLS).exists() else ""


Removal = Callable[[Path], str]
removals = pytest.mark.parametrize("remove", [_purge_package, _remove_archive])


@removals
@pytest.mark.parametrize("prefix", ["usr/local", "opt/x"])
def test_a_removal_leaves_an_agent_of_make_install_alone(root: Path, prefix: str, remove: Removal) -> None:
    """Its units run on and stay enabled, its state and logins stay, and docker finds its helper again."""
    _make_install(root, prefix)
    said = remove(root)
    assert f"the other installation, in /{prefix}, stay" in said
    assert [line for line in _calls(root).splitlines() if line != "systemctl daemon-reload"] == []
    assert (root / ENABLED).is_symlink()
    assert (root / STATE).exists()
    assert str((root / "usr/bin" / HELPER).readlink()) == f"/{prefix}/bin/{HELPER}"


@removals
@pytest.mark.parametrize("unit", ["none", "edited", "left over"])
def test_without_another_agent_a_removal_stops_and_logs_out(root: Path, unit: str, remove: Removal) -> None:
    """A unit in /etc alone is no installation: `systemctl edit --full` copies that of the package there."""
    if unit != "none":
        program = f"/{OPT}" if unit == "edited" else "/opt/gone/lib/registry-agent"
        (root / UNIT).write_text(f"[Service]\nExecStart={program}/bin/registry-agent run\n")
    remove(root)
    assert "systemctl --quiet stop registry-agent@ada.service" in _calls(root)
    assert "registry-agent logout" in _calls(root)
    assert (root / STATE).exists() == (remove is _remove_archive)
    assert not os.path.lexists(root / "usr/bin" / HELPER)


@pytest.mark.parametrize("prefix", ["usr/local", "opt/x"])
def test_the_package_and_the_archive_name_the_agent_of_make_install(root: Path, prefix: str) -> None:
    """The command removes it. The archive refuses to be installed before."""
    command = f"sudo make uninstall PREFIX=/{prefix}"
    assert command not in _run(root, f"/{OPT}/share/package/after-install /usr")
    _make_install(root, prefix)
    assert command in _run(root, f"/{OPT}/share/package/after-install /usr")
    archive = root / "archive"
    _program(archive / "install", (PACKAGE / "install.sh").read_text())
    _program(archive / "root" / OPT / "share/package/other", (PACKAGE / "other.sh").read_text())
    assert command in _run(root, "/archive/install || echo refused")
