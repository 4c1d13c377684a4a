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
    before, directories = listing(bare), run(bare, "find / -xdev -type d | sort")
    said = run(bare, "/root/registry-agent_*/install")
    assert f"registry-agent {__version__} is installed in /opt/registry-agent" in said
    answer = run(bare, _TRY)
    assert f'"version": "{__version__}"' in answer or f'"version":"{__version__}"' in answer, answer
    assert run(bare, "readlink -f /usr/bin/docker-credential-registry-agent").startswith("/opt/registry-agent/bin/")
    # Twice: the second install must still know which directories did not exist before the first.
    run(bare, "/root/registry-agent_*/install")
    assert "removed registry-agent" in run(bare, "/opt/registry-agent/share/package/uninstall")
    assert listing(bare) == before
    assert (
        run(bare, "find /usr -type d | sort")
        == "\n".join(line for line in directories.splitlines() if line.startswith("/usr")) + "\n"
    )


def test_an_upgrade_leaves_nothing_of_the_former_version(bare: Path) -> None:
    """Files that only the former version had are gone. Other files stay."""
    run(bare, "/root/registry-agent_*/install")
    after = listing(bare)
    old = "usr/local/share/doc/registry-agent/docs/old.md"
    run(bare, f"touch /{old} /opt/registry-agent/lib/old.py; echo {old} >>/opt/registry-agent/share/package/files")
    run(bare, "mkdir -p /usr/local/bin; touch /usr/local/bin/other")
    run(bare, "/root/registry-agent_*/install")
    assert listing(bare) == {*after, "usr/local/bin/other"}


# Start the agent by hand as ada, end up with its login in memory, and remove the installation.
_LEAVE = """
mkdir -p /home/ada/.docker
echo '{"credHelpers": {"old.example": "registry-agent", "their.example": "pass"}}' >/home/ada/.docker/config.json
chown -R 1000:1000 /home/ada
su ada -c 'registry-agent run' >/log 2>&1 &
su ada -c 'registry-agent status --wait --timeout 60' >/dev/null
/opt/registry-agent/share/package/uninstall 2>&1
! kill -0 $! || echo it still runs
cat /home/ada/.docker/config.json
"""


def test_an_agent_that_was_started_by_hand_ends_with_the_uninstall(bare: Path) -> None:
    """Without systemd, too. Docker must not ask for a program that is gone, and a person's own line stays."""
    run(bare, "sed -i 's|:/:|:/home/ada:|' /etc/passwd; /root/registry-agent_*/install")
    said = run(bare, _LEAVE)
    assert "still runs" not in said
    assert "old.example" not in said
    assert "their.example" in said
    assert "not all logins" not in said


def test_docker_finds_its_credential_helper_during_an_upgrade(bare: Path) -> None:
    """The directory is exchanged in one step: no call fails, however often docker asks."""
    run(bare, "/root/registry-agent_*/install")
    said = run(
        bare,
        """
        (for again in 1 2 3; do /root/registry-agent_*/install >/dev/null; done; touch /done) &
        calls=0
        until [ -e /done ]; do
            docker-credential-registry-agent version >/dev/null || echo "failed"
            calls=$((calls + 1))
        done
        echo "$calls calls"
        """,
    )
    assert "failed" not in said
    assert int(said.split()[-2]) > 10


def test_a_program_of_somebody_else_stays_in_usr_bin(bare: Path) -> None:
    """Such as a copy of the helper. The installation goes on without the link, and the uninstall leaves the copy."""
    run(bare, "echo theirs >/usr/bin/docker-credential-registry-agent")
    said = run(bare, "/root/registry-agent_*/install; /opt/registry-agent/share/package/uninstall")
    assert "/usr/bin/docker-credential-registry-agent exists already, and stays" in said
    assert (bare / "usr/bin/docker-credential-registry-agent").read_text() == "theirs\n"


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
