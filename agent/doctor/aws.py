"""The AWS checks: which identity asks AWS, whether AWS issues a token, and when the token expires."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from agent.doctor.check import Check, CheckRun, from_problem, passed, skipped
from agent.doctor.context import Context
from agent.model.aws_errors import clock_skew
from agent.model.credential import Credential
from agent.model.plan import Login
from agent.model.problem import ProblemError
from agent.model.problems.environment import TokenNotRenewable
from agent.model.problems.stored_login import TokenExpired
from agent.model.renewal import expired
from agent.model.secret import Kind
from agent.model.status import rfc3339

_CALL_S: Final = 4.0
_PUT_NEW: Final = "put a new token into the secret; if the token is new, set this machine's clock"
_ISSUED_EXPIRED: Final = (
    "check this machine's clock with `date`: AWS has just issued this token; if the clock is right, check "
    "AWS_ENDPOINT_URL: an emulator of AWS may issue such tokens"
)


async def obtain(results: CheckRun, login: Login, context: Context) -> Credential | None:
    """The credential to log in with: the secret's own password, or a token from AWS. None if there is neither."""
    source = login.source
    if isinstance(source, Credential):
        _check_ready_credential(results, login, source, context)
        return source
    # These calls run one after the other, and all of them must fit into the doctor's total time.
    settings = replace(context.settings.aws, call_timeout_s=min(context.settings.aws.call_timeout_s, _CALL_S))
    step = "aws identity"
    try:
        description, arn = await context.aws.identify(source, settings)
        results.add(passed(step, f"{description}, {arn or 'which STS did not identify'}"))
        step = "token"
        token = await context.aws.fetch_token(source, settings)
    except ProblemError as error:
        results.add(from_problem(step, error.problem.about(login.registry.hostname)))
        return None
    # Directly after the answer: the time that the call took must not count as clock skew.
    now = datetime.now(UTC)
    skew = clock_skew(token.server_time, now)
    region = "ECR Public" if source.public else f"region {source.region}"
    results.add(from_problem("token", skew) if skew else passed("token", f"AWS issued a token for {region}"))
    results.add(_check_expiry(login, token.expires_at, now, hint=_ISSUED_EXPIRED))
    return Credential(token.username, token.password, now, token.expires_at, None, token.arn)


def _check_ready_credential(results: CheckRun, login: Login, credential: Credential, context: Context) -> None:
    """Add the results for a password, or for a token that was fetched by another program."""
    results.add(skipped("aws identity", "not needed: the secret has a password or a ready token"))
    if login.kind is Kind.BASIC:
        results.add(
            skipped("token", "not needed: the secret has a password"),
            skipped("token life", "a password does not expire"),
        )
        return
    notices = [
        from_problem("token", problem)
        for problem in context.plan.problems
        if isinstance(problem, TokenNotRenewable) and problem.subject == login.registry.hostname
    ]
    results.add(*(notices or [passed("token", "the secret has a ready token")]))
    results.add(_check_expiry(login, credential.expires_at, datetime.now(UTC)))


def _check_expiry(login: Login, expires_at: datetime | None, now: datetime, *, hint: str = _PUT_NEW) -> Check:
    if expires_at is None:
        return skipped("token life", "the token does not show when it expires")
    if expired(expires_at, now):
        problem = TokenExpired(
            login.registry.hostname,
            f"the token of secret {login.secret.name} expired at {rfc3339(expires_at)}",
            hint=hint,
        )
        return from_problem("token life", problem)
    hours = (expires_at - now).total_seconds() / 3600
    return passed("token life", f"expires at {rfc3339(expires_at)}, in {hours:.1f} h")
