"""A config.json full of what is not the agent's, and checks that nothing of it has changed."""

import json
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final, NamedTuple

MODE: Final = 0o640
OWNER: Final = (12345, 54321) if os.geteuid() == 0 else (os.geteuid(), os.getegid())

# Digits that a float would lose, keys that only look alike, deep nesting, many scripts, and unexpected types.
FOREIGN: Final = """{
  "psFormat": "table {{.ID}}\\t{{.Names}}", "HttpHeaders": {"X-Meta": "ünï \\u2028 \\ud83d\\ude00", "x-meta": ""},
  "auths": {
    "their.example": {"auth": "eW91OnRoZWly", "email": "a@b", "x-unknown": [1.10, null]},
    "THEIR.example": {"auth": "eW91OnRoZWly"}, "https://their.example/v1/": {}, "their.example:443": null,
    "": {"username": "u", "password": "p"}
  },
  "unknown": [1.10, -0, 1E400, 12345678901234567890123, {"x": null, "": [], "\\u0000": {"deep": [[[[{}]]]]}}],
  "plugins": {"auths": {"ghcr.io": "not ours"}}, "proxies": {"default": {"httpProxy": "http://p.example:1"}}
}"""


class Number(NamedTuple):
    """A number as its digits, so that a lost digit is noticed."""

    digits: str


def parse(data: bytes) -> dict[str, Any]:
    """Parse a JSON object. The order of keys and the spelling of numbers stay. Fails if it is no JSON object."""
    document = json.loads(data, parse_int=Number, parse_float=Number)
    assert isinstance(document, dict)
    return document


def others(document: dict[str, Any], ours: Collection[str]) -> dict[str, Any]:
    """Return what is not the agent's. A file without `auths` counts as one with an empty `auths`."""
    auths = document.get("auths") or {}
    return {**document, "auths": {key: entry for key, entry in auths.items() if key not in ours}}


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether both are equal, including the order of the keys."""
    return json.dumps(one) == json.dumps(other)


def lay(path: Path, text: str = FOREIGN) -> None:
    """Write the file, with a mode and an owner that no program would choose by itself."""
    path.write_text(text)
    path.chmod(MODE)
    os.chown(path, *OWNER)


def faults_of(path: Path, expected: dict[str, Any], ours: Collection[str], *, permissions: bool = True) -> list[str]:
    """Return what is wrong with the file: it is not JSON, foreign content has changed, or the mode or owner has."""
    try:
        document = parse(path.read_bytes())
    except (OSError, ValueError, AssertionError) as error:
        return [f"not to be read: {error!r}"]
    found = []
    if not same(others(document, ours), expected):
        found.append(f"what is not ours changed: {json.dumps(others(document, ours))}")
    held = path.stat()
    if permissions and (stat.S_IMODE(held.st_mode), held.st_uid, held.st_gid) != (MODE, *OWNER):
        found.append(f"mode {held.st_mode:o}, owner {held.st_uid}:{held.st_gid}")
    return found


def temporary_files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.name.startswith(".config.json."))
