"""A million inputs for each parser of outside text: no crash, no hang, and no secret is shown."""

import re
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz.all_targets import NAMES, all_targets
from tests.fuzz.mutation import pumped
from tests.fuzz.target import run
from tests.torture.campaign import say, seed, times

pytestmark = [pytest.mark.torture, pytest.mark.timeout(0)]

INPUTS: Final = 1_000_000
_ROOT: Final = Path(__file__).parents[3]
_FOUND: Final = _ROOT / "dist/fuzz"
"""Inputs that crash or hang are saved here."""


@pytest.mark.parametrize("name", NAMES)
def test_a_million_inputs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The parser raises only its declared error, whatever the input is."""
    runs, directory, begun = times(INPUTS), _FOUND / name, time.monotonic()
    before = set(directory.glob("*"))
    ended = subprocess.run(
        [sys.executable, "-m", "tests.torture.fuzz.one", name, str(runs), str(seed()), str(directory)],
        cwd=_ROOT,
        capture_output=True,
        check=False,
    )
    output = ended.stdout.decode(errors="replace") + ended.stderr.decode(errors="replace")
    found = sorted(str(path) for path in set(directory.glob("*")) - before)
    covered = re.findall(r"cov: (\d+)", output)
    how = f"{covered[-1]} edges of the agent's code" if covered else "by mutations alone, without atheris"
    seconds = time.monotonic() - begun
    say(capsys, f"fuzzing {name}", f"{runs} inputs in {seconds:.0f} s, {how}, {len(found)} crashes or hangs")
    assert ended.returncode == 0, f"{found}\n{output[-4000:]}"
    assert not found
    assert re.search(rf"Done {runs} ", output), output[-2000:]


@pytest.mark.parametrize("name", NAMES)
def test_no_parser_is_slow(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """64 KB of each word between each other one. A parser that is slower than linear would take seconds."""
    target, worst = all_targets()[name], 0.0
    pairs = list(product(target.words, (b"", *target.words)))
    pairs = pairs[: max(len(target.words), times(len(pairs)))]
    for word, other in pairs:
        begun = time.monotonic()
        run(target, pumped(word, other))
        worst = max(worst, time.monotonic() - begun)
    say(capsys, f"64 KB for {name}", f"{len(pairs)} inputs, {worst * 1000:.0f} ms at most")
