"""The AWS checks: which identity asks AWS, whether AWS issues a token, and when the token expires."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from agent.doctor.check import CheckRun, from_problem, passed
from agent.doctor.context import Context
from agent.doctor.token_life import check_expiry
from agent.model.aws_errors import clock_skew
from agent.model.credential import AwsIdentity, Credential
from agent.model.plan import Login
from agent.model.problem import ProblemError

_CALL_S: Final = 4.0
_ISSUED_EXPIRED: Final = (
    "check this machine's clock with `date`: AWS has just issued this token; if the clock is right, check "
    "AWS_ENDPOINT_URL: an emulator of AWS may issue such tokens"
)


async def obtain(results: CheckRun, login: Login, source: AwsIdentity, context: Context) -> Credential | None:
    """A token from AWS. None if there is none."""
    # These calls run one after the other, and all of them must fit into the doctor's total time.
    aws = context.settings.aws
    settings = replace(context.settings, aws=replace(aws, call_timeout_s=min(aws.call_timeout_s, _CALL_S)))
    step = "aws identity"
    try:
        description, arn = await context.clouds.identify(source, settings)
        results.add(passed(step, f"{description}, {arn or 'which STS did not identify'}"))
        step = "token"
        token = await context.clouds.fetch_token(source, settings)
    except ProblemError as error:
        results.add(from_problem(step, error.problem.about(login.registry.hostname)))
        return None
    # Directly after the answer: the time that the call took must not count as clock skew.
    now = datetime.now(UTC)
    skew = clock_skew(token.server_time, now)
    region = "ECR Public" if source.public else f"region {source.region}"
    results.add(from_problem("token", skew) if skew else passed("token", f"AWS issued a token for {region}"))
    results.add(check_expiry(login, token.expires_at, now, hint=_ISSUED_EXPIRED))
    return Credential(token.username, token.password, now, token.expires_at, None, token.identity)
