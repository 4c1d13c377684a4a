"""`make bench`: measures every figure, prints the table, and writes it to files."""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from bench.bench import Bench
from bench.figure import Figure
from bench.figures import hour
from bench.machine import machine
from bench.table import for_document, for_terminal, write_into
from tests.prepare.step import hold

_ROOT: Final = Path(__file__).resolve().parent.parent
_JSON: Final = _ROOT / "bench" / "last-run.json"
_DOCUMENT: Final = _ROOT / "docs" / "performance.md"
_HOUR_S: Final = 3600.0
_THEMES: Final = (
    *("hour", "clouds", "start", "ecr", "distant", "tokens", "web", "streams"),
    *("thousand", "thousand_in_memory", "change", "resume", "boot", "helper"),
)
"""In the order of the table."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description="The agent beside what people would use instead.")
    parser.add_argument(
        "--python", type=Path, required=True, help="an interpreter with requirements.lock and the agent"
    )
    parser.add_argument("--runs", type=int, default=11, help="runs for each figure (11)")
    parser.add_argument("--hour", type=float, default=_HOUR_S, help="seconds that the figures of an hour take (3600)")
    parser.add_argument(
        "--only", nargs="+", choices=_THEMES, default=_THEMES, help="some of the figures, not written down"
    )
    args = parser.parse_args()
    hold()
    bench = Bench(args.runs, args.python.absolute(), args.hour, _say)
    where = machine(bench.python)
    figures = _figures(args.only, bench)
    print(for_terminal(figures))
    if tuple(args.only) == _THEMES:
        told = {"machine": where, "figures": [figure.as_json() for figure in figures]}
        _JSON.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        write_into(_DOCUMENT, for_document(figures, where))
        print(f"\nwritten to {_JSON.relative_to(_ROOT)} and {_DOCUMENT.relative_to(_ROOT)}")
    missed = sum(not figure.reached for figure in figures)
    print(f"\n{len(figures) - missed} of {len(figures)} figures met their target")
    return 0


def _figures(themes: Sequence[str], bench: Bench) -> list[Figure]:
    """Measure all figures. The idle hour runs in parallel with the others, and comes first in the table."""
    with hour.begun(bench) if "hour" in themes else nullcontext() as going_on:
        others = [figure for theme in themes if theme != "hour" for figure in _measured(theme, bench)]
        return [*(going_on.figures() if going_on else ()), *others]


def _measured(theme: str, bench: Bench) -> list[Figure]:
    begun = time.monotonic()
    figures: list[Figure] = importlib.import_module(f"bench.figures.{theme}").measure(bench)
    bench.say(f"{theme}: {time.monotonic() - begun:.0f} s")
    return figures


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
