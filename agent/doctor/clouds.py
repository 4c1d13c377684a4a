"""The checks of an identity at Google or Azure: which one asks, whether it gets a token, and when that expires."""

from datetime import UTC, datetime
from typing import Final

from agent.doctor.check import CheckRun, from_problem, identity_check, passed
from agent.doctor.context import Context
from agent.doctor.token_life import check_expiry
from agent.model.aws_errors import clock_skew
from agent.model.credential import AzureIdentity, Credential, GoogleIdentity
from agent.model.plan import Login
from agent.model.problem import ProblemError

_ISSUED_EXPIRED: Final = "check this machine's clock with `date`: the token has just been issued"


async def obtain(
    results: CheckRun, login: Login, identity: GoogleIdentity | AzureIdentity, context: Context
) -> Credential | None:
    """A token from the cloud. None if there is none."""
    step = identity_check(identity.issuer)
    try:
        place, principal = await context.clouds.identify(identity, context.settings)
        results.add(passed(step, f"{place}, {principal or f'whom {identity.issuer} does not name'}"))
        step = "token"
        token = await context.clouds.fetch_token(identity, context.settings)
    except ProblemError as error:
        results.add(from_problem(step, error.problem.about(login.registry.hostname)))
        return None
    # Directly after the answer: the time that the call took must not count as clock skew.
    now = datetime.now(UTC)
    skew = clock_skew(token.server_time, now, identity.issuer)
    results.add(from_problem(step, skew) if skew else passed(step, f"{identity.issuer} issued a token"))
    results.add(check_expiry(login, token.expires_at, now, hint=_ISSUED_EXPIRED))
    return Credential(token.username, token.password, now, token.expires_at, None, token.identity)
