"""Encodes the status document as JSON, once per revision, however many clients ask."""

import json
from typing import TYPE_CHECKING, Final

from agent.model.snapshot import Snapshot
from agent.model.status import rfc3339
from agent.services.ports import Clock

if TYPE_CHECKING:
    from datetime import datetime


class StatusDocument:
    """Encodes snapshots. The uptime counts from the creation of this object, at the agent's start."""

    def __init__(self, clock: Clock) -> None:
        self._clock: Final = clock
        self._started: Final = clock.monotonic()
        self._of: Snapshot | None = None
        self._lasting = b""
        self._moment: tuple[datetime, float] | None = None
        self._encoded = b""

    def encode(self, snapshot: Snapshot) -> bytes:
        """Return the document as UTF-8 on one line.

        Returns the same object while nothing changes, so that callers can compare with `is`. `uptime_s` changes ten
        times a second. For the same revision, only `now` and `uptime_s` are encoded again.
        """
        uptime_s = round(self._clock.monotonic() - self._started, 1)
        moment = self._clock.now().replace(microsecond=0), uptime_s
        if snapshot is self._of and moment == self._moment:
            return self._encoded
        if snapshot is not self._of:
            document = snapshot.as_json(moment[0], uptime_s)
            # Without its opening brace, so that the two moving fields can be put in front.
            del document["now"], document["uptime_s"]
            self._lasting = json.dumps(document, ensure_ascii=False)[1:].encode(errors="replace")
            self._of = snapshot
        moving = json.dumps({"now": rfc3339(moment[0]), "uptime_s": uptime_s})
        self._moment = moment
        self._encoded = b"%b, %b" % (moving[:-1].encode(), self._lasting)
        return self._encoded
