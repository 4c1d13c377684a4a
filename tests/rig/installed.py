"""A Debian tree with the agent in it, put there by `make install`."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from tests.rig.debian_tree import debian_tree

CHECKOUT: Final = Path(__file__).parents[2]
USER: Final = "ada"
_PACKAGES: Final = (
    *("systemd", "systemd-sysv", "dbus", "make", "python3", "python3-venv", "procps", "iproute2", "ca-certificates"),
    *("pass", "gnupg"),
)
_DOCKER: Final = {"bookworm": "docker.io", "trixie": "docker-cli"}
_INSTALL_S: Final = 300.0
_NSPAWN: Final = (
    *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit"),
    *("--console=pipe", "--resolv-conf=off"),
)
# How this machine reaches Python's packages; the tree knows nothing of it by itself.
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


def copy_checkout(target: Path) -> Path:
    """The files that git knows of, as a fresh clone would have them, and those that it would be told of next."""
    listed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, target / name)
    return target


def installed_tree(directory: Path, suite: str = "bookworm") -> Path:
    """A tree of its own below `directory`, with the user `USER` and the agent, neither enabled nor started."""
    base = debian_tree(suite, (*_PACKAGES, _DOCKER[suite]))
    tree = directory / suite
    subprocess.run(["cp", "--archive", "--reflink=auto", str(base), str(tree)], check=True)
    copy_checkout(tree / "root/checkout")
    shutil.copy2("/etc/resolv.conf", tree / "etc/resolv.conf")
    inside(tree, "useradd", "--create-home", "--shell", "/bin/bash", USER)
    # An engine that starts with the machine would take part in the race that the boot tests measure.
    inside(tree, "systemctl", "mask", "docker.service", "docker.socket", "containerd.service")
    print(inside(tree, "make", "-C", "/root/checkout", "install"))  # noqa: T201 - what a person would see
    for place in ("etc", "var"):
        # A machine that was not just updated: no boot-time service makes up for what the install left out.
        (tree / place / ".updated").touch()
    return tree


def enabled_copy(tree: Path, unit: str) -> Path:
    """The same tree after `systemctl enable`."""
    copy = tree.with_name(f"{tree.name}-enabled")
    subprocess.run(["cp", "--archive", "--link", str(tree), str(copy)], check=True)
    subprocess.run(["systemctl", f"--root={copy}", "enable", unit], check=True, capture_output=True)
    return copy


def inside(tree: Path, *args: str) -> str:
    """A command in the tree, which is not booted, with this machine's network."""
    given = [f"--setenv={name}={value}" for name, value in os.environ.items() if name.startswith(_VARIABLES)]
    binds = [f"--bind-ro={path}" for path in _PIP if Path(path).exists()]
    links = os.environ.get("PIP_FIND_LINKS", "")
    binds += [f"--bind-ro={links}"] if Path(links or "-").is_dir() else []
    done = subprocess.run(
        [*_NSPAWN, f"--directory={tree}", f"--machine=install-{os.getpid()}", *binds, *given, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    assert done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout
