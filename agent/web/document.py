"""The status document as it goes out: serialised once a revision, whoever asks and however often."""

import json
from datetime import datetime
from typing import Final, Protocol

from agent.model.snapshot import Snapshot
from agent.model.status import rfc3339


class Clock(Protocol):
    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...


class StatusDocument:
    """Turns a snapshot into JSON; the uptime counts from its own making, at the agent's start."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._started: Final = clock.monotonic()
        self._of: Snapshot | None = None
        self._lasting = ""

    def encode(self, snapshot: Snapshot) -> bytes:
        """UTF-8 on one line. Only `now` and `uptime_s` are made anew each time."""
        now, uptime_s = self._clock.now(), self._clock.monotonic() - self._started
        if snapshot is not self._of:
            document = snapshot.as_json(now, uptime_s)
            del document["now"], document["uptime_s"]
            self._lasting = json.dumps(document, ensure_ascii=False)[1:]
            self._of = snapshot
        moving = json.dumps({"now": rfc3339(now), "uptime_s": round(uptime_s, 1)})
        return f"{moving[:-1]}, {self._lasting}".encode(errors="replace")
