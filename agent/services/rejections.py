"""Refused logins: which secret, why, and until when. They are stored on disk, so a restart does not retry them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from agent.model.credential import AwsIdentity
from agent.model.plan import Login
from agent.model.problem import Problem
from agent.model.problems import codes
from agent.model.stored_state import Rejection
from agent.services.ports import StateFile
from agent.settings import AwsSettings

_CHAIN_VARIABLES: Final = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)


class Rejections:
    """A refusal applies to exactly the secret that was refused. A changed secret is tried at once.

    `scrub` removes known secrets from a text, in case a registry repeated one. `chain` returns the current
    `chain_inputs`.
    """

    def __init__(
        self,
        state_file: StateFile,
        now: Callable[[], datetime],
        scrub: Callable[[str], str] = str,
        chain: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._state_file: Final = state_file
        self._now: Final = now
        self._scrub: Final = scrub
        self._chain: Final = chain

    def active(self, login: Login) -> tuple[Problem, datetime] | None:
        """The refusal of this secret, and when it may be tried again. None if it may be tried now."""
        rejection = self._state_file.rejection(login.registry.hostname)
        if rejection is None or rejection.not_before <= self._now():
            return None
        if rejection.fingerprint != self._fingerprint(login):
            return None
        kind = codes().get(rejection.code)
        # An older or newer version of the agent may have stored a code that this one does not know.
        if kind is None:
            return None
        problem = kind(
            login.registry.hostname, rejection.message, hint=rejection.hint, retry_class=rejection.retry_class
        )
        return problem, rejection.not_before

    def record(self, login: Login, problem: Problem, not_before: datetime) -> None:
        message, hint = self._scrub(problem.message), self._scrub(problem.hint)
        rejection = Rejection(self._fingerprint(login), problem.code, message, hint, not_before, problem.retry_class)
        self._state_file.set_rejection(login.registry.hostname, rejection)

    def clear(self, login: Login) -> None:
        if self._state_file.rejection(login.registry.hostname) is not None:
            self._state_file.set_rejection(login.registry.hostname, None)

    def _fingerprint(self, login: Login) -> str:
        """A keyed hash of everything that determines the identity that logs in."""
        source = login.source
        if not isinstance(source, AwsIdentity):
            return self._state_file.fingerprint("given", source.username, source.password.reveal())
        keys = source.keys
        parts = [source.region, str(source.public), source.role_arn or "", source.external_id or ""]
        # Only if there is one: the fingerprints of an older state file stay valid.
        parts += [source.profile] if source.profile else []
        if keys is None:
            return self._state_file.fingerprint("aws chain", *parts, *self._chain())
        session_token = keys.session_token.reveal() if keys.session_token else ""
        return self._state_file.fingerprint(
            "aws", *parts, keys.access_key_id, keys.secret_access_key.reveal(), session_token
        )


def chain_inputs(settings: AwsSettings, environ: Mapping[str, str]) -> Sequence[str]:
    """What determines the identity of the default AWS chain, apart from the role. It holds secrets: only hash it."""
    return (
        settings.profile or "",
        str(settings.identity_token_file or ""),
        *(environ.get(name, "") for name in _CHAIN_VARIABLES),
        *settings.identity_token_command,
    )
