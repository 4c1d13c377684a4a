"""A program with many readers of event streams. It measures when each of them receives a revision.

Arguments: the port, the number of readers. For each revision on standard input, it prints the times at which the
readers received it, or a later one. A time is that of a document's last byte, by the monotonic clock.
"""

import json
import selectors
import socket
import sys
import time
from typing import Final

_ASK: Final = b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
_END: Final = b"\n\n\r\n"
_PATIENCE_S: Final = 10.0


class Reader:
    """One stream. `had` contains the received revisions with their times. `Crowd.had` drops older ones."""

    def __init__(self, port: int) -> None:
        self.connection: Final = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self.connection.sendall(_ASK)
        self.connection.setblocking(False)
        self.had: list[tuple[int, float]] = []
        self._buffer = b""

    def read(self) -> None:
        """Read what has arrived.

        Raises:
            ConnectionError: the agent ended the stream.
        """
        chunk = self.connection.recv(1 << 20)
        now = time.monotonic()
        if not chunk:
            raise ConnectionError("a stream was ended")
        self._buffer += chunk
        if self._buffer.endswith(_END):
            revisions = [int(part.split(b"\n", 1)[0]) for part in self._buffer.split(b"\nid: ")[1:]]
            self._buffer = b""
            self.had += [(revision, now) for revision in revisions]

    def first(self, revision: int) -> float | None:
        return next((at for had, at in self.had if had >= revision), None)


class Crowd:
    """All readers of one agent."""

    def __init__(self, port: int, number: int) -> None:
        self._readers: Final = [Reader(port) for _ in range(number)]
        self._selector: Final = selectors.DefaultSelector()
        for reader in self._readers:
            self._selector.register(reader.connection, selectors.EVENT_READ, reader)

    def read(self) -> None:
        """Read what has arrived, or arrives within a second."""
        for key, _ in self._selector.select(1.0):
            key.data.read()

    def had(self, revision: int) -> list[float]:
        """Return when each reader received `revision` or a later one. Forget older revisions.

        Raises:
            TimeoutError: not all of them received it in time.
        """
        begun = time.monotonic()
        while time.monotonic() - begun < _PATIENCE_S:
            times = [at for reader in self._readers if (at := reader.first(revision)) is not None]
            if len(times) == len(self._readers):
                for reader in self._readers:
                    del reader.had[:-1]
                return times
            self.read()
        raise TimeoutError(f"some readers never had revision {revision}")

    def answer(self) -> None:
        """Answer the questions on standard input, until its end. Meanwhile, read all streams as data arrives."""
        questions = selectors.DefaultSelector()
        questions.register(sys.stdin, selectors.EVENT_READ)
        questions.register(self._selector.fileno(), selectors.EVENT_READ)
        while True:
            for key, _ in questions.select():
                if key.fd != sys.stdin.fileno():
                    self.read()
                elif line := sys.stdin.readline():
                    print(json.dumps(self.had(int(line))), flush=True)
                else:
                    return


def main(port: int, number: int) -> None:
    crowd = Crowd(port, number)
    crowd.had(0)
    print("reading", flush=True)
    crowd.answer()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
