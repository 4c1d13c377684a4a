"""Tests of core dumps with real crashes: whether the kernel wrote a dump, and what a dump would contain."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.rig.needs import need

CANARY: Final = "canary-in-the-memory-of-a-child"
PATTERN: Final = Path("/proc/sys/kernel/core_pattern").read_text().strip()
# Plays the agent, with a child that crashes with a secret in its memory, as a `docker login` could.
# Arguments: whether the agent hardens itself, and whether it leaves the limit unchanged.
_PARENT: Final = """
import json, os, resource, subprocess, sys
from agent.edge.core_dumps import disable_core_dumps
if sys.argv[2] == "unlimited":
    resource.setrlimit = lambda *_: None
if sys.argv[1] == "hardened":
    disable_core_dumps()
child = '''
import os, signal, sys
secret = bytearray(sys.stdin.buffer.read())
print(open("/proc/self/coredump_filter").read())
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGSEGV)
'''
process = subprocess.Popen([sys.executable, "-IS", "-c", child], stdin=-1, stdout=-1)
process.stdin.write(sys.argv[3][::-1].encode())
process.stdin.close()
printed = process.stdout.read().decode().strip()
_, status = os.waitpid(process.pid, 0)
print(json.dumps({
    "limit": resource.getrlimit(resource.RLIMIT_CORE),
    "signal": os.WTERMSIG(status), "dumped": os.WCOREDUMP(status), "filter": int(printed, 16),
}))
"""


def _crash(directory: Path, *how: str, hard: int = resource.RLIM_INFINITY, before: tuple[str, ...] = ()) -> Any:
    """Return how a child of the agent crashed. `hard` is the hard limit that the agent starts with."""
    args = [*before, sys.executable, "-c", _PARENT, *how, CANARY[::-1]]
    done = subprocess.run(
        args,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
    )
    crash = json.loads(done.stdout)
    assert crash["signal"] == signal.SIGSEGV
    return crash


_needs_a_high_limit: Final = pytest.mark.skipif(
    os.geteuid() != 0 and resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY,
    reason="only root can raise the hard limit for core dumps on this machine",
)


@_needs_a_high_limit
def test_a_crashing_child_leaves_no_core_dump(tmp_path: Path) -> None:
    """The kernel reports that there was no dump, whether the machine uses files or a collector."""
    crash = _crash(tmp_path, "hardened", "limited")
    assert not crash["dumped"]
    assert crash["limit"] == [1, 1]
    assert [*tmp_path.iterdir()] == []


@_needs_a_high_limit
def test_a_dump_would_contain_no_memory(tmp_path: Path) -> None:
    """With an existing limit of 0, a collector still gets a dump, but without the memory of the child.

    The test checks the content of the dump only if the kernel writes it to the working directory.
    """
    readable = "/" not in PATTERN and not PATTERN.startswith(("|", "@"))
    if readable and _crash(tmp_path, "plain", "unlimited")["dumped"]:
        assert CANARY.encode() in _read_and_remove(tmp_path)
        assert _crash(tmp_path, "hardened", "unlimited")["dumped"]
        assert CANARY.encode() not in _read_and_remove(tmp_path)
    assert _crash(tmp_path, "hardened", "unlimited")["filter"] == 0


def test_a_hard_limit_of_zero_stays(tmp_path: Path) -> None:
    """In a container with `--ulimit core=0`, a normal user cannot raise the limit. The agent starts anyway."""
    before: tuple[str, ...] = ()
    if os.geteuid() == 0:
        need("setpriv")
        before = ("setpriv", "--bounding-set=-all")
    crash = _crash(tmp_path, "hardened", "limited", hard=0, before=before)
    assert (crash["limit"], crash["filter"]) == ([0, 0], 0)


def _read_and_remove(directory: Path) -> bytes:
    (core,) = directory.iterdir()
    content = core.read_bytes()
    core.unlink()
    return content
