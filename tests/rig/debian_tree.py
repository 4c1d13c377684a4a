"""A whole Debian in a directory, for booting and for base images; made by debootstrap once, and kept."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.rig.needs import need
from tests.rig.waiting import until

KEPT: Final = Path("/var/tmp/registry-agent-tests")  # noqa: S108 - it outlives sessions; `_own` checks whose it is
_MAKE_S: Final = 600.0
# Its mounts and children are gone with it: a session that is killed leaves a directory that is safe to remove.
_HELD: Final = (
    "setpriv",
    "--pdeathsig",
    "KILL",
    "unshare",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
_SOURCES: Final = ("apt-get", "indextargets", "--format", "$(CODENAME) $(RELEASE) $(COMPONENT) $(REPO_URI)")


def debian_tree(suite: str, packages: Sequence[str] = ()) -> Path:
    """A minimal Debian of `suite` (such as "bookworm") with `packages`. It is shared: copy it or lay one over it.

    The first call takes a minute; later ones, in later sessions too, find it. It is there whole or not at all.
    """
    need("debootstrap", "unshare", "apt-get")
    wanted = ",".join(sorted(set(packages)))
    tree = _own(KEPT) / f"{suite}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    with _alone(tree.with_suffix(".lock")):
        if not tree.is_dir():
            unfinished = tree.with_suffix(".unfinished")
            _make(unfinished, suite, wanted)
            unfinished.rename(tree)
    return tree


def mirror(suite: str) -> str | None:
    """Where this machine's own apt finds `suite`; None leaves it to debootstrap."""
    for line in subprocess.run(_SOURCES, capture_output=True, text=True, check=False).stdout.splitlines():
        codename, release, component, uri = line.split(maxsplit=3)
        if suite in {codename, release} and component == "main":
            return uri
    return None


def _make(tree: Path, suite: str, packages: str) -> None:
    if tree.exists():
        shutil.rmtree(tree)
    include = [f"--include={packages}"] if packages else []
    source = [found] if (found := mirror(suite)) else []
    made = subprocess.run(
        [*_HELD, "debootstrap", "--variant=minbase", *include, suite, str(tree), *source],
        capture_output=True,
        text=True,
        timeout=_MAKE_S,
        check=False,
    )
    assert made.returncode == 0, f"debootstrap {suite}:\n{made.stdout[-2000:]}{made.stderr[-2000:]}"
    shutil.rmtree(tree / "var/cache/apt/archives")
    (tree / "var/cache/apt/archives/partial").mkdir(parents=True)


def _own(directory: Path) -> Path:
    """The name is known to everybody: somebody else may have made it before us."""
    directory.mkdir(mode=0o700, exist_ok=True)
    assert not directory.is_symlink(), f"whose is {directory}?"
    assert directory.stat().st_uid == os.geteuid(), f"whose is {directory}?"
    return directory


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Held by one process at a time; a second session waits for the first one's tree."""
    with lock.open("w") as held:
        until(f"the end of the making of {lock.stem}", lambda: _locked(held.fileno()), _MAKE_S)
        yield


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
