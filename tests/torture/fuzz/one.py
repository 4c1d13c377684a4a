"""Fuzzes one target in a separate process: `python -m tests.torture.fuzz.one NAME RUNS SEED DIRECTORY`.

Uses atheris (libFuzzer, guided by the coverage of the agent's code) if it is installed, and else only mutations. An
input that crashes or is too slow is saved in DIRECTORY as `crash-…` or `timeout-…`. The exit code is then not 0.
"""

import hashlib
import importlib
import importlib.util
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Final

_HANG_S: Final = 10
_LONGEST: Final = 4096
_PATIENCE: Final = 4.0
"""Instrumented code is slower, and so is code on a busy processor."""


def main(name: str, runs: int, seed: int, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec("atheris") is None:
        _mutate(name, runs, seed, directory)
    else:
        _atheris(name, runs, seed, directory)


def _atheris(name: str, runs: int, seed: int, directory: Path) -> None:
    atheris = importlib.import_module("atheris")  # it may be missing

    with atheris.instrument_imports(include=["agent"], exclude=["agent.demo", "agent.cli"]):
        from tests.fuzz.all_targets import all_targets  # noqa: PLC0415 - what it imports is instrumented
    from tests.fuzz.target import run  # noqa: PLC0415 - only after the instrumented imports

    target = all_targets()[name]
    corpus = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    for number, each in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(each)
    words = corpus.with_suffix(".words")
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    options = [
        f"-runs={runs}",
        f"-seed={seed % 2**31 + 1}",
        f"-max_len={_LONGEST}",
        "-len_control=10",
        f"-timeout={_HANG_S}",
        f"-dict={words}",
        f"-artifact_prefix={directory}/",
        "-print_final_stats=1",
        "-rss_limit_mb=2048",
    ]
    atheris.Setup(
        [sys.argv[0], *options, str(corpus)],
        lambda data: run(target, data, patience=_PATIENCE),
    )
    atheris.Fuzz()


def _mutate(name: str, runs: int, seed: int, directory: Path) -> None:
    from tests.fuzz.all_targets import all_targets  # noqa: PLC0415 - at the top it would precede atheris
    from tests.fuzz.mutation import mutated  # noqa: PLC0415 - as above
    from tests.fuzz.target import run  # noqa: PLC0415 - as above

    target, random = all_targets()[name], Random(seed)  # noqa: S311 - not used for security
    for _ in range(runs):
        data = mutated(target, random)
        try:
            run(target, data)
        except BaseException:
            (directory / f"crash-{hashlib.sha1(data, usedforsecurity=False).hexdigest()}").write_bytes(data)
            raise
    print(f"Done {runs} runs, by mutations alone: atheris is not installed")  # noqa: T201 - read by the campaign


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
