"""AWS: as whom it is asked, the token that it gives, and how long that lives."""

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

LINKS: Final = ("aws identity", "token", "token life")
_CALL_S: Final = 4.0


async def obtain(
    walk: CheckRun, login: Login, aws: AwsClient, settings: AwsSettings, remarks: Sequence[Problem]
) -> Credential | None:
    """What the login is made with: the password at hand, or a token; None where there is none to be had.

    `remarks` are the plan's about this registry.
    """
    source = login.source
    if isinstance(source, Credential):
        _ready(walk, login, source, remarks)
        return source
    # Several calls follow each other, and all of them must fit into the doctor's time.
    quick = replace(settings, call_timeout_s=min(settings.call_timeout_s, _CALL_S))
    try:
        who, arn = await aws.identify(source, quick)
    except ProblemError as error:
        problem = error.problem
        walk.add(from_problem("aws identity", problem.about(login.registry.hostname)))
        return None
    walk.add(passed("aws identity", f"{who}, {arn or 'which STS gives no name'}"))
    return await _token(walk, login, source, aws, quick)


async def _token(
    walk: CheckRun, login: Login, identity: AwsIdentity, aws: AwsClient, settings: AwsSettings
) -> Credential | None:
    try:
        token = await aws.fetch_token(identity, settings)
    except ProblemError as error:
        problem = error.problem
        walk.add(from_problem("token", problem.about(login.registry.hostname)))
        return None
    now = datetime.now(UTC)
    skew = clock_skew(token.server_time, now)
    region = "ECR Public" if identity.public else f"region {identity.region}"
    walk.add(from_problem("token", skew) if skew else passed("token", f"AWS gave one for {region}"))
    walk.add(_life(login, token.expires_at, now))
    return Credential(token.username, token.password, now, token.expires_at, None, token.arn)


def _life(login: Login, ends: datetime | None, now: datetime) -> Check:
    hostname = login.registry.hostname
    if ends is None:
        return skipped("token life", "it does not tell when it ends")
    if expired(ends, now):
        problem = TokenExpired(
            hostname,
            f"the token of secret {login.secret.name} ended at {rfc3339(ends)}",
            hint="give the secret a new token, or check this machine's clock",
        )
        return from_problem("token life", problem)
    return passed("token life", f"until {rfc3339(ends)}, {(ends - now).total_seconds() / 3600:.1f} h from now")


def _ready(walk: CheckRun, login: Login, credential: Credential, remarks: Sequence[Problem]) -> None:
    """What there is to say of a password, or of a token that somebody else fetched."""
    walk.add(skipped("aws identity", "the secret has a password or a ready token; AWS is not asked"))
    if login.kind is Kind.BASIC:
        walk.add(skipped("token", "a password needs none"), skipped("token life", "a password does not end"))
        return
    ready = [from_problem("token", problem) for problem in remarks if isinstance(problem, TokenNotRenewable)]
    walk.add(*(ready or [passed("token", "the secret holds a ready one")]))
    walk.add(_life(login, credential.expires_at, datetime.now(UTC)))
