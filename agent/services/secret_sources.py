"""One source of secrets each: what it gave last, and what is wrong with it now."""

import asyncio
import time
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import SecretsUnavailable
from agent.model.secret import RegistrySecret
from agent.model.secret_formats import FetchResult, ParseResult

_PATIENCE_S: Final = 0.3
"""One that answers later is taken with the next look: the others wait no longer for it."""
_DEADLINE_S: Final = 5.0
"""After this its file system is said to hang; it is asked no second time until it answers."""


class Files(Protocol):
    """All block; `signature` and `read` raise `SecretsUnavailable` where it is there and cannot be listed."""

    def signature(self, directory: Path) -> Hashable: ...
    def directories(self, directory: Path) -> Iterable[Path]: ...
    def read(self, directory: Path) -> Mapping[str, ParseResult]: ...


class Address(Protocol):
    async def fetch(self, url: str, token_file: Path | None, etag: str | None) -> FetchResult: ...


def signature_of(files: Files, directory: Path) -> Hashable:
    """As `Files.signature`, but what cannot be listed has one too."""
    try:
        return files.signature(directory)
    except ProblemError as error:
        return error.problem.message


@dataclass(frozen=True, slots=True)
class _Look:
    """`readings` None: the signature is the same as before, so nothing was opened."""

    signature: Hashable
    readings: Mapping[str, ParseResult] | None


class DirectorySource:
    """A directory, read again when its signature changes, and once more after that.

    The second reading is for a file that was written twice within one tick of the file system's clock.
    """

    def __init__(self, path: Path, files: Files) -> None:
        self._path: Final = path
        self._files: Final = files
        self._readings: dict[str, ParseResult] = {}
        self._signature: Hashable = None
        self._settled = False
        self._unavailable: Problem | None = None
        self._pending: asyncio.Task[_Look] | None = None
        self._asked_at = 0.0
        self.answered = False
        """Whether it was read once, or is known to be unavailable."""

    @property
    def secrets(self) -> tuple[RegistrySecret, ...]:
        return tuple(secret for reading in self._readings.values() for secret in reading.secrets)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The same objects as before where a new look found the same."""
        unavailable = (self._unavailable,) if self._unavailable is not None else ()
        return (*unavailable, *(problem for reading in self._readings.values() for problem in reading.problems))

    @property
    def is_stable(self) -> bool:
        """Whether only a change brings the next look: what it gives was read twice, and nothing failed."""
        return self._settled and self._pending is None

    async def look(self, *, afresh: bool = False) -> None:
        """Read the directory if it changed, or `afresh`; what does not answer is waited for in the next look too.

        What cannot be read keeps what it gave last.
        """
        if self._pending is None:
            known = None if afresh or not self._settled else self._signature
            self._pending = asyncio.create_task(asyncio.to_thread(self._look, known))
            self._asked_at = time.monotonic()
        done, _ = await asyncio.wait({self._pending}, timeout=_PATIENCE_S)
        if not done:
            if time.monotonic() - self._asked_at >= _DEADLINE_S:
                self._fail(SecretsUnavailable(str(self._path), f"{self._path} does not answer: its file system hangs"))
            return
        task, self._pending = self._pending, None
        try:
            self._take(task.result())
        except ProblemError as error:
            self._fail(error.problem)
        except Exception as error:  # noqa: BLE001 - one odd file must not end the agent; its type alone holds no secret
            fault = f"{self._path} cannot be read: a fault of the agent ({type(error).__name__})"
            self._fail(SecretsUnavailable(str(self._path), fault))

    def _look(self, known: Hashable) -> _Look:
        # Taken before the files are read: what changes meanwhile changes the next signature.
        signature = self._files.signature(self._path)
        return _Look(signature, None if signature == known else self._files.read(self._path))

    def _take(self, look: _Look) -> None:
        self.answered, self._unavailable = True, None
        self._settled = look.signature == self._signature
        self._signature = look.signature
        if look.readings is not None:
            self._readings = {
                origin: _with_former(reading, self._readings.get(origin)) for origin, reading in look.readings.items()
            }

    def _fail(self, problem: Problem) -> None:
        self.answered, self._settled = True, False
        if self._unavailable is None or self._unavailable.message != problem.message:
            self._unavailable = problem


@dataclass(slots=True)
class AddressSource:
    """An address; what it gave stays until another one answers, or until there is none."""

    address: Address
    problems: tuple[Problem, ...] = ()
    _reading: ParseResult = field(default_factory=ParseResult)
    _url: str | None = None
    _etag: str | None = None

    @property
    def secrets(self) -> tuple[RegistrySecret, ...]:
        return self._reading.secrets

    async def ask(self, url: str | None, token_file: Path | None) -> Problem | None:
        """Take what the URL gives now, or nothing if there is no URL. Returns why it gave nothing.

        After a problem, what it gave last is kept.
        """
        if url != self._url:
            self._url, self._etag = url, None
        if url is None:
            self._reading, self.problems = ParseResult(), ()
            return None
        try:
            answer = await self.address.fetch(url, token_file, self._etag)
        except ProblemError as error:
            self.problems = (error.problem, *self._reading.problems)
            return error.problem
        self._etag = answer.etag
        self._reading = answer.parsed or self._reading
        self.problems = self._reading.problems
        return None


def _with_former(reading: ParseResult, former: ParseResult | None) -> ParseResult:
    """The reading; with the former secrets where it failed, with the former problems where it found the same."""
    if former is None:
        return reading
    same = [problem.message for problem in reading.problems] == [problem.message for problem in former.problems]
    return replace(
        reading,
        secrets=former.secrets if reading.failed else reading.secrets,
        problems=former.problems if same else reading.problems,
    )
