"""Credential helpers for tests: real programs, each with one behaviour."""

import json
import os
import sys
from pathlib import Path
from typing import Any, Final

# get, store and erase in one JSON file next to the program, without a lock, like many real helpers.
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

# Like the good helper, but it empties its file before it writes. If it dies in between, the other logins are lost.
# While the FIFO `.gate` exists, it waits at this point until a writer has opened and closed the gate.
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

def restore(number, frame):
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
    """A helper that keeps all logins in one file and rewrites it in place. It already holds a person's login.

    Between `hold` and `let_go`, each `store` and `erase` waits in the middle of its write. At SIGTERM it restores the
    former content of the file. A `deaf` helper ignores SIGTERM.
    """

    def __init__(self, directory: Path, name: str, *, deaf: bool = False) -> None:
        on_sigterm = "signal.SIG_IGN" if deaf else "restore"
        program = script(directory, name, _REWRITING.format(python=sys.executable, on_sigterm=on_sigterm))
        self._store: Final = Path(f"{program}.json")
        self._gate: Final = Path(f"{program}.gate")
        self._store.write_text(json.dumps({PERSONS["ServerURL"]: PERSONS}))

    def hold(self) -> None:
        os.mkfifo(self._gate)

    def let_go(self) -> None:
        """Let the waiting write and later ones continue. Raises OSError if no write waits."""
        writer = os.open(self._gate, os.O_WRONLY | os.O_NONBLOCK)
        self._gate.unlink()
        os.close(writer)

    def log_in(self, server: str, username: str) -> None:
        """Add a login, as a person's own `docker login` does."""
        login = {"ServerURL": server, "Username": username, "Secret": f"password of {username}"}
        unfinished = self._store.with_suffix(".unfinished")
        unfinished.write_text(json.dumps({**self.logins, server: login}))
        unfinished.replace(self._store)

    @property
    def writing(self) -> bool:
        """Whether a write has started and not finished. Also true if the helper was killed in the middle of it."""
        return not self._store.read_text()

    @property
    def logins(self) -> dict[str, Any]:
        return dict(json.loads(self._store.read_text()))


def good_helper(directory: Path, name: str) -> Path:
    """Create a helper that works. Return the file in which it keeps its logins."""
    program = script(directory, name, _GOOD.format(python=sys.executable))
    return Path(f"{program}.json")


def script(directory: Path, name: str, text: str) -> Path:
    """Create the helper `docker-credential-NAME` with this text."""
    program = directory / f"docker-credential-{name}"
    program.write_text(text)
    program.chmod(0o755)
    return program


def answer(username: str, secret: str) -> str:
    """Return what a helper prints for `get`."""
    return json.dumps({"ServerURL": "x", "Username": username, "Secret": secret})


def kept(store: Path) -> dict[str, Any]:
    """Return the logins in the file of a good helper, by server."""
    return dict(json.loads(store.read_text())) if store.exists() else {}
