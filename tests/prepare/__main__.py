"""`python -m tests.prepare [torture | STEP ...]` makes what the tests need. `make test` runs it before pytest."""

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from tests.prepare.step import Step, StepError
from tests.prepare.steps import AWS_2, STEPS, TORTURE_STEPS

_AT_ONCE: Final = 2
_ALL: Final = (*STEPS, *TORTURE_STEPS, AWS_2)
_WIDTH: Final = max(len(step.name) for step in _ALL)


def main(names: Sequence[str]) -> int | str:
    """Make the steps with these names, and those that they need. Without a name, make all that `make test` needs.

    The name "torture", alone, means the steps that only `make torture` needs.
    """
    by_name = {step.name: step for step in _ALL}
    if [*names] == ["torture"]:
        names = [step.name for step in TORTURE_STEPS]
    if unknown := set(names) - by_name.keys():
        return f"prepare: no step {', '.join(sorted(unknown))}; there are {', '.join(by_name)}"
    wanted = [by_name[name] for name in names] or [*STEPS]
    began = time.monotonic()
    jobs: dict[str, Future[bool]] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for step in _in_order(wanted):
            before = [jobs[each.name] for each in step.after]
            jobs[step.name] = pool.submit(_make, step, before)
        there = [job.result() for job in jobs.values()]
    print(f"prepare: {sum(there)} of {len(there)} steps are there, after {time.monotonic() - began:.0f} s")
    # With CI=true, a test without its step fails. Otherwise it is skipped.
    return 0 if all(there) or os.environ.get("CI") != "true" else 1


def _in_order(steps: Sequence[Step]) -> list[Step]:
    """Return each step once, after the steps that it needs."""
    ordered: list[Step] = []
    for step in steps:
        ordered += [each for each in (*_in_order(step.after), step) if each not in ordered]
    return ordered


def _make(step: Step, before: Sequence[Future[bool]]) -> bool:
    """Make the step if it can be made. Return whether its result exists."""
    if not all(job.result() for job in before):
        return _say(step, "not made, since it needs what is not there", there=False)
    if lacking := step.missing():
        return _say(step, f"not made: needs {', '.join(dict.fromkeys(lacking))}", there=False)
    began = time.monotonic()
    try:
        made = step.run()
    except (StepError, OSError) as error:
        return _say(step, f"failed after {time.monotonic() - began:.0f} s: {error}", there=False)
    return _say(step, f"made in {time.monotonic() - began:.0f} s" if made else "kept from before", there=True)


def _say(step: Step, what: str, *, there: bool) -> bool:
    # One write, so that the lines of steps that run at the same time do not mix.
    print(f"prepare: {step.name:<{_WIDTH}}  {what}\n", end="", flush=True)
    return there


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
