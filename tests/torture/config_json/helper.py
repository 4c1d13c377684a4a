"""A credential helper that locks its store. The store is in the caller's home directory."""

import json
import sys
from pathlib import Path
from typing import Final

NAME: Final = "torture"
_STORE: Final = "helper.json"
_PROGRAM: Final = """#!{python} -IS
import fcntl, json, os, pathlib, sys
store = pathlib.Path(os.environ["HOME"], "{store}")
with open(store.with_suffix(".lock"), "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    logins = json.loads(store.read_text()) if store.exists() else {{}}
    action, text = sys.argv[1], sys.stdin.read().strip()
    if action == "get":
        if text not in logins:
            sys.exit("credentials not found in native keychain")
        print(json.dumps(logins[text]))
    elif action == "store":
        logins[json.loads(text)["ServerURL"]] = json.loads(text)
    else:
        logins.pop(text, None)
    store.with_suffix(".new").write_text(json.dumps(logins))
    store.with_suffix(".new").replace(store)
"""


def put_helper(directory: Path) -> None:
    """Create `directory`, which is on the PATH, with the program."""
    directory.mkdir()
    program = directory / f"docker-credential-{NAME}"
    program.write_text(_PROGRAM.format(python=sys.executable, store=_STORE))
    program.chmod(0o755)


def stored(home: Path) -> dict[str, dict[str, str]]:
    """Return the logins that the helper keeps in that home directory, by server."""
    store = home / _STORE
    return dict(json.loads(store.read_text())) if store.exists() else {}
