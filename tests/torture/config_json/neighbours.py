"""Other programs that write config.json: docker, podman and editors. Each is the real program."""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.rig.machine import Machine
from tests.torture.config_json.documents import others, parse
from tests.torture.config_json.helper import stored
from tests.torture.config_json.site import KEPT, THEIRS, USERS

# Two kinds of editors, both made with sed: this one writes in place, and `sed -i` renames a temporary file.
_IN_PLACE: Final = 'text=$(sed "$1" "$2"; printf x); printf %s "${text%x}" > "$2"'


class Neighbour:
    """The programs of a person whose home directory, with config.json, is `home`."""

    def __init__(self, machine: Machine, home: Path, env: Mapping[str, str]) -> None:
        self._machine: Final = machine
        self._env: Final = {**env, "HOME": str(home)}
        self._home: Final = home
        self.config: Final = home / ".docker/config.json"

    def docker_login(self, hostname: str) -> None:
        args = ("docker", "login", "--username", "person", "--password-stdin", hostname)
        self._run(*args, stdin=USERS["person"])

    def docker_logout(self, hostname: str) -> None:
        self._run("docker", "logout", hostname)

    def podman_login(self, hostname: str) -> None:
        args = ("podman", "login", "--authfile", str(self.config), "--username", "person", "--password-stdin", hostname)
        self._run(*args, stdin=USERS["person"])

    def edit_by_rename(self, hostname: str) -> None:
        self._run("sed", "-i", "--follow-symlinks", _edit(hostname), str(self.config))

    def edit_in_place(self, hostname: str) -> None:
        self._run("sh", "-euc", _IN_PLACE, "sh", _edit(hostname), str(self.config))

    def state(self) -> tuple[dict[str, Any], dict[str, Any], int, int, int]:
        """Return what is not the agent's in the file and in the helper's store, and the file's mode, user and group.

        The order of keys does not count when these are compared, because docker sorts them.
        """
        held = self.config.stat()
        foreign = others(parse(self.config.read_bytes()), KEPT)
        kept = {host: login for host, login in stored(self._home).items() if host not in KEPT}
        return foreign, kept, stat.S_IMODE(held.st_mode), held.st_uid, held.st_gid

    def _run(self, *args: str, stdin: str = "") -> None:
        done = self._machine.namespace.run(*args, env=self._env, stdin=stdin)
        assert done.returncode == 0, (args, done.stderr)


def _edit(hostname: str) -> str:
    """Return a sed script that sets a new `x-team`. docker and podman do not know this key, and drop it."""
    return f's/"x-team": "[^"]*", *//; 1s/{{/{{"x-team": "edit {THEIRS.index(hostname)}", /'
