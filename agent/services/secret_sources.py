"""The sources of secrets. Each keeps what it returned last, and what is wrong with it now."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls, NoThreadError, OngoingCall
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import SecretsUnavailable
from agent.model.secret import RegistrySecret
from agent.model.secret_formats import FetchResult, ParseResult, after_change, after_reading
from agent.services.ports import SecretFiles

_PATIENCE_S: Final = 0.3
"""How long a check waits for one directory. A later result is used by the next check, so it delays no other."""
_DEADLINE_S: Final = 5.0
"""After this long, the file system is reported as hanging. It is not read again until it answers."""
_READS: Final = BlockingCalls("secrets", limit=64)

Fetch = Callable[[str, Path | None, str | None], Awaitable[FetchResult]]
"""Fetches secrets from a URL, given the file with its token and the ETag of the last answer. Raises ProblemError."""


def signature_of(files: SecretFiles, directory: Path) -> Hashable:
    """Like `SecretFiles.signature`, but a directory that cannot be listed also has a signature."""
    try:
        return files.signature(directory)
    except ProblemError as error:
        return error.problem.message


@dataclass(frozen=True, slots=True)
class _CheckResult:
    """The result of a check. `readings` is None if the signature is unchanged, so no file was opened."""

    signature: Hashable
    readings: Mapping[str, ParseResult] | None


class DirectorySource:
    """A directory. It is read again when its signature changes, and then once more.

    The second reading is needed because a file may be written twice within one tick of the file system's clock.
    """

    def __init__(self, path: Path, files: SecretFiles) -> None:
        self._path: Final = path
        self._files: Final = files
        self._readings: dict[str, ParseResult] = {}
        self._signature: Hashable = None
        self._settled = False
        self._unavailable: Problem | None = None
        self._reading: Final = OngoingCall[_CheckResult](_READS, path)
        self.answered = False
        """Whether the directory was read once, or is known to be unavailable."""

    @property
    def secrets(self) -> tuple[RegistrySecret, ...]:
        return tuple(secret for reading in self._readings.values() for secret in reading.secrets)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The current problems. They are the same objects as before if a new check found the same."""
        unavailable = (self._unavailable,) if self._unavailable is not None else ()
        return (*unavailable, *(problem for reading in self._readings.values() for problem in reading.problems))

    @property
    def is_stable(self) -> bool:
        """Whether the next check can wait for a change: the content was read twice, and nothing failed."""
        return self._settled and not self._reading.running_s

    async def check(self, *, reread: bool = False, later: bool = False) -> None:
        """Read the directory if it changed or `reread` is set. A read that takes too long continues in the background.

        Secrets that cannot be read keep their last values. `later` means that a while has passed since the last check:
        only then does the second reading count.
        """
        known = None if reread or (later and not self._settled) else self._signature
        try:
            result = await self._reading.result(lambda: self._read_if_changed(known), timeout=_PATIENCE_S)
            self._use(result, later=later)
        except TimeoutError:
            if self._reading.running_s >= _DEADLINE_S:
                self._fail(SecretsUnavailable(str(self._path), f"{self._path} does not answer: its file system hangs"))
        except NoThreadError as error:
            self._fail(SecretsUnavailable(str(self._path), f"{self._path} cannot be read: {error.strerror}"))
        except ProblemError as error:
            self._fail(error.problem)
        except Exception as error:  # noqa: BLE001 - one odd file must not end the agent
            # Show only the type: the text of the error may quote a secret.
            bug = f"this is a bug in registry-agent ({type(error).__name__}); please report it"
            self._fail(SecretsUnavailable(str(self._path), f"cannot read {self._path}: {bug}"))

    def _read_if_changed(self, known: Hashable) -> _CheckResult:
        # Taken before the files are read, so a change during the reading shows in the next signature.
        signature = self._files.signature(self._path)
        return _CheckResult(signature, None if signature == known else self._files.read(self._path))

    def _use(self, result: _CheckResult, *, later: bool) -> None:
        self.answered, self._unavailable = True, None
        unchanged, read_again = result.signature == self._signature, later and result.readings is not None
        self._settled = unchanged and (self._settled or read_again)
        self._signature = result.signature
        if result.readings is not None:
            self._readings = after_reading(self._readings, result.readings)

    def _fail(self, problem: Problem) -> None:
        self.answered, self._settled, self._signature = True, False, None
        if self._unavailable is None or self._unavailable.message != problem.message:
            self._unavailable = problem


@dataclass(slots=True)
class AddressSource:
    """A URL. Its secrets stay until a new URL answers, or until no URL is set."""

    fetch: Fetch
    problems: tuple[Problem, ...] = ()
    _reading: ParseResult = field(default_factory=ParseResult)
    _url: str | None = None
    _etag: str | None = None

    @property
    def secrets(self) -> tuple[RegistrySecret, ...]:
        return self._reading.secrets

    async def ask(self, url: str | None, token_file: Path | None) -> Problem | None:
        """Fetch the secrets, or drop them if no URL is set. Returns what went wrong, if anything.

        After a problem, the last secrets are kept.
        """
        # An ETag belongs to the URL that sent it.
        if url != self._url:
            self._url, self._etag = url, None
        if url is None:
            self._reading, self.problems = ParseResult(), ()
            return None
        try:
            answer = await self.fetch(url, token_file, self._etag)
        except ProblemError as error:
            self.problems = (error.problem, *self._reading.problems)
            return error.problem
        self._etag = answer.etag
        # `parsed` is None if the secrets have not changed (304).
        if answer.parsed is not None:
            self._reading = after_change(self._reading, answer.parsed)
        self.problems = self._reading.problems
        return None
