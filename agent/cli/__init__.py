"""What every command shares: output, error output, standard input and wrong usage."""

import argparse
import functools
import io
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from agent.model.exit_codes import USAGE

if TYPE_CHECKING:
    from agent.settings_loader import Loaded

FAILED: Final = 1
INTERRUPTED: Final = 130

Work = Callable[[argparse.Namespace], int]


class CommandError(Exception):
    """Ends a command: its text is printed on standard error, and `code` is the exit code."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code: Final = code


def command(name: str, *failures: type[Exception], leaves_threads: bool = False) -> Callable[[Work], Work]:
    """Wrap a command in the handling that all commands share.

    Standard input becomes empty: nothing in the process, not even a library, may read what a person types, or prompt.

    Args:
        name: the command's name, for error messages.
        failures: exceptions whose text is printed. The exit code is 1.
        leaves_threads: end the process at once, without waiting for threads that may hang in a file system, a name
            server or a full pipe.
    """

    def around(work: Work) -> Work:
        @functools.wraps(work)
        def run(args: argparse.Namespace) -> int:
            _open_closed_streams()
            if isinstance(sys.stdout, io.TextIOWrapper):  # a test or an embedding program may have replaced it
                sys.stdout.reconfigure(errors="replace")
            _empty_stdin()
            code = _code_of(name, failures, work, args)
            if leaves_threads:
                os._exit(code)
            return code

        return run

    return around


def _code_of(name: str, failures: tuple[type[Exception], ...], work: Work, args: argparse.Namespace) -> int:
    try:
        _check_assignments(args)
        return work(args)
    except CommandError as error:
        write_error(name, str(error))
        return error.code
    except failures as error:
        write_error(name, str(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def loaded_settings(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> "Loaded":
    """Load the settings that the arguments `--config` and `--set` select."""
    # Imported here because most commands need no settings.
    from agent.settings_loader import parse_assignments  # noqa: PLC0415
    from agent.settings_loader.reader import read_settings  # noqa: PLC0415

    return read_settings(Path(args.config) if args.config else None, environ, parse_assignments(args.set or []))


def prepare_for_secrets() -> None:
    """Set up a process that knows passwords and starts children."""
    import asyncio  # noqa: PLC0415 - most commands need neither

    from agent.edge.core_dumps import disable_core_dumps  # noqa: PLC0415

    disable_core_dumps()  # a core dump would contain the passwords
    if sys.version_info < (3, 12):  # the default since 3.12; the older default starts a thread for each child
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())


def seconds(argument: str) -> float:
    """Parse an argument that must be a number of seconds above 0."""
    value = float(argument)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{argument} is not a number of seconds above 0")
    return value


def registry(argument: str) -> str:
    """Return the canonical name of an argument that must be a registry's host name."""
    from agent.model.registry import HostnameError, parse_hostname  # noqa: PLC0415 - most commands need no registry

    try:
        return parse_hostname(argument).hostname
    except HostnameError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def write(lines: str, to: TextIO | None = None) -> bool:
    """Print one or more lines on standard output, or on `to`.

    Returns:
        False if the reader has closed the pipe, as `| head` does. This is not an error.

    Raises:
        CommandError: the output cannot be written for any other reason.
    """
    stream = to or sys.stdout
    try:
        print(lines, file=stream, flush=True)
    except BrokenPipeError:
        _discard(stream)
        return False
    except OSError as error:
        _discard(stream)
        raise CommandError(f"the output cannot be written: {(error.strerror or str(error)).lower()}") from error
    return True


def write_error(name: str, message: str) -> None:
    """Print a message on standard error, with the command's name in front."""
    try:
        print(f"registry-agent {name}: {message}", file=sys.stderr, flush=True)
    except OSError:  # the exit code still reports the failure
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Send further output to /dev/null.

    Otherwise the interpreter would fail at exit, when it flushes what is left in the buffer.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _open_closed_streams() -> None:
    """Open /dev/null for each standard descriptor that is closed, as a supervisor may start us.

    Otherwise the next file or socket would get this number, and our output would go into it.
    """
    for stream in ("stdin", "stdout", "stderr"):
        if getattr(sys, stream) is None:
            null = os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is the closed one
            os.set_inheritable(null, True)  # otherwise a child would have the same gap
            mode = "r" if stream == "stdin" else "w"
            setattr(sys, stream, os.fdopen(null, mode, errors="replace", closefd=False))


def _empty_stdin() -> None:
    """Make reads from standard input return end of file at once."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _check_assignments(args: argparse.Namespace) -> None:
    """Check the form of `--set`, even for commands that use no settings: a typing error must not go unnoticed."""
    if getattr(args, "set", None):
        # Imported here because `--set` is rare, and most commands need nothing else from the settings.
        from agent.settings_loader import parse_assignments  # noqa: PLC0415

        try:
            parse_assignments(args.set)
        except ValueError as error:
            raise CommandError(str(error), USAGE) from error
