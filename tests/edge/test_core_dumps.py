"""Core dumps: the kernel's own word on whether there was one, and what a dump would hold. With real crashes."""

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
# A process in the agent's place, and a child that crashes with a secret in its memory, as a `docker login` would.
# Arguments: whether the agent hardens itself, and whether the limit is left as it was.
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
told = process.stdout.read().decode().strip()
_, status = os.waitpid(process.pid, 0)
print(json.dumps({
    "limit": resource.getrlimit(resource.RLIMIT_CORE),
    "signal": os.WTERMSIG(status), "dumped": os.WCOREDUMP(status), "filter": int(told, 16),
}))
"""


def _crash(directory: Path, *how: str, hard: int = resource.RLIM_INFINITY, before: tuple[str, ...] = ()) -> Any:
    """What became of a child that crashed below an agent whose own parent left it this hard limit."""
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
    seen = json.loads(done.stdout)
    assert seen["signal"] == signal.SIGSEGV
    return seen


_ordinary: Final = pytest.mark.skipif(
    os.geteuid() != 0 and resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY,
    reason="only root can lift the hard limit that somebody set on core dumps here",
)


@_ordinary
def test_a_child_that_crashes_leaves_no_core(tmp_path: Path) -> None:
    """Whatever the machine does with cores, file or collector: by the kernel's word there was none."""
    seen = _crash(tmp_path, "hardened", "limited")
    assert not seen["dumped"]
    assert seen["limit"] == [1, 1]
    assert [*tmp_path.iterdir()] == []


@_ordinary
def test_a_dump_would_hold_no_memory(tmp_path: Path) -> None:
    """Where a limit of 0 was there first, a collector still gets something: it is without any of the child's memory.

    What a dump holds is looked at where the kernel writes it into the working directory.
    """
    readable = "/" not in PATTERN and not PATTERN.startswith(("|", "@"))
    if readable and _crash(tmp_path, "plain", "unlimited")["dumped"]:
        assert CANARY.encode() in _taken(tmp_path)
        assert _crash(tmp_path, "hardened", "unlimited")["dumped"]
        assert CANARY.encode() not in _taken(tmp_path)
    assert _crash(tmp_path, "hardened", "unlimited")["filter"] == 0


def test_a_hard_limit_of_zero_stays(tmp_path: Path) -> None:
    """As in a container with `--ulimit core=0`: an ordinary user cannot raise it, and the agent starts all the same."""
    before: tuple[str, ...] = ()
    if os.geteuid() == 0:
        need("setpriv")
        before = ("setpriv", "--bounding-set=-all")
    seen = _crash(tmp_path, "hardened", "limited", hard=0, before=before)
    assert (seen["limit"], seen["filter"]) == ([0, 0], 0)


def _taken(directory: Path) -> bytes:
    (core,) = directory.iterdir()
    content = core.read_bytes()
    core.unlink()
    return content
