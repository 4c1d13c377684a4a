"""The agent under attack: its endpoints, its memory and descriptors, and one registry that must stay logged in."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from tests.codes.here import Here
from tests.codes.world import World
from tests.rig.waiting import until

TOKEN: Final = "status-token-of-the-dashboard"
HOST: Final = "127.0.0.1"
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class Target:
    """An agent that serves TCP on a free port.

    Args:
        token: whether to set `status.token_file`.
        before: the start of the agent's command line, such as `prlimit` with a limit.
    """

    def __init__(
        self, home: Path, *, token: bool, allow_origins: Sequence[str] = (), before: Sequence[str] = (), port: int = 0
    ) -> None:
        self._here: Final = Here(before)
        self.world: Final = World(self._here, home)
        token_file = home / "token"
        token_file.touch(mode=0o600)
        token_file.write_text(TOKEN)
        status = {"listen": f"{HOST}:{port}", "allow_origins": list(allow_origins)}
        status |= {"token_file": str(token_file)} if token else {}
        self.hostname: Final = self.world.good.hostname
        self.agent: Final = self.world.start({"status": status})
        self.agent.wait_logged_in(self.hostname)
        self.agent.watch_no_longer()  # under attack, the pulse measures instead
        self.port: Final[int] = until("a TCP port", self._tcp_port)

    @property
    def socket(self) -> Path:
        return self.agent.socket

    @property
    def pid(self) -> int:
        return self.world.pid

    def attempts(self) -> int:
        """Return how often the registry was tried. Every renewal increases it, whatever its cause."""
        row = self.agent.registry(self.hostname)
        assert row is not None
        attempts: int = row["attempts"]
        return attempts

    def memory_mb(self) -> float:
        """Return the memory of the agent's process in MB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE / 1e6

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - they come and go; only the number counts

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the agent, and fail unless it exits cleanly."""
        try:
            self.world.close()
        finally:
            self._here.close()

    def _tcp_port(self) -> int:
        for line in self.agent.log().splitlines():
            event = json.loads(line) if line.startswith("{") else {}
            if event.get("event") == "status.listening" and event["address"].startswith(f"{HOST}:"):
                return int(event["address"].rpartition(":")[2])
        return 0
