"""Without writing, the check finds what a write would meet, in the same words. The doctor uses it."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.edge.test_docker_config import ROOT, open_place, run_in_mounts
from tests.edge.test_permission_hints import AS_ADA

__all__ = ["open_place"]
_BIND: Final = "mount --bind real config/config.json"
_READ_ONLY: Final = "mount -o remount,ro,bind config/config.json"
_FULL_DISK: Final = """
mkdir disk && mount -t tmpfs -o size=64k,mode=755 tmpfs disk && cp -p real disk/real
cat /dev/zero >disk/filler 2>/dev/null || true
mount --bind disk/real config/config.json
"""
# The directory `config` belongs to root, and the file `real` to the user.
_CASES: Final = {
    "a file": ("chown 65534 config && cp real config/config.json && chown 65534 config/config.json", "writable"),
    "a directory of root": (":", "permission denied (for user 65534): {}/config"),
    "a mount in a directory of root": (_BIND, "writable"),
    "a mount in a read-only directory": (
        "mount --bind config config && mount -o remount,ro,bind config && " + _BIND,
        "writable",
    ),
    "a read-only mount": (f"chown 65534 config && {_BIND} && {_READ_ONLY}", "the file system is read-only"),
    "a mount of a file of root": (
        f"chown 65534 config && chown 0 real && {_BIND}",
        "permission denied (for user 65534): {}/config/config.json",
    ),
    "a file of root": (
        "chown 65534 config && cp real config/config.json && chown 0:0 config/config.json",
        "it belongs to user 0, group 0, and that owner could not be kept",
    ),
    "a link to nowhere": ("chown 65534 config && ln -s gone/config.json config", "its link points to does not exist"),
    "a directory to nowhere": ("rmdir config && ln -s gone config", "its link points to does not exist"),
    "a mount of a full disk": (f'printf \'{{"x": "%2000s"}}\' >real{_FULL_DISK}', "the disk is full"),
    "a mount with room in its block": (_FULL_DISK, "writable"),
}


@pytest.mark.parametrize("case", _CASES)
def test_the_check_agrees_with_the_write(open_place: Path, case: str) -> None:
    """Also about a mount, which is written in place, whatever its directory allows."""
    setup, expected = _CASES[case]
    mounted = "touch config/config.json" if "mount" in case else ":"
    run = AS_ADA + shlex.join([sys.executable, "-m", "tests.edge.check_and_update", str(open_place / "config")])
    output = run_in_mounts(
        f"cd {open_place}; mkdir config; {mounted}; echo '{{}}' >real; chown 65534 real\n{setup}\ncd {ROOT}; {run}"
    )
    checked, written = output.splitlines()
    assert expected.format(open_place) in checked
    assert checked == written


def test_the_check_finds_an_immutable_file(tmp_path: Path) -> None:
    """Its mode allows root to write it, and its directory too."""
    file = tmp_path / "config.json"
    file.write_text("{}")
    if shutil.which("chattr") is None or subprocess.run(["chattr", "+i", file], check=False).returncode:
        pytest.skip("needs root and a file system with chattr")
    try:
        run = shlex.join([sys.executable, "-m", "tests.edge.check_and_update", str(tmp_path)])
        checked, written = run_in_mounts(run).splitlines()
    finally:
        subprocess.run(["chattr", "-i", file], check=True)
    assert "operation not permitted" in checked
    assert checked == written
