"""How long a campaign is, from which seed it draws, and how it says what it saw."""

import os
import secrets
from functools import cache
from random import Random

import pytest


def factor() -> float:
    """`TORTURE`: 1 is what was asked for, 0.01 a trial."""
    return float(os.environ.get("TORTURE", "1"))


def times(full: int) -> int:
    """So many of `full` as `TORTURE` asks for, at least one."""
    return max(1, round(full * factor()))


@cache
def seed() -> int:
    """`TORTURE_SEED`, else one drawn for this run: printed by `say`, so that a failure can be repeated."""
    return int(os.environ.get("TORTURE_SEED") or secrets.randbelow(2**32))


def chance(topic: str) -> Random:
    """Randomness of one campaign's own: which others ran before changes nothing."""
    return Random(f"{seed()} {topic}")  # noqa: S311 - picks moments, guards nothing


def say(capsys: pytest.CaptureFixture[str], topic: str, *figures: str) -> None:
    """Prints what was seen past pytest's capture, one line for each figure, with the seed."""
    with capsys.disabled():
        for figure in figures:
            print(f"\n[torture] {topic}: {figure} (TORTURE={factor():g} TORTURE_SEED={seed()})", end="")  # noqa: T201
        print(flush=True)  # noqa: T201
