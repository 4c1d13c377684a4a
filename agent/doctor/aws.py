"""The AWS checks: which identity asks AWS, whether AWS issues a token, and when the token expires."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from agent.doctor.check import Check, CheckRun, from_problem, passed, skipped
from agent.edge.aws.client import AwsClient
from agent.model.aws_errors import clock_skew
from agent.model.credential import AwsIdentity, Credential
from agent.model.plan import Login
from agent.model.problem import Problem, ProblemError
from agent.model.problems.environment import TokenNotRenewable
from agent.model.problems.stored_login import TokenExpired
from agent.model.renewal import expired
from agent.model.secret import Kind
from agent.model.status import rfc3339
from agent.settings import AwsSettings

CHECKS: Final = ("aws identity", "token", "token life")
_CALL_S: Final = 4.0


async def obtain(
    results: CheckRun, login: Login, aws: AwsClient, settings: AwsSettings, problems: Sequence[Problem]
) -> Credential | None:
    """The credential to log in with: the secret's own password, or a token from AWS. None if there is neither.

    `problems` are those that the plan found for this registry.
    """
    source = login.source
    if isinstance(source, Credential):
        _check_ready_credential(results, login, source, problems)
        return source
    # These calls run one after the other, and all of them must fit into the doctor's total time.
    short_settings = replace(settings, call_timeout_s=min(settings.call_timeout_s, _CALL_S))
    try:
        description, arn = await aws.identify(source, short_settings)
    except ProblemError as error:
        problem = error.problem
        results.add(from_problem("aws identity", problem.about(login.registry.hostname)))
        return None
    results.add(passed("aws identity", f"{description}, {arn or 'which STS did not identify'}"))
    return await _token(results, login, source, aws, short_settings)


async def _token(
    results: CheckRun, login: Login, identity: AwsIdentity, aws: AwsClient, settings: AwsSettings
) -> Credential | None:
    try:
        token = await aws.fetch_token(identity, settings)
    except ProblemError as error:
        problem = error.problem
        results.add(from_problem("token", problem.about(login.registry.hostname)))
        return None
    # Directly after the answer: the time that the call took must not count as clock skew.
    now = datetime.now(UTC)
    skew = clock_skew(token.server_time, now)
    region = "ECR Public" if identity.public else f"region {identity.region}"
    results.add(from_problem("token", skew) if skew else passed("token", f"AWS issued a token for {region}"))
    results.add(_check_expiry(login, token.expires_at, now))
    return Credential(token.username, token.password, now, token.expires_at, None, token.arn)


def _check_expiry(login: Login, expires_at: datetime | None, now: datetime) -> Check:
    hostname = login.registry.hostname
    if expires_at is None:
        return skipped("token life", "the token does not show when it expires")
    if expired(expires_at, now):
        problem = TokenExpired(
            hostname,
            f"the token of secret {login.secret.name} expired at {rfc3339(expires_at)}",
            hint="put a new token into the secret; if the token is new, set this machine's clock",
        )
        return from_problem("token life", problem)
    hours = (expires_at - now).total_seconds() / 3600
    return passed("token life", f"expires at {rfc3339(expires_at)}, in {hours:.1f} h")


def _check_ready_credential(
    results: CheckRun, login: Login, credential: Credential, problems: Sequence[Problem]
) -> None:
    """Add the results for a password, or for a token that was fetched by another program."""
    results.add(skipped("aws identity", "not needed: the secret has a password or a ready token"))
    if login.kind is Kind.BASIC:
        results.add(
            skipped("token", "not needed: the secret has a password"),
            skipped("token life", "a password does not expire"),
        )
        return
    ready = [from_problem("token", problem) for problem in problems if isinstance(problem, TokenNotRenewable)]
    results.add(*(ready or [passed("token", "the secret has a ready token")]))
    results.add(_check_expiry(login, credential.expires_at, datetime.now(UTC)))
