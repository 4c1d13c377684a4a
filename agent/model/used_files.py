"""Leaves out the problems of files that are used in another way than as a secret."""

from collections.abc import Iterable, Iterator

from agent.model.problem import Problem
from agent.model.text import escaped, printable


def without_files(problems: Iterable[Problem], used: Iterable[object]) -> tuple[Problem, ...]:
    """Return the problems except those about files that are `used` otherwise.

    For example a token file in the settings, or the password file of a secret.
    """
    known = {printable(escaped(str(path))) for path in used}
    return tuple(problem for problem in problems if known.isdisjoint(paths_of(problem.subject)))


def paths_of(subject: str) -> Iterator[str]:
    """Yield what may be the file of a problem with this subject.

    A password file may hold JSON. Its subject is then `path#name`, as that of a secret. Both may contain a `#`.
    """
    yield subject
    end = subject.find("#")
    while end >= 0:
        yield subject[:end]
        end = subject.find("#", end + 1)
