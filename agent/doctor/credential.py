"""The checks of what a registry's login uses: the password in the secret, or a token of a source, and its end."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from agent.doctor.check import AWS_CHECKS, CheckRun, from_problem, identity_check, passed, skipped
from agent.doctor.context import Context
from agent.model.clock_skew import cloud_clock_skew
from agent.model.credential import AwsIdentity, AzureIdentity, Credential, GoogleIdentity, Token, TokenSource
from agent.model.hints import PUT_NEW_TOKEN
from agent.model.password_source import PasswordSource
from agent.model.plan import Login
from agent.model.problem import ProblemError
from agent.model.problems.environment import TokenNotRenewable
from agent.model.problems.stored_login import TokenExpired
from agent.model.renewal import expired
from agent.model.secret import Kind
from agent.model.status import rfc3339

_ISSUED_EXPIRED: Final[Mapping[type[TokenSource], str]] = {
    PasswordSource: "check what gives the password; if it is new, set this machine's clock",
    AwsIdentity: (
        "check this machine's clock with `date`: AWS has just issued this token; if the clock is right, check "
        "AWS_ENDPOINT_URL: an emulator of AWS may issue such tokens"
    ),
}
_CHECK_CLOCK: Final = "check this machine's clock with `date`: the token has just been issued"


@dataclass(frozen=True, slots=True)
class CredentialChecks:
    """The checks of one registry's credential."""

    results: CheckRun
    login: Login
    context: Context

    async def obtain(self) -> Credential | None:
        """The secret's own password, or a token from its source. None if there is none.

        The requests have the agent's own limits. With others, the doctor and the status would disagree.
        """
        context, settings = self.context, self.context.settings
        match self.login.source:
            case Credential() as credential:
                self._check_ready(credential)
                return credential
            case PasswordSource() as source:
                self.results.add(skipped("aws identity", "not needed: the password does not come from AWS"))
                request = context.passwords.fetch_token(source, settings.aws.call_timeout_s)
                return await self._fetch(source, request, f"{source.origin.label} gave a password")
            case AwsIdentity() as aws:
                issued = f"AWS issued a token for {'ECR Public' if aws.public else f'region {aws.region}'}"
                return await self._ask(aws, issued)
            case GoogleIdentity() | AzureIdentity() as identity:
                return await self._ask(identity, f"{identity.issuer} issued a token")
        unknown = f"the doctor cannot check {type(self.login.source).__name__}"
        self.results.add(*(skipped(name, unknown) for name in AWS_CHECKS))
        return None

    async def _ask(self, identity: TokenSource, issued: str) -> Credential | None:
        """Check which identity asks the cloud, and whether it gets a token."""
        cloud, settings, check = self.context.clouds, self.context.settings, identity_check(identity.issuer)
        try:
            place, principal = await cloud.identify(identity, settings)
        except ProblemError as error:
            self.results.add(from_problem(check, error.problem.about(self.login.registry.hostname)))
            return None
        nobody = "which STS did not identify" if identity.issuer == "AWS" else f"whom {identity.issuer} does not name"
        self.results.add(passed(check, f"{place}, {principal or nobody}"))
        return await self._fetch(identity, cloud.fetch_token(identity, settings), issued)

    async def _fetch(self, source: TokenSource, request: Awaitable[Token], issued: str) -> Credential | None:
        try:
            token = await request
        except ProblemError as error:
            self.results.add(from_problem("token", error.problem.about(self.login.registry.hostname)))
            return None
        # Directly after the answer: the time that the call took must not count as clock skew.
        now = datetime.now(UTC)
        # Before anything is shown: docker, the registry and the source itself may repeat it in a message.
        self.context.learned(token.password)
        skew = cloud_clock_skew(token.server_time, now, source.issuer)
        self.results.add(from_problem("token", skew) if skew else passed("token", issued))
        self._check_expiry(token.expires_at, now, hint=_ISSUED_EXPIRED.get(type(source), _CHECK_CLOCK))
        return Credential(token.username, token.password, now, token.expires_at, identity=token.identity)

    def _check_ready(self, credential: Credential) -> None:
        """Add the results for a password, or for a token that was fetched by another program."""
        if self.login.kind is Kind.BASIC:
            # The same words for all of them, so that they share a line.
            self.results.add(*(skipped(name, "not needed: the secret has a password") for name in AWS_CHECKS))
            return
        self.results.add(skipped("aws identity", "not needed: the secret has a ready token"))
        notices = [
            from_problem("token", problem)
            for problem in self.context.plan.problems
            if isinstance(problem, TokenNotRenewable) and problem.subject == self.login.registry.hostname
        ]
        self.results.add(*(notices or [passed("token", "the secret has a ready token")]))
        self._check_expiry(credential.expires_at, datetime.now(UTC), hint=PUT_NEW_TOKEN)

    def _check_expiry(self, expires_at: datetime | None, now: datetime, *, hint: str) -> None:
        """Add the result for a token that expires then; `hint` is for one that has expired."""
        if expires_at is None:
            self.results.add(skipped("token life", "the token does not show when it expires"))
        elif expired(expires_at, now):
            message = f"the token of secret {self.login.secret.name} expired at {rfc3339(expires_at)}"
            problem = TokenExpired(self.login.registry.hostname, message, hint=hint)
            self.results.add(from_problem("token life", problem))
        else:
            hours = (expires_at - now).total_seconds() / 3600
            self.results.add(passed("token life", f"expires at {rfc3339(expires_at)}, in {hours:.1f} h"))
