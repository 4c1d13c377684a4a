"""What every measurement gets: the number of runs, the interpreter, and a directory to write to."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figure import Turn

_PROGRAMS: Final = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR")


@dataclass(frozen=True, slots=True)
class Bench:
    """`python` is an interpreter with the packages of `requirements.lock` and this checkout, and nothing else."""

    runs: int
    python: Path
    hour_s: float
    say: Callable[[str], None]

    def turns(self, ours: Callable[[], float], theirs: Callable[[], float] | None = None) -> tuple[Turn, ...]:
        """Measure `runs` turns. First, a warm-up of each does not count. Both sides take turns in going first."""
        ours()
        if theirs is None:
            return tuple(Turn(ours()) for _ in range(self.runs))
        theirs()
        turns = []
        for number in range(self.runs):
            if number % 2:
                other = theirs()
                turns.append(Turn(ours(), other))
            else:
                own = ours()
                turns.append(Turn(own, theirs()))
        return tuple(turns)


@contextmanager
def scratch() -> Iterator[Path]:
    """Create a temporary directory for one measured process."""
    with tempfile.TemporaryDirectory(prefix="agent-bench-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def environment(root: Path, **more: str) -> Mapping[str, str]:
    """Return the environment of a measured process: all its directories are below `root`.

    Of the caller's environment, it keeps only what a program needs. There is no engine: `docker login` does not ask it
    anything, so the agent's request to it would be extra work.
    """
    kept = {name: os.environ[name] for name in _PROGRAMS if name in os.environ}
    own = {
        "HOME": str(root),
        "RUNTIME_DIRECTORY": str(root / "run"),
        "STATE_DIRECTORY": str(root / "state"),
        "DOCKER_CONFIG": str(root / "docker"),
        "DOCKER_HOST": f"unix://{root}/no-engine.sock",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return kept | own | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
