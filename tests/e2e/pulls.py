"""Programs that pull again and again, while a test disturbs them."""

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tests.rig.waiting import until

_LANES: Final = 2


class Pulls:
    """Counts the pulls that have worked, and keeps the output of those that have failed."""

    def __init__(self) -> None:
        self.worked = 0
        self.failed: Final[list[str]] = []

    def go_on(self) -> None:
        """Wait until a pull that begins now has worked."""
        enough = self.worked + _LANES + 1
        until("more pulls", lambda: self.worked >= enough)


@contextmanager
def pulling(pull: Callable[[], subprocess.CompletedProcess[str]]) -> Iterator[Pulls]:
    """Run `pull` in several threads, over and over, until the end of the block."""
    pulls, over, counting = Pulls(), threading.Event(), threading.Lock()

    def pull_on() -> None:
        while not over.is_set():
            done = pull()
            with counting:
                pulls.worked += done.returncode == 0
                if done.returncode != 0:
                    pulls.failed.append(done.stdout + done.stderr)

    threads = [threading.Thread(target=pull_on, daemon=True) for _ in range(_LANES)]
    for thread in threads:
        thread.start()
    try:
        yield pulls
    finally:
        over.set()
        for thread in threads:
            thread.join()
