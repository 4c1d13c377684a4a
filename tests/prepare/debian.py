"""Debian in a directory: a minimal tree of each release, and copies of it with packages or with the agent."""

import os
import shutil
import subprocess
from itertools import count
from pathlib import Path
from typing import Final

from tests.prepare.step import CHECKOUT, checkout_files, command
from tests.rig.booted import USER

_SOURCES: Final = ("apt-get", "indextargets", "--format", "$(CODENAME) $(RELEASE) $(COMPONENT) $(REPO_URI)")
# Mounts and children end with the command, so an interrupted attempt leaves a directory that is safe to remove.
_HELD: Final = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
_NSPAWN: Final = (
    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit"),
    *("--console=pipe", "--resolv-conf=off"),
)
# How this machine reaches Python's packages. The tree itself has no such settings.
_PIP: Final = ("/etc/pip.conf", "/root/.config/pip", "/root/.pip", "/etc/ssl/certs/ca-certificates.crt")
_VARIABLES: Final = (
    "PIP_",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
)
VENV: Final = "/root/venv"
_NUMBERS: Final = count(1)
_APT: Final = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "--no-install-recommends")


def bootstrap(directory: Path, suite: str) -> None:
    """Make a minimal Debian of `suite`, such as "bookworm", with authorities and without Python."""
    source = [found] if (found := mirror(suite)) else []
    # dpkg need not wait for the disk, because a result that a crash damages is made again.
    (directory / "etc/dpkg/dpkg.cfg.d").mkdir(parents=True)
    (directory / "etc/dpkg/dpkg.cfg.d/fast").write_text("force-unsafe-io\n")
    arguments = ("--variant=minbase", "--include=ca-certificates", suite, str(directory))
    command(*_HELD, "debootstrap", *arguments, *source)
    shutil.rmtree(directory / "var/cache/apt/archives")
    (directory / "var/cache/apt/archives/partial").mkdir(parents=True)


def mirror(suite: str) -> str | None:
    """Return the URI where this machine's own apt finds `suite`. None leaves the choice to debootstrap."""
    for line in subprocess.run(_SOURCES, capture_output=True, text=True, check=False).stdout.splitlines():
        codename, release, component, uri = line.split(maxsplit=3)
        if suite in {codename, release} and component == "main":
            return uri
    return None


def with_packages(directory: Path, base: Path, packages: tuple[str, ...]) -> None:
    """Make a copy of `base` with `packages`."""
    copy(base, directory)
    (directory / "etc/apt/apt.conf.d/99machine").write_text(command("apt-config", "dump", "Acquire"))
    shutil.copy2("/etc/resolv.conf", directory / "etc/resolv.conf")
    inside(directory, *_APT, "update")
    inside(directory, *_APT, "install", *packages)
    inside(directory, "apt-get", "clean")


def machine(directory: Path, base: Path, packages: tuple[str, ...]) -> None:
    """Make a copy of `base` with `packages` and the user `USER`, ready to boot."""
    with_packages(directory, base, packages)
    inside(directory, "useradd", "--create-home", "--shell", "/bin/bash", USER)
    # An engine that starts at boot would change the timing that the boot tests check.
    inside(directory, "systemctl", "mask", "docker.service", "docker.socket", "containerd.service")


def with_agent(directory: Path, base: Path) -> None:
    """Make a copy of `base` after `make install` from this checkout. Nothing is enabled or started."""
    copy(base, directory)
    copy_checkout(directory / "root/checkout")
    inside(directory, "make", "-C", "/root/checkout", "install")
    for place in ("etc", "var"):
        # Systemd then sees no update, so no boot-time service hides what the install forgot.
        (directory / place / ".updated").touch()


def with_test_environment(directory: Path, base: Path) -> None:
    """Make a copy of `base` with the test environment of this checkout in `VENV`, but without the checkout."""
    copy(base, directory)
    copy_checkout(directory / "root/checkout")
    inside(directory, "make", "-C", "/root/checkout", f"VENV={VENV}", "test-venv")
    shutil.rmtree(directory / "root/checkout")
    (directory / "root/checkout").mkdir()


def enabled(directory: Path, base: Path, unit: str) -> None:
    """Make a copy of `base` after `systemctl enable`. It shares its files with `base` by hard links."""
    command("cp", "--archive", "--link", "--no-target-directory", base, directory)
    command("systemctl", f"--root={directory}", "enable", unit)


def fetch_docker_clis(directory: Path) -> None:
    """Fetch the docker CLIs of several releases, as `SUITE/docker`."""
    command(CHECKOUT / "scripts/docker-versions.sh", directory)


def fetch_pass_helper(directory: Path) -> None:
    """Fetch Docker's helper for `pass` from Debian's package, without the package's desktop dependencies."""
    command("apt-get", "download", "golang-docker-credential-helpers", cwd=directory)
    (package,) = directory.glob("*.deb")
    command("dpkg-deb", "--extract", package, directory)


def copy(base: Path, directory: Path) -> None:
    command("cp", "--archive", "--reflink=auto", "--no-target-directory", base, directory)


def copy_checkout(target: Path) -> Path:
    """Copy this checkout to `target`, with only the files of a fresh clone, and return `target`."""
    for name in checkout_files(["."]):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, target / name)
    return target


def inside(tree: Path, *args: str, options: tuple[str, ...] = ()) -> str:
    """Run a command in the tree, without a boot, on this machine's network. Return its output.

    Raises:
        StepError: it failed.
    """
    given = [f"--setenv={name}={value}" for name, value in os.environ.items() if name.startswith(_VARIABLES)]
    binds = [f"--bind-ro={path}" for path in _PIP if Path(path).exists()]
    links = os.environ.get("PIP_FIND_LINKS", "")
    binds += [f"--bind-ro={links}"] if Path(links or "-").is_dir() else []
    name = f"prepare-{os.getpid()}-{next(_NUMBERS)}"
    return command(*_NSPAWN, f"--directory={tree}", f"--machine={name}", *binds, *given, *options, *args)
