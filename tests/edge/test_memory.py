"""Tests of what keeps the memory of the process small."""

import subprocess
import sys

_GROWN = """
import ctypes, threading
from agent.edge.memory import return_freed_memory
if {called}:
    return_freed_memory()
def rss():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
before = rss()
def work():
    blocks = [libc.malloc(60000) for _ in range(200)]
    for block in blocks:
        ctypes.memset(block, 1, 60000)
    kept = libc.malloc(64)
    for block in blocks:
        libc.free(ctypes.c_void_p(block))
for _ in range(12):
    thread = threading.Thread(target=work); thread.start(); thread.join()
libc.free(ctypes.c_void_p(libc.malloc(20 << 20)))
blocks = [libc.malloc(1 << 20) for _ in range(20)]
for block in blocks:
    ctypes.memset(block, 1, 1 << 20)
for block in blocks:
    libc.free(ctypes.c_void_p(block))
print(rss() - before)
"""


def grown_kb(*, called: bool) -> int:
    """Return by how much a process grows after it has used threads and large blocks."""
    done = subprocess.run(
        [sys.executable, "-c", _GROWN.format(called=called)], capture_output=True, text=True, check=True, timeout=60
    )
    return int(done.stdout)


def test_returns_freed_memory_to_the_system() -> None:
    """The process hardly grows. With the default settings it grows a lot."""
    assert grown_kb(called=True) < 4 << 10 < grown_kb(called=False)


def test_the_collector_skips_loaded_objects_and_frees_cycles() -> None:
    """Objects from the start are skipped. A cycle that was created later is freed."""
    program = """
import gc, weakref
from agent.edge.memory import collect, freeze_loaded_objects
class Held: pass
freeze_loaded_objects()
gc.disable()
one = Held(); one.itself = one
seen = weakref.ref(one)
del one
assert seen() is not None
collect()
print(seen(), len(gc.get_objects()) < gc.get_freeze_count() / 10)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["None", "True"]
