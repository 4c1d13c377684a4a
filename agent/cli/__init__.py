"""What holds for every command: where its words go, and what is wrong usage of any."""

import argparse
import functools
import os
import sys
from collections.abc import Callable
from typing import Final, TextIO

USAGE: Final = 64  # sysexits.h: EX_USAGE
UNWRITTEN: Final = 1

Work = Callable[[argparse.Namespace], int]


class Unwritable(Exception):  # noqa: N818 - what it says is a fact: the disk is full
    """Nothing can be written where the words go; `command` tells why and ends with 1."""


def command(name: str, *, keyboard: bool = False) -> Callable[[Work], Work]:
    """Put around the work of the command `name` what is the same for all of them.

    Without `keyboard` nothing in the process, libraries included, reads what a person types: standard input is empty.
    """

    def around(work: Work) -> Work:
        @functools.wraps(work)
        def run(args: argparse.Namespace) -> int:
            _open_what_is_closed()
            if not keyboard:
                _empty_stdin()
            try:
                _check_assignments(args)
            except ValueError as error:
                write_error(name, str(error))
                return USAGE
            try:
                return work(args)
            except Unwritable as fault:
                write_error(name, str(fault))
                return UNWRITTEN

        return run

    return around


def write(words: str, to: TextIO | None = None) -> bool:
    """Print one or more lines, on standard output or `to`; whether somebody reads on: to have seen enough is no fault.

    Raises:
        Unwritable: for any other reason.
    """
    stream = to or sys.stdout
    try:
        print(words, file=stream, flush=True)
    except BrokenPipeError:
        _discard(stream)
        return False
    except OSError as fault:
        _discard(stream)
        raise Unwritable(f"the output cannot be written: {(fault.strerror or str(fault)).lower()}") from fault
    return True


def write_error(name: str, words: str) -> None:
    """Print on standard error, in the name of a command; who does not hear it is told by the exit code."""
    try:
        print(f"registry-agent {name}: {words}", file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Whatever else goes there, so that the interpreter does not complain of what is left in it at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _open_what_is_closed() -> None:
    """A supervisor may close standard descriptors: the next file or socket would take their numbers, and hear us."""
    for stream in ("stdin", "stdout", "stderr"):
        if getattr(sys, stream) is None:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, so the one that is missing
            os.set_inheritable(null, True)  # a child would find the same gap
            mode = "r" if stream == "stdin" else "w"
            setattr(sys, stream, os.fdopen(null, mode, errors="replace", closefd=False))


def _empty_stdin() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _check_assignments(args: argparse.Namespace) -> None:
    """Also where the command needs no settings: what is wrong there must not pass for taken.

    Raises:
        ValueError: a `--set` that is none.
    """
    if getattr(args, "set", None):
        # Imported here: few give it, and most commands need nothing else of the settings.
        from agent.settings_loader import parse_assignments  # noqa: PLC0415

        parse_assignments(args.set)
