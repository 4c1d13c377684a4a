"""Credential helpers for tests: real programs, each with one way to behave."""

import json
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
