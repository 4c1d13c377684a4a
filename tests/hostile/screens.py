"""Everything that shows the agent's texts: terminals, log readers, dashboards, systemd."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any, Final
from unittest.mock import patch

from agent.__main__ import main
from tests.codes.servers import Dashboard
from tests.codes.world import World
from tests.hunt.outlets import Notifications, answered, printed

# Independent of the agent's own list: C0 except the line feed, DEL, C1, invisible characters, characters that change
# the text direction or end a line in other programs, and surrogates.
RAW: Final = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
ATTACK: Final = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202elive\u2066\u061c\u2028line\u2029\ufeffend\x7f\x00"
"""Contains each kind of character that `RAW` finds, except surrogates."""


class Screens:
    """Reads all outlets of one agent, including a dashboard and a notification socket if they are used."""

    def __init__(self, world: World) -> None:
        self._world: Final = world
        self._systemd: Final = Notifications()
        self.dashboard: Final = Dashboard()
        world.env["NOTIFY_SOCKET"] = self._systemd.address

    def are_clean(self) -> None:
        """Check that no text, and no decoded JSON, moves a cursor, changes the direction or forges a line."""
        if not self._world.agent.running:
            return
        outlets = self._outlets()
        texts = {name: [content.decode().replace("\r\n", "\n")] for name, content in outlets.items()}
        texts["systemd"] = [self._systemd.heard.decode()]
        texts["push"] = [*_texts(self.dashboard.documents)]
        texts["status, decoded"] = [*_texts(self._world.agent.status())]
        lines = [
            json.loads(line) for line in outlets["/v1/logs"].partition(b"\r\n\r\n")[2].split(b"\n") if line[:1] == b"{"
        ]
        assert lines
        texts["logs, decoded"] = [*_texts(lines)]
        for name, several in texts.items():
            for text in several:
                found = RAW.search(text)
                assert found is None, f"{name}: {text[max(found.start() - 200, 0) : found.end() + 20]!r}"
        self._log_lines_are_its_own(outlets["log"])

    def close(self) -> None:
        self._systemd.close()

    def _outlets(self) -> dict[str, bytes]:
        agent = self._world.agent
        outlets = {**answered(agent.socket), **printed(agent.socket), "check-config": self._checked()}
        # Read the log last, because a request may be logged.
        outlets["log"] = agent.log_file.read_bytes()
        return outlets

    def _checked(self) -> bytes:
        """Return what `registry-agent check-config` prints. It runs in this process: a new one starts slowly."""
        with (
            patch.dict(os.environ, self._world.agent.env, clear=True),
            redirect_stdout(StringIO()) as out,
            redirect_stderr(out),
        ):
            main(["check-config", "--config", str(self._world.settings_file)])
        return out.getvalue().encode()

    def _log_lines_are_its_own(self, log: bytes) -> None:
        """Check that no line is forged: each one is an event of the agent."""
        for line in log.decode().splitlines():
            if line.startswith("{"):
                assert "." in json.loads(line)["event"], line
            else:
                assert re.match(r"\[(?:debug|info|warning|error) *\] \w+\.\w+ .* time=", line), line


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, item in value.items():
                yield name
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)
