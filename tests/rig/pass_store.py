"""A real `pass` store with git, and Docker's credential helper for it."""

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
# git runs this during `git add`, which holds the lock of the index. It waits as long as the gate exists.
_FILTER: Final = """#!/bin/sh
cd "$(dirname "$0")" || exit 1
if [ -p gate ]; then : >waits; cat gate >/dev/null; fi
exec cat
"""


def docker_credential_pass() -> Path:
    """Docker's credential helper for `pass`. It is not on PATH, because docker would use it there by default."""
    return prepared(PASS_HELPER) / "usr/bin/docker-credential-pass"


class PassStore:
    """A store that `pass` itself creates, with a key without a passphrase. `env` selects it, and the helper.

    Between `hold` and `let_go`, each write waits while git holds its lock.
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
        """Whether a write waits while git holds its lock."""
        return (self._filter / "waits").exists()

    def wait_for_write(self) -> None:
        until("a write", lambda: self.waited)
        assert self.lock.exists()

    def let_go(self) -> None:
        gate = self._filter / "gate"
        until("the write that waits", lambda: _let_through(gate))

    def no_longer_hold(self) -> None:
        """Remove the gate, when no write waits for it."""
        (self._filter / "gate").unlink()

    def insert(self, name: str, secret: str) -> subprocess.CompletedProcess[str]:
        """Insert a secret like a person does: `pass insert`."""
        return self._do("pass", "insert", "--multiline", name, stdin=secret)

    def show(self, name: str) -> str:
        return self._run("pass", "show", name)

    def listed(self) -> str:
        return self._run("pass", "ls")

    def committed(self) -> bool:
        """Whether all changes are committed to git."""
        return not self._run("pass", "git", "status", "--porcelain")

    def _run(self, *args: str) -> str:
        done = self._do(*args)
        assert done.returncode == 0, f"{args}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def _do(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(args, env=self.env, input=stdin, capture_output=True, text=True, check=False)


@contextmanager
def pass_store(helper: Path) -> Iterator[PassStore]:
    """Create a store in a directory with a short name: the path of gpg-agent's socket is limited to 108 bytes."""
    need("pass", "gpg", "git")
    with tempfile.TemporaryDirectory(prefix="pass-") as home:
        store = PassStore(Path(home), helper)
        yield store
        store.close()


def _let_through(gate: Path) -> bool:
    """Release the reader that waits at this FIFO. False if there is none yet."""
    try:
        writer = os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    gate.unlink()
    os.close(writer)
    return True
