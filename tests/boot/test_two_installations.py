"""Two ways of installing on one machine: neither one takes or replaces what belongs to the other."""

from pathlib import Path
from typing import Final

import pytest

from tests.boot.conftest import SERVICE, Boot
from tests.prepare.steps import DEBIAN_12_MACHINE, DIST
from tests.rig.booted import USER, Booted
from tests.rig.needs import need, prepared

MAKE: Final = ("make", "--no-print-directory", "-C", "/root/checkout")
DEB: Final = "/root/registry-agent.deb"
ARCHIVE: Final = "/root/registry-agent.tar.gz"
HELPER: Final = "docker-credential-registry-agent"
UNINSTALL: Final = "/opt/registry-agent/share/package/uninstall"


@pytest.fixture(scope="session")
def binds() -> dict[str, Path]:
    """The package and the archive, for a machine."""
    need("systemd-nspawn", "nsenter", "ip")
    built = prepared(DIST)
    [deb], [archive] = built.glob("*.deb"), built.glob("registry-agent_*.tar.gz")
    return {DEB: deb, ARCHIVE: archive}


@pytest.fixture
def made(boot: Boot, enabled: Path, binds: dict[str, Path]) -> Booted:
    """A machine with an agent of `make install`, which runs."""
    return boot(enabled, binds=binds).wait_for_boot().wait_for(SERVICE)


@pytest.fixture
def bare(boot: Boot, binds: dict[str, Path]) -> Booted:
    """A machine without an agent."""
    return boot(prepared(DEBIAN_12_MACHINE), binds=binds).wait_for_boot()


def helper(machine: Booted) -> str:
    """Where the link that every program finds leads to."""
    return machine.must("readlink", f"/usr/bin/{HELPER}").strip()


def install_archive(machine: Booted) -> None:
    machine.must("tar", "-xzf", ARCHIVE, "-C", "/root")
    machine.must("sh", "-c", "/root/registry-agent_*/install")


def test_make_uninstall_leaves_the_package_complete(made: Booted) -> None:
    """The package itself advises it if `make install` was there before."""
    assert helper(made) == f"/usr/local/bin/{HELPER}"
    assert "sudo make uninstall" in made.run("dpkg", "--install", DEB).stderr
    made.must(*MAKE, "uninstall")
    assert made.must("dpkg", "--verify", "registry-agent") == ""
    assert helper(made) == f"/opt/registry-agent/bin/{HELPER}"
    made.must(HELPER, "version")


def test_removing_the_package_leaves_an_agent_of_make_install_running(made: Booted) -> None:
    """Its state and docker's helper stay, too. `make install` does not replace the package's link meanwhile."""
    made.must("dpkg", "--install", DEB)
    kept = f"/var/lib/registry-agent/{USER}/kept"
    made.must("touch", kept)
    made.wait_for(SERVICE)
    # The manifest is incomplete, as after an interrupted run, so that the files are put again.
    made.must("sed", "-i", "s/^state .*/state unfinished/", "/usr/local/share/registry-agent/manifest")
    assert "belongs to another installation, and stays" in made.must(*MAKE, "install")
    assert helper(made) == f"/opt/registry-agent/bin/{HELPER}"
    made.must("dpkg", "--purge", "registry-agent")
    made.must("test", "-e", kept)
    made.wait_for(SERVICE)
    made.must("systemctl", "is-enabled", SERVICE)
    assert helper(made) == f"/usr/local/bin/{HELPER}"
    made.must(HELPER, "version")


def test_the_archive_is_not_installed_over_another_installation(made: Booted, bare: Booted) -> None:
    """Both would have the same files. The message has the command that removes the other one."""
    bare.must("dpkg", "--install", DEB)
    for machine, command in ((made, "sudo make uninstall"), (bare, "sudo dpkg --remove registry-agent")):
        machine.must("tar", "-xzf", ARCHIVE, "-C", "/root")
        done = machine.run("sh", "-c", "/root/registry-agent_*/install")
        assert done.returncode == 1
        assert command in done.stderr


def test_make_install_does_not_replace_the_archive(made: Booted) -> None:
    """It names the command that removes the archive, which then leaves nothing."""
    made.must(*MAKE, "uninstall")
    before = set(made.must("find", "/usr", "/opt", "/etc").splitlines())
    install_archive(made)
    done = made.run(*MAKE, "install")
    assert done.returncode != 0
    assert f"First run: sudo {UNINSTALL}" in done.stderr
    made.must(UNINSTALL)
    changed = before ^ set(made.must("find", "/usr", "/opt", "/etc").splitlines())
    assert {path for path in changed if not path.startswith(("/etc/group", "/etc/gshadow"))} == set()


def test_the_package_replaces_the_archive(bare: Booted) -> None:
    """Agents stay enabled, and run on. After a removal, nothing is left of either."""
    before = set(bare.must("find", "/usr", "/opt", "/etc").splitlines())
    install_archive(bare)
    bare.must("sh", "-c", "mkdir /opt/registry-agent/lib/older && touch /opt/registry-agent/lib/older/module.py")
    bare.must("systemctl", "enable", "--now", SERVICE)
    bare.wait_for(SERVICE)
    bare.must("dpkg", "--install", DEB)
    bare.wait_for(SERVICE)
    assert bare.property("FragmentPath", SERVICE).removeprefix("/usr") == "/lib/systemd/system/registry-agent@.service"
    bare.must("systemctl", "is-enabled", SERVICE)
    assert bare.must("dpkg", "--verify", "registry-agent") == ""
    assert bare.must("find", "/usr/local", "/opt", "-name", "*registry-agent*", "!", "-path", "/opt/*/*") == (
        "/opt/registry-agent\n"
    )
    for left in (UNINSTALL, "/opt/registry-agent/lib/older"):
        assert bare.run("test", "-e", left).returncode == 1
    bare.must("dpkg", "--purge", "registry-agent")
    changed = before ^ set(bare.must("find", "/usr", "/opt", "/etc").splitlines())
    assert {path for path in changed if not path.startswith(("/etc/group", "/etc/gshadow"))} == set()
