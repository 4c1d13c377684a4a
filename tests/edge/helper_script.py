"""Credential helpers for tests: real programs, each with one way to behave."""

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

# get, store and erase over one JSON file beside the program, as plainly and as unlocked as many real ones.
_GOOD: Final = """#!{python}
import json, pathlib, sys
store = pathlib.Path(__file__ + ".json")
logins = json.loads(store.read_text()) if store.exists() else {{}}
action, text = sys.argv[1], sys.stdin.read().strip()
if action == "get":
    if text not in logins:
        sys.exit("credentials not found in native keychain")
    print(json.dumps(logins[text]))
elif action == "store":
    login = json.loads(text)
    logins[login["ServerURL"]] = login
    store.write_text(json.dumps(logins))
elif action == "erase":
    logins.pop(text, None)
    store.write_text(json.dumps(logins))
"""

# As the good one, but it empties its file before it writes: whatever ends it in between, the other logins are lost.
# While the FIFO `.gate` is there, it waits at this point until a writer has opened and closed the gate.
_REWRITING: Final = """#!{python} -IS
import json, os, pathlib, select, signal, sys
store, gate = pathlib.Path(__file__ + ".json"), pathlib.Path(__file__ + ".gate")
logins = json.loads(store.read_text())
action, text = sys.argv[1], sys.stdin.read().strip()
if action == "get":
    if text not in logins:
        sys.exit("credentials not found in native keychain")
    print(json.dumps(logins[text]))
    sys.exit()
if action == "list":
    print(json.dumps({{server: login["Username"] for server, login in logins.items()}}))
    sys.exit()
changed = dict(logins)
if action == "store":
    login = json.loads(text)
    changed[login["ServerURL"]] = login
else:
    changed.pop(text, None)

def put_in_order(number, frame):
    store.write_text(json.dumps(logins))
    sys.exit(1)

signal.signal(signal.SIGTERM, {on_sigterm})
waiting = select.poll()
if gate.exists():
    waiting.register(os.open(gate, os.O_RDONLY | os.O_NONBLOCK))
store.write_text("")
if gate.exists():
    waiting.poll()
store.write_text(json.dumps(changed))
"""
PERSONS: Final = {"ServerURL": "persons.example", "Username": "ada", "Secret": "a person's own"}
"""A login that a person keeps in the store of a `RewritingHelper`."""


class RewritingHelper:
    """A helper that keeps all logins in one file and rewrites it in place; a person has a login there already.

    Between `hold` and `let_go` each `store` and `erase` waits in the middle of its write. At SIGTERM it puts back what
    it had found, unless it is `deaf`.
    """

    def __init__(self, directory: Path, name: str, *, deaf: bool = False) -> None:
        on_sigterm = "signal.SIG_IGN" if deaf else "put_in_order"
        program = script(directory, name, _REWRITING.format(python=sys.executable, on_sigterm=on_sigterm))
        self._store: Final = Path(f"{program}.json")
        self._gate: Final = Path(f"{program}.gate")
        self._store.write_text(json.dumps({PERSONS["ServerURL"]: PERSONS}))

    def hold(self) -> None:
        os.mkfifo(self._gate)

    def let_go(self) -> None:
        """Let the write go on that waits, and later ones too. Raises OSError where none waits any more."""
        writer = os.open(self._gate, os.O_WRONLY | os.O_NONBLOCK)
        self._gate.unlink()
        os.close(writer)

    def log_in(self, server: str, username: str) -> None:
        """As a person's own `docker login`."""
        login = {"ServerURL": server, "Username": username, "Secret": f"password of {username}"}
        unfinished = self._store.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({**self.logins, server: login}))
        unfinished.replace(self._store)

    @property
    def writing(self) -> bool:
        """Whether a write has begun and is not over; also when it was cut off there."""
        return not self._store.read_text()

    @property
    def logins(self) -> dict[str, Any]:
        return dict(json.loads(self._store.read_text()))


def good_helper(directory: Path, name: str) -> Path:
    """A helper that works, and the file that it keeps its logins in."""
    program = script(directory, name, _GOOD.format(python=sys.executable))
    return Path(f"{program}.json")


def script(directory: Path, name: str, text: str) -> Path:
    program = directory / f"docker-credential-{name}"
    program.write_text(text)
    program.chmod(0o755)
    return program


def answer(username: str, secret: str) -> str:
    """What a helper prints for `get`."""
    return json.dumps({"ServerURL": "x", "Username": username, "Secret": secret})


def kept(store: Path) -> dict[str, Any]:
    """What a good helper has, by server."""
    return dict(json.loads(store.read_text())) if store.exists() else {}
