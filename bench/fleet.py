"""`make fleet`: simulates a week of fleets of several sizes, with the rules before and now. Updates docs/fleet.md."""

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from bench.crowd.outcome import Outcome, outcome_of
from bench.crowd.plots import draw
from bench.crowd.record import Record
from bench.crowd.simulation import QUOTA, simulate
from bench.crowd.tables import said, table, write_into
from bench.crowd.week import Week, office_week

_ROOT: Final = Path(__file__).resolve().parent.parent
_DOCUMENT: Final = _ROOT / "docs" / "fleet.md"
_SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)
_QUICK: Final = (1_000, 10_000)
_CLOSER: Final = 100_000
"""The fleet size of the enlarged plots. The agent's rules are set for this size."""
_TUESDAY: Final = 14.5


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.fleet", description="A week of many environments against ECR's quota.")
    parser.add_argument("--environments", type=int, nargs="+", default=_SIZES, metavar="N", help="sizes of the fleet")
    parser.add_argument("--quick", action="store_true", help="1,000 and 10,000 environments only")
    parser.add_argument(
        "--outage", type=float, default=_TUESDAY, metavar="HOUR", help="when AWS fails on Tuesday (14.5)"
    )
    args = parser.parse_args()
    sizes = _QUICK if args.quick else tuple(args.environments)
    week = office_week(args.outage)
    outcomes: list[Outcome] = []
    closer: dict[str, Record] = {}
    for number in sizes:
        for plain in (True, False):
            outcome, record = _week_of(number, week, plain=plain)
            outcomes.append(outcome)
            if number == _CLOSER:
                closer[f"{number:,}, rules before" if plain else f"{number:,}, rules now"] = record
    if sizes == _SIZES and args.outage == _TUESDAY:
        write_into(_DOCUMENT, table(outcomes))
        now = [outcome for outcome in outcomes if not outcome.plain]
        for path in (_DOCUMENT, *draw(_ROOT / "docs" / "images", now, closer, week, QUOTA)):
            print(f"written: {path.relative_to(_ROOT)}")
    return 0


def _week_of(number: int, week: Week, *, plain: bool) -> tuple[Outcome, Record]:
    begun = time.monotonic()
    record = simulate(number, week, plain=plain)
    outcome = outcome_of(record, week, number=number, plain=plain, quota=QUOTA)
    print(said(outcome))
    print(f"fleet: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return outcome, record


if __name__ == "__main__":
    sys.exit(main())
