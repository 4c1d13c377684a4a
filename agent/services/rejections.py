"""Refused logins: which secret, why, and until when. They are stored on disk, so a restart does not retry them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from agent.model.credential import Credential, TokenSource
from agent.model.http_headers import LONGEST_ASKED
from agent.model.plan import Login
from agent.model.problem import Problem, RetryClass
from agent.model.problems import codes
from agent.model.registry import Registry
from agent.model.stored_state import Rejection
from agent.model.text import literal
from agent.services.ports import ConfirmedTime, StateFile
from agent.settings import CloudSettings, RetrySettings

_NEVER: Final = timedelta(days=365)


class Rejections:
    """A refusal applies to exactly the secret that was refused. A changed secret is tried at once."""

    def __init__(
        self,
        state_file: StateFile,
        time: ConfirmedTime,
        *,
        scrub: Callable[[str], str] = str,
        chain: Callable[[str], Sequence[str]] = lambda _: (),
        retry: Callable[[], RetrySettings] = RetrySettings,
        confirm: Callable[[Registry], Awaitable[object]] | None = None,
    ) -> None:
        """`scrub` removes known secrets from a text, in case a registry repeated one.

        `chain` returns the current `chain_inputs` for the code prefix of a source. `confirm` asks a registry for the
        time, without a password.
        """
        self._state_file: Final = state_file
        self._time: Final = time
        self._scrub: Final = scrub
        self._chain: Final = chain
        self._retry: Final = retry
        self._confirm: Final = confirm
        # Nobody can set the clock of `boot_time`. When each wait ends that this start of the agent has recorded.
        self._started: Final = time.boot_time()
        self._recorded: Final[dict[str, float]] = {}

    async def active(self, login: Login, credential: Credential | None = None) -> tuple[Problem, timedelta] | None:
        """The refusal of this secret, and how long it still holds. None if the secret may be tried now.

        If the source can give another password at any time, only the password itself, in `credential`, was refused.
        """
        hostname = login.registry.hostname
        rejection = self._state_file.rejection(hostname)
        if rejection is None or rejection.fingerprint != self._fingerprint(login, credential):
            return None
        if hostname not in self._recorded and not self._is_confirmed(rejection) and self._confirm is not None:
            await self._confirm(login.registry)
        left = self._left(hostname, rejection)
        kind = codes().get(rejection.code)
        # An older or newer version of the agent may have stored a code that this one does not know.
        if left <= timedelta() or kind is None:
            return None
        problem = kind(hostname, rejection.message, hint=literal(rejection.hint), retry_class=rejection.retry_class)
        return problem, left

    def record(self, login: Login, problem: Problem, wait: timedelta, credential: Credential | None = None) -> None:
        fingerprint = self._fingerprint(login, credential)
        if fingerprint is None:
            return
        hostname, now = login.registry.hostname, self._time.now()
        message, hint = self._scrub(problem.message), self._scrub(problem.hint)
        # If the clock is known to be wrong, its time means nothing: after a restart, the whole wait begins again.
        not_before = now.wall + (_NEVER if now.clock_is_off else wait)
        rejection = Rejection(fingerprint, problem.code, message, hint, not_before, problem.retry_class, wait)
        self._recorded[hostname] = self._time.boot_time() + wait.total_seconds()
        self._state_file.set_rejection(hostname, rejection)

    def _is_confirmed(self, rejection: Rejection) -> bool:
        """Whether the wall clock can be believed if it shows that the wait is over."""
        now = self._time.now()
        return now.wall < rejection.not_before or now.proves(rejection.not_before)

    def _left(self, hostname: str, rejection: Rejection) -> timedelta:
        now, boot_time = self._time.now(), self._time.boot_time()
        if hostname in self._recorded:
            return timedelta(seconds=self._recorded[hostname] - boot_time)
        if now.proves(rejection.not_before):
            return timedelta()
        # Recorded by an earlier start, maybe with a wrong clock: the wait that began with this start is surely enough.
        longest = self._wait(rejection) - timedelta(seconds=boot_time - self._started)
        left = rejection.not_before - now.wall
        # A clock that is wrong now must not end the wait. Ask for the time again soon: an outage may be over then.
        ask_again = timedelta(seconds=self._retry().max_wait_s)
        return min(left if left > timedelta() else ask_again, longest)

    def _wait(self, rejection: Rejection) -> timedelta:
        """How long the wait was when it began. Older versions did not store that."""
        rejected = rejection.retry_class is RetryClass.REJECTED
        usual = timedelta(seconds=self._retry().rejected_wait_s) if rejected else LONGEST_ASKED
        return min(rejection.wait or usual, LONGEST_ASKED)

    def clear(self, login: Login) -> None:
        self._recorded.pop(login.registry.hostname, None)
        if self._state_file.rejection(login.registry.hostname) is not None:
            self._state_file.set_rejection(login.registry.hostname, None)

    def _fingerprint(self, login: Login, credential: Credential | None) -> str | None:
        """A keyed hash of everything that determines the identity that logs in. None if that is not known yet."""
        source = login.source
        parts = source.fingerprint or (credential.fingerprint if credential is not None else None)
        environment: Sequence[str] = ()
        if isinstance(source, TokenSource) and source.depends_on_environment:
            environment = self._chain(source.code_prefix)
        return None if parts is None else self._state_file.fingerprint(*parts, *environment)


def chain_inputs(settings: CloudSettings, environ: Mapping[str, str]) -> Sequence[str]:
    """What determines the environment's own identity in a cloud. It holds secrets: only hash it."""
    return (
        *settings.identity_names,
        str(settings.identity_token_file or ""),
        *(environ.get(name, "") for name in settings.identity_variables),
        *settings.identity_token_command,
    )
