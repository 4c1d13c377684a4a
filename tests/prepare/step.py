"""One thing that the tests need, made once and kept under a name that says what it was made from."""

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
KEPT: Final = Path(f"/var/tmp/registry-agent-tests-{os.geteuid()}")  # noqa: S108 - `_owned` checks whose it is
_NOT_OURS: Final = frozenset(
    {".venv", ".bench", "dist", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
)
_UNFINISHED: Final = ".unfinished"


class StepError(Exception):
    """A step could not be made; its text says why."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something to make.

    Attributes:
        name: what it is called on the command line and in `prepared`.
        make: fills the empty directory that it is given.
        programs: what must be on PATH.
        root: whether only root can make it.
        after: the steps that must be there before.
        made_from: files and directories of the checkout; a change of one makes the step again.
        recipe: anything else that a change of makes it again, such as a list of packages.
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
        """Where its result is, or will be."""
        return KEPT / f"{self.name}-{_key(self)}"

    @property
    def is_made(self) -> bool:
        return self.result.is_dir()

    def missing(self) -> list[str]:
        """What this machine or this user lacks for it."""
        lacking = [program for program in self.programs if shutil.which(program) is None]
        if self.root and os.geteuid() != 0:
            lacking.insert(0, "root")
        return [*lacking, *(lack for step in self.after for lack in step.missing())]

    def run(self) -> bool:
        """Make it unless it is there; whether it had to be made. It is there whole or not at all.

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
                        _remove_unless_held(old)  # an interrupted attempt, or one from other sources
                unfinished.mkdir()
                self.make(unfinished)
                unfinished.rename(result)
            hold(result)
        return is_new


@cache
def _key(step: Step) -> str:
    """Of all that the result depends on, as it is when first asked for: a checkout may change meanwhile."""
    known = hashlib.sha256(step.recipe.encode())
    for before in step.after:
        known.update(_key(before).encode())
    for path in checkout_files(step.made_from):
        known.update(f"{path}\0".encode())
        known.update((CHECKOUT / path).read_bytes())
    return known.hexdigest()[:12]


def hold(*results: Path) -> None:
    """Keep results until this process ends. Without arguments, all that there are.

    Otherwise another checkout would remove them in the middle of a test, to make its own.
    """
    for result in results or KEPT.glob("*/"):
        with suppress(FileNotFoundError):
            fcntl.flock(os.open(result, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_SH)  # stays open


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
    """Run a program to its end; what it printed.

    Raises:
        StepError: it failed, with the end of what it printed.
    """
    done = subprocess.run(
        [*map(str, args)], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise StepError(f"{args[0]} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def checkout_files(places: Iterable[str] = ()) -> list[str]:
    """The files below `places`, which may be patterns, that git has or would be asked to add; sorted.

    In a copy without git: all of them.
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
    """The name can be guessed: another user may have made it first."""
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
        raise StepError(f"{directory} belongs to another user; remove it")
    return directory


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """A second set-up waits for the first one's result."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
