"""A step makes one thing that the tests need, once. The name of its result has a hash of its sources."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

CHECKOUT: Final = Path(__file__).parents[2]
KEPT: Final = Path(f"/var/tmp/registry-agent-tests-{os.geteuid()}")  # noqa: S108 - `_owned` checks the owner
_NOT_OURS: Final = frozenset(
    {".venv", ".bench", "dist", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
)
_UNFINISHED: Final = ".unfinished"


class StepError(Exception):
    """A step could not be made. The text is the reason."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something to make.

    Attributes:
        name: its name on the command line and in messages.
        make: fills the empty directory that it gets.
        programs: the programs that must be on PATH.
        root: whether only root can make it.
        after: the steps that must be made before it.
        made_from: files and directories of the checkout. If one changes, the step is made again.
        recipe: anything else whose change makes the step again, such as a list of packages.
    """

    name: str
    make: Callable[[Path], None]
    programs: tuple[str, ...] = ()
    root: bool = False
    after: tuple["Step", ...] = ()
    made_from: tuple[str, ...] = ()
    recipe: str = ""

    @property
    def result(self) -> Path:
        """The directory where its result is or will be."""
        return KEPT / f"{self.name}-{_key(self)}"

    @property
    def is_made(self) -> bool:
        return self.result.is_dir()

    def missing(self) -> list[str]:
        """Return what this machine or this user lacks for it."""
        lacking = [program for program in self.programs if shutil.which(program) is None]
        if self.root and os.geteuid() != 0:
            lacking.insert(0, "root")
        return [*lacking, *(lack for step in self.after for lack in step.missing())]

    def run(self) -> bool:
        """Make it unless it exists. Return whether it is new. An incomplete result never counts as existing.

        Raises:
            StepError: it could not be made.
        """
        result = self.result
        with _alone(_owned(KEPT) / f"{self.name}.lock"):
            is_new = not result.is_dir()
            if is_new:
                unfinished = result.with_name(result.name + _UNFINISHED)
                for old in KEPT.glob(f"{self.name}-*"):
                    if old.name.removeprefix(f"{self.name}-").removesuffix(_UNFINISHED).isalnum():
                        _remove_unless_held(old)  # from an interrupted attempt or from other sources
                unfinished.mkdir()
                self.make(unfinished)
                unfinished.rename(result)
            hold(result)
        return is_new


@cache
def _key(step: Step) -> str:
    """Hash all that the result depends on. The first hash is kept, because the checkout may change during a run."""
    known = hashlib.sha256(step.recipe.encode())
    for before in step.after:
        known.update(_key(before).encode())
    for path in checkout_files(step.made_from):
        known.update(f"{path}\0".encode())
        known.update((CHECKOUT / path).read_bytes())
    return known.hexdigest()[:12]


def hold(*results: Path) -> None:
    """Keep results until this process ends. Without arguments, keep all that exist.

    Otherwise another checkout could remove them during a test, to make its own.
    """
    for result in results or KEPT.glob("*/"):
        with suppress(FileNotFoundError):
            fcntl.flock(os.open(result, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)  # it stays open


def _remove_unless_held(old: Path) -> None:
    opened = os.open(old, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(old)
    except BlockingIOError:
        pass  # the next set-up removes it
    finally:
        os.close(opened)


def command(*args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a program to its end, and return its output.

    Raises:
        StepError: it failed. The text has the end of its output.
    """
    done = subprocess.run(
        [*map(str, args)], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StepError(f"{args[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def checkout_files(places: Iterable[str] = ()) -> list[str]:
    """Return the files below `places` that git tracks or does not ignore, sorted. `places` may be patterns.

    In a copy without git, return all files except those in directories such as `.venv`.
    """
    wanted = tuple(places)
    if not wanted:
        return []
    if not (CHECKOUT / ".git").exists():
        return sorted(_walk(wanted))
    listed = command("git", "-C", CHECKOUT, "ls-files", "-z", "-co", "--exclude-standard", "--", *wanted)
    return sorted(name for name in {*listed.split("\0")} if name and (CHECKOUT / name).is_file())


def _walk(places: Iterable[str]) -> set[str]:
    found = {path for place in places for path in (CHECKOUT.glob(place) if place != "." else CHECKOUT.iterdir())}
    files = {file for path in found for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()}
    names = {file.relative_to(CHECKOUT) for file in files}
    return {str(name) for name in names if not _NOT_OURS.intersection(name.parts)}


def _owned(directory: Path) -> Path:
    """Make `directory` if needed. Another user could guess its name and make it first, so check its owner."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
        raise StepError(f"{directory} belongs to another user; remove it")
    return directory


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold `lock`, so that a second set-up waits for the result of the first."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
