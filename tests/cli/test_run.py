"""`registry-agent run`, before there is an agent to speak of."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

# Sends itself signals while it loads; whoever heeds them later than that is ended by them.
_LOADING: Final = """
import os, sys
numbers = map(int, sys.argv.pop(1).split(","))
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "agent.app":
            for number in numbers:
                os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder)
from agent.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("words", "code"), [((), 0), (("--once",), 2)])
def test_a_signal_while_it_loads(tmp_path: Path, ending: signal.Signals, words: tuple[str, ...], code: int) -> None:
    """SIGHUP does not end it; SIGTERM ends it well, but one pass that was not made has logged nobody in."""
    signals = f"{signal.SIGHUP:d},{ending:d}"
    command = [sys.executable, "-c", _LOADING, signals, "run", *words]
    environ = {"RUNTIME_DIRECTORY": str(tmp_path), "STATE_DIRECTORY": str(tmp_path), "HOME": str(tmp_path)}
    ended = subprocess.run(
        command, env=environ, cwd=Path(__file__).parents[2], capture_output=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, b"", b"")
