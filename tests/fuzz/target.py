"""A target of fuzzing: a parser with its seeds, its words, and what must hold for any input."""

import atexit
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.model.problem import Problem
from agent.model.text import CONTROL

CANARY: Final = "c4n4ry-S3cret-16"
"""The password in the seeds."""
SIZE: Final = 64 * 1024
PER_SIZE_S: Final = 0.1
"""No parser may take longer per 64 KB of input. Otherwise it would hang on a larger one."""
_TRIES: Final = 3
_OTHER_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class TooSlowError(AssertionError):
    """A parser is not linear, or takes too long per byte."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser.

    Attributes:
        name: its name on the command line of the long run.
        check: parses the input, and fails if a promise is broken. Any other exception is a crash.
        seeds: whole valid inputs.
        words: pieces of them, for mutations and for inputs that repeat one piece.
        slowness: how many times as long as others it may take. The work around the parser (files) counts too.
        heaps: each makes an input of a given size with very many different items.
    """

    name: str
    check: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...]
    slowness: float = 1.0
    heaps: tuple[Callable[[int], bytes], ...] = ()


def heap(before: bytes, item: bytes, after: bytes, between: bytes = b"") -> Callable[[int], bytes]:
    """Return a function that makes an input of a given size from different items: `item` with a number for `%d`."""

    def made(size: int) -> bytes:
        number = size // (len(item) + 3)
        return before + between.join(item % each for each in range(number)) + after

    return made


def scratch() -> Path:
    """Return a directory that exists until this process ends. It is in memory if possible, for a million writes."""
    memory = Path("/dev/shm")  # noqa: S108 - what is made there is private
    directory = tempfile.mkdtemp(prefix="fuzz-", dir=memory if os.access(memory, os.W_OK) else None)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)


def run(target: Target, data: bytes, *, patience: float = 1.0) -> None:
    """Check one input, and that it does not take too long. `patience` is for instrumented code, which is slower."""
    limit_s = PER_SIZE_S * max(1.0, len(data) / SIZE) * target.slowness * patience
    took = _timed(target, data)
    for _ in range(_TRIES - 1):
        if took <= limit_s:
            return
        # Other processes take the processor too: the best try counts.
        took = min(took, _timed(target, data))
    if took > limit_s:
        raise TooSlowError(f"{target.name}: {took:.3f} s for {len(data)} bytes")


def assert_printable(text: str) -> None:
    """Check that the text may go to a terminal, and into one line of a log."""
    found = CONTROL.search(text) or _OTHER_CONTROL.search(text)
    assert found is None, f"{found[0]!r} in {text!r}"


def assert_tellable(problem: Problem, secret: str | None = None) -> None:
    """Check that the problem shows no secret, and that nothing in it can move a cursor."""
    for text in (problem.subject, problem.message, problem.hint):
        assert_printable(text)
        assert secret is None or secret not in text, f"{text!r} tells the secret"


def assert_silent(error: Exception, secret: str | None) -> None:
    """Check the same of a parser's own error, because it is shown as well."""
    assert_printable(str(error))
    assert secret is None or secret not in str(error), f"{error!r} tells the secret"


def secret_in(text: str, fields: frozenset[str]) -> str | None:
    """Return the canary if it is in secret fields of a JSON text and nowhere else. Other fields may be shown."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # A text that is not JSON is never quoted.
        return CANARY
    inside: list[str] = []
    outside: list[str] = []
    _sort(value, fields, inside, outside)
    told = any(CANARY in text for text in outside)
    return CANARY if not told and any(CANARY in text for text in inside) else None


def _sort(value: Any, fields: frozenset[str], inside: list[str], outside: list[str]) -> None:
    """Add every text in `value` to `inside` if it is under one of `fields`, or to `outside`."""
    waiting: list[tuple[Any, bool]] = [(value, False)]
    while waiting:
        each, is_secret = waiting.pop()
        if isinstance(each, dict):
            outside += [str(key) for key in each]
            waiting += [(member, is_secret or str(key).lower() in fields) for key, member in each.items()]
        elif isinstance(each, list):
            waiting += [(member, is_secret) for member in each]
        else:
            (inside if is_secret else outside).append(str(each))


def _timed(target: Target, data: bytes) -> float:
    """Return the CPU time of a check, which a busy machine does not make longer."""
    begun = time.process_time()
    target.check(data)
    return time.process_time() - begun
