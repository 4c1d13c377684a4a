"""Refused logins: which secret, why, and until when. They are stored on disk, so a restart does not retry them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from agent.model.credential import Credential, TokenSource
from agent.model.plan import Login
from agent.model.problem import Problem
from agent.model.problems import codes
from agent.model.stored_state import Rejection
from agent.services.ports import StateFile
from agent.settings import CloudSettings


class Rejections:
    """A refusal applies to exactly the secret that was refused. A changed secret is tried at once.

    `scrub` removes known secrets from a text, in case a registry repeated one. `chain` returns the current
    `chain_inputs` for the code prefix of a source.
    """

    def __init__(
        self,
        state_file: StateFile,
        now: Callable[[], datetime],
        scrub: Callable[[str], str] = str,
        chain: Callable[[str], Sequence[str]] = lambda _: (),
    ) -> None:
        self._state_file: Final = state_file
        self._now: Final = now
        self._scrub: Final = scrub
        self._chain: Final = chain

    def active(self, login: Login, credential: Credential | None = None) -> tuple[Problem, datetime] | None:
        """The refusal of this secret, and when it may be tried again. None if it may be tried now.

        If the source can give another password at any time, only the password itself, in `credential`, was refused.
        """
        rejection = self._state_file.rejection(login.registry.hostname)
        if rejection is None or rejection.not_before <= self._now():
            return None
        if rejection.fingerprint != self._fingerprint(login, credential):
            return None
        kind = codes().get(rejection.code)
        # An older or newer version of the agent may have stored a code that this one does not know.
        if kind is None:
            return None
        problem = kind(
            login.registry.hostname, rejection.message, hint=rejection.hint, retry_class=rejection.retry_class
        )
        return problem, rejection.not_before

    def record(
        self, login: Login, problem: Problem, not_before: datetime, credential: Credential | None = None
    ) -> None:
        fingerprint = self._fingerprint(login, credential)
        if fingerprint is None:
            return
        message, hint = self._scrub(problem.message), self._scrub(problem.hint)
        rejection = Rejection(fingerprint, problem.code, message, hint, not_before, problem.retry_class)
        self._state_file.set_rejection(login.registry.hostname, rejection)

    def clear(self, login: Login) -> None:
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
