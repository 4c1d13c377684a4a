"""The length and the seed of a campaign, and how it prints its results."""

import os
import secrets
from functools import cache
from random import Random

import pytest


def factor() -> float:
    """Return `TORTURE`: 1 is the full length, 0.01 is a trial."""
    return float(os.environ.get("TORTURE", "1"))


def times(full: int) -> int:
    """Return `full` multiplied by `TORTURE`, at least 1."""
    return max(1, round(full * factor()))


@cache
def seed() -> int:
    """Return `TORTURE_SEED`, or a random seed for this run. `say` prints it, so that a failure can be repeated."""
    return int(os.environ.get("TORTURE_SEED") or secrets.randbelow(2**32))


def chance(topic: str) -> Random:
    """Return random numbers for one campaign. They do not depend on which campaigns ran before."""
    return Random(f"{seed()} {topic}")  # noqa: S311 - not used for security


def say(capsys: pytest.CaptureFixture[str], topic: str, *figures: str) -> None:
    """Print each figure on its own line with the seed, even if pytest captures the output."""
    with capsys.disabled():
        for figure in figures:
            print(f"\n[torture] {topic}: {figure} (TORTURE={factor():g} TORTURE_SEED={seed()})", end="")  # noqa: T201
        print(flush=True)  # noqa: T201
