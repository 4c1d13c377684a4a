"""The .tar.gz of `make dist`, in a system that has only busybox: no Python, no C library, no systemd."""

from pathlib import Path

import pytest

from agent import __version__
from tests.prepare.debian import inside
from tests.prepare.step import StepError
from tests.prepare.steps import BUSYBOX, DIST
from tests.rig.needs import need, prepared

# Start the agent, show its status after the first pass, and stop it.
_TRY = """
mkdir -p /run/secrets/registries /home/ada/.docker
export HOME=/home/ada RUNTIME_DIRECTORY=/run/agent STATE_DIRECTORY=/var/lib/agent
registry-agent run >/log 2>&1 &
registry-agent status --json --wait --timeout 60
kill $!
wait $!
"""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A system with only busybox, which has unpacked the archive there."""
    need("systemd-nspawn")
    root = tmp_path / "bare"
    for directory in ("bin", "usr/bin", "etc", "tmp", "root"):
        (root / directory).mkdir(parents=True)
    busybox = prepared(BUSYBOX) / "bin/busybox"
    (root / "bin/busybox").write_bytes(busybox.read_bytes())
    (root / "bin/busybox").chmod(0o755)
    (root / "etc/os-release").write_text("ID=bare\n")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    inside(root, "/bin/busybox", "--install", "-s", "/bin")
    [archive] = prepared(DIST).glob("registry-agent_*.tar.gz")
    inside(root, "tar", "-xzf", "/archive.tar.gz", "-C", "/root", options=(f"--bind-ro={archive}:/archive.tar.gz",))
    return root


def run(root: Path, script: str) -> str:
    return inside(root, "sh", "-c", script)


def listing(root: Path) -> set[str]:
    """Return all files except the unpacked archive and what running programs leave."""
    out = ("root/", "proc/", "dev/", "run/", "tmp/", "home/", "var/")
    names = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}
    return {name for name in names if not name.startswith(out) and name != "log"}


def test_it_is_installed_answers_and_goes_where_only_busybox_is(bare: Path) -> None:
    """The agent starts and answers, and the uninstall removes all its files."""
    before = listing(bare)
    said = run(bare, "/root/registry-agent_*/install")
    assert f"registry-agent {__version__} is installed in /opt/registry-agent" in said
    answer = run(bare, _TRY)
    assert f'"version": "{__version__}"' in answer or f'"version":"{__version__}"' in answer, answer
    assert "removed registry-agent" in run(bare, "/opt/registry-agent/share/package/uninstall")
    assert listing(bare) == before


def test_an_upgrade_leaves_nothing_of_the_former_version(bare: Path) -> None:
    """Files that only the former version had are gone. Other files stay."""
    run(bare, "/root/registry-agent_*/install")
    after = listing(bare)
    old = "usr/local/share/doc/registry-agent/docs/old.md"
    run(bare, f"touch /{old} /opt/registry-agent/lib/old.py; echo {old} >>/opt/registry-agent/share/package/files")
    run(bare, "mkdir -p /usr/local/bin; touch /usr/local/bin/other")
    run(bare, "/root/registry-agent_*/install")
    assert listing(bare) == {*after, "usr/local/bin/other"}


def test_installed_files_belong_to_root_whoever_unpacked_them(bare: Path) -> None:
    """If a user unpacks the archive and installs with sudo, they do not own the agent afterwards."""
    run(bare, "chown -R 1000:1000 /root/registry-agent_*; /root/registry-agent_*/install")
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in (bare / "opt").rglob("*")}
    assert owners == {(0, 0)}
    assert (bare / "usr/local/bin/registry-agent").lstat().st_uid == 0


def test_only_root_installs(bare: Path) -> None:
    """For another user, the install shows the right command and changes nothing."""
    before = listing(bare)
    with pytest.raises(StepError, match="only root can do this"):
        run(bare, "chmod 755 /root; su ada -c '/root/registry-agent_*/install'")
    assert listing(bare) == before
