"""What every measurement is handed: how often, with which interpreter, and where it may write."""

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
    """`python` is an interpreter that has what `requirements.lock` pins, this checkout, and nothing else."""

    runs: int
    python: Path
    hour_s: float
    say: Callable[[str], None]

    def turns(self, ours: Callable[[], float], theirs: Callable[[], float] | None = None) -> tuple[Turn, ...]:
        """`runs` turns after one of each that is not counted; the one who begins changes from turn to turn."""
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
    """A directory of its own, for one measured process."""
    with tempfile.TemporaryDirectory(prefix="agent-bench-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


def environment(root: Path, **more: str) -> Mapping[str, str]:
    """For a measured process: nothing of the person's but what a program needs; all its directories below `root`.

    No engine takes part: a `docker login` asks it nothing, and the agent's question to it would be one more.
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
