"""A machine with a real systemd, booted by systemd-nspawn."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Final

from tests.rig.namespace import Namespace
from tests.rig.waiting import until

USER: Final = "ada"
"""The user whose agent runs on the machine."""
_BOOT_S: Final = 300.0
_COMMAND_S: Final = 300.0
_NAMES: Final = count(1)
# Each machine gets its own control group. nspawn always uses the same name for it, so two systemds would share one.
# All processes in the process namespace end with the session.
_APART: Final = """
for tree in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -e "$tree/cgroup.procs" ] || continue
    mkdir "$tree/$0" && echo $$ >"$tree/$0/cgroup.procs"
done
exec setpriv --pdeathsig KILL unshare --pid --fork --kill-child --mount-proc "$@"
"""
_GROUPS: Final = Path("/sys/fs/cgroup")
_ENVIRONMENT: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class Booted:
    """Boots `tree` as a machine. Everything that is written while it runs is discarded by `close`.

    It uses the network and the mounts of `namespace`. `binds` (path inside -> source) are read-only; `sees` (path
    inside -> source) are writable.
    """

    def __init__(
        self,
        namespace: Namespace,
        tree: Path,
        log: Path,
        *,
        binds: Mapping[str, Path] | None = None,
        sees: Mapping[str, Path] | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._log: Final = log
        self._name: Final = f"booted-{os.getpid()}-{next(_NAMES)}"
        shown = [f"--bind-ro={what}:{at}" for at, what in (binds or {}).items()]
        shown += [f"--bind={what}:{at}" for at, what in (sees or {}).items()]
        nspawn = [
            "systemd-nspawn",
            "--quiet",
            # There may be no systemd outside to register the machine with.
            "--register=no",
            "--keep-unit",
            f"--directory={tree}",
            f"--machine={self._name}",
            "--volatile=overlay",
            "--console=pipe",
            "--resolv-conf=off",
            *shown,
            *options,
            "--boot",
        ]
        with log.open("wb") as console:
            self._process: Final = subprocess.Popen(
                namespace.args(["sh", "-ec", _APART, self._name, *nspawn]),
                # Control groups version 2, as current machines use them. New versions of systemd require them.
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        self._leader: Final = until("a first process", self._first_process, _BOOT_S)

    def run(
        self, *args: str | Path, user: str | None = None, stdin: str = "", timeout: float = _COMMAND_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside, as root or as `user` with the user's home directory, like after a login."""
        become = ["runuser", "-l", user, "-c", 'exec "$0" "$@"', "--"] if user else []
        enter = ["nsenter", f"--target={self._leader}", "--all", "--wd=/", *become, *map(str, args)]
        return subprocess.run(
            enter,
            env=_ENVIRONMENT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def must(self, *args: str | Path, user: str | None = None, stdin: str = "", timeout: float = _COMMAND_S) -> str:
        """Like `run`, but returns the output. Fails with all of it if the command fails."""
        done = self.run(*args, user=user, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"{args}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def path(self, inside: str) -> Path:
        """The path outside of a file of the machine."""
        return Path(f"/proc/{self._leader}/root{inside}")

    def property(self, name: str, unit: str = "") -> str:
        """A property of a systemd unit, or of the manager if no unit is given."""
        return self.must("systemctl", "show", "--value", f"--property={name}", *([unit] if unit else [])).strip()

    def write(self, inside: str, text: str, *, mode: int = 0o644, owner: str = "root") -> None:
        """Write a file atomically."""
        script = (
            'mkdir -p "${1%/*}"; umask 077; cat >"$1.unfinished"; chmod "$2" "$1.unfinished"; '
            'chown "$3:" "$1.unfinished"; mv "$1.unfinished" "$1"'
        )
        self.must("sh", "-ec", script, "sh", inside, f"{mode:o}", owner, stdin=text)

    def reached(self, unit: str) -> bool:
        with contextlib.suppress(AssertionError):  # systemd may not answer yet
            return self.property("ActiveEnterTimestampMonotonic", unit) not in ("", "0")
        return False

    def wait_for_boot(self) -> "Booted":
        until("multi-user.target", self._is_up, _BOOT_S)
        return self

    def wait_for(self, unit: str) -> "Booted":
        until(f"{unit} to be active", lambda: self.property("ActiveState", unit) == "active", _BOOT_S)
        return self

    def seconds_to(self, unit: str) -> float:
        """Seconds from the start of systemd until `unit` was active."""
        begin = int(self.property("UserspaceTimestampMonotonic"))
        return (int(self.property("ActiveEnterTimestampMonotonic", unit)) - begin) / 1_000_000

    def journal(self, *options: str) -> list[str]:
        return self.must("journalctl", "--no-pager", "--quiet", "--output=cat", *options).splitlines()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        until(f"the end of {self._name}", self._is_gone)

    def _is_up(self) -> bool:
        assert self._process.poll() is None, self._log_tail()
        return self.reached("multi-user.target")

    def _is_gone(self) -> bool:
        groups = [group for tree in ("", "systemd", "unified") if (group := _GROUPS / tree / self._name).is_dir()]
        for group in groups:
            for directory, _, _ in os.walk(group, topdown=False):
                with contextlib.suppress(OSError):  # the last processes are still ending
                    Path(directory).rmdir()
        return not any(group.exists() for group in groups)

    def _first_process(self) -> int | None:
        """The process id outside of the machine's process 1."""
        assert self._process.poll() is None, self._log_tail()
        return next((number for number in _descendants(self._process.pid) if _is_first(number)), None)

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]


def _descendants(number: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{number}/task/{number}/children").read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def _is_first(number: int) -> bool:
    """Whether it is process 1 of the innermost of three process namespaces: ours, nspawn's, and its own."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{number}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                numbers = line.split()[1:]
                return len(numbers) == len(_own_numbers()) + 2 and numbers[-1] == "1"
    return False


def _own_numbers() -> list[str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
