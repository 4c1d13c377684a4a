"""The checks of a password that a command, a file or a credential helper gives, and of its end."""

from datetime import UTC, datetime
from typing import Final

from agent.doctor.check import CheckRun, from_problem, passed, skipped
from agent.doctor.context import Context
from agent.doctor.token_life import check_expiry
from agent.model.credential import Credential
from agent.model.password_source import PasswordSource
from agent.model.plan import Login
from agent.model.problem import ProblemError

_DEADLINE_S: Final = 8.0
_ENDED: Final = "check what gives the password; if it is new, set this machine's clock"


async def obtain(results: CheckRun, login: Login, source: PasswordSource, context: Context) -> Credential | None:
    """The password that the source gives now. None if it gives none."""
    results.add(skipped("aws identity", "not needed: the password does not come from AWS"))
    try:
        timeout_s = min(context.settings.aws.call_timeout_s, _DEADLINE_S)
        token = await context.passwords.fetch_token(source, timeout_s)
    except ProblemError as error:
        results.add(from_problem("token", error.problem))
        return None
    now = datetime.now(UTC)
    # Before anything is shown: the user name comes from the same output.
    context.learned(token.password)
    results.add(passed("token", f"{source.origin.label} gave a password"))
    results.add(check_expiry(login, token.expires_at, now, hint=_ENDED))
    return Credential(token.username, token.password, now, token.expires_at)
