"""A person's real `pass` store, kept by git, and Docker's own helper for it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.prepare.steps import PASS_HELPER
from tests.rig.namespace import environment
from tests.rig.needs import need, prepared
from tests.rig.waiting import until

_PERSON: Final = "ada@example.test"
# git runs it below `git add`, which holds the lock of the index. It waits while the gate is there.
_FILTER: Final = """#!/bin/sh
cd "$(dirname "$0")" || exit 1
if [ -p gate ]; then : >waits; cat gate >/dev/null; fi
exec cat
"""


def docker_credential_pass() -> Path:
    """Docker's own helper for `pass`. It is not on PATH, where docker would use it without being asked."""
    return prepared(PASS_HELPER) / "usr/bin/docker-credential-pass"


class PassStore:
    """Made by `pass` itself, with a key without a passphrase. `env` leads to it, and to the helper.

    Between `hold` and `let_go` each write waits while git holds its lock.
    """

    def __init__(self, home: Path, helper: Path) -> None:
        self._filter: Final = home / "filter"
        self.path: Final = home / ".password-store"
        self.env: Final = environment(
            HOME=str(home),
            GNUPGHOME=str(home / ".gnupg"),
            PASSWORD_STORE_DIR=str(self.path),
            PATH=f"{helper.parent}:{os.environ['PATH']}",
        )
        (home / ".gnupg").mkdir(mode=0o700)
        self._run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", _PERSON, "future-default", "default")
        self._run("pass", "init", _PERSON)
        self._run("git", "init", "--quiet", str(self.path))
        self._run("pass", "git", "config", "user.name", "ada")
        self._run("pass", "git", "config", "user.email", _PERSON)
        self._run("pass", "git", "init")
        self._filter.mkdir()
        (self._filter / "wait").write_text(_FILTER)
        (self._filter / "wait").chmod(0o755)
        self._run("pass", "git", "config", "filter.wait.clean", str(self._filter / "wait"))
        (self.path / ".git/info/attributes").write_text("*.gpg filter=wait\n")

    def close(self) -> None:
        self._run("gpgconf", "--kill", "all")

    @property
    def lock(self) -> Path:
        return self.path / ".git/index.lock"

    def hold(self) -> None:
        os.mkfifo(self._filter / "gate")

    @property
    def waited(self) -> bool:
        """Whether a write has come to where git holds its lock."""
        return (self._filter / "waits").exists()

    def wait_for_write(self) -> None:
        until("a write", lambda: self.waited)
        assert self.lock.exists()

    def let_go(self) -> None:
        gate = self._filter / "gate"
        until("the write that waits", lambda: _let_through(gate))

    def no_longer_hold(self) -> None:
        """Where nothing waits any more."""
        (self._filter / "gate").unlink()

    def insert(self, name: str, secret: str) -> subprocess.CompletedProcess[str]:
        """What a person does: `pass insert`."""
        return self._do("pass", "insert", "--multiline", name, stdin=secret)

    def show(self, name: str) -> str:
        return self._run("pass", "show", name)

    def listed(self) -> str:
        return self._run("pass", "ls")

    def committed(self) -> bool:
        """Whether git has all of it."""
        return not self._run("pass", "git", "status", "--porcelain")

    def _run(self, *args: str) -> str:
        done = self._do(*args)
        assert done.returncode == 0, f"{args}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def _do(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(args, env=self.env, input=stdin, capture_output=True, text=True, check=False)


@contextmanager
def pass_store(helper: Path) -> Iterator[PassStore]:
    """In a directory with a short name: the path of a socket, such as gpg-agent's, has 108 bytes at most."""
    need("pass", "gpg", "git")
    with tempfile.TemporaryDirectory(prefix="pass-") as home:
        store = PassStore(Path(home), helper)
        yield store
        store.close()


def _let_through(gate: Path) -> bool:
    """Let the reader that waits at this FIFO go on; False where none has come to it yet."""
    try:
        writer = os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    gate.unlink()
    os.close(writer)
    return True
