"""The checks of what a registry's login uses: the password in the secret, or a token of a source, and its end."""

from datetime import UTC, datetime

from agent.doctor import aws, clouds, password_source
from agent.doctor.check import AWS_CHECKS, CheckRun, from_problem, passed, skipped
from agent.doctor.context import Context
from agent.doctor.token_life import check_expiry
from agent.model.credential import AwsIdentity, AzureIdentity, Credential, GoogleIdentity
from agent.model.hints import PUT_NEW_TOKEN
from agent.model.password_source import PasswordSource
from agent.model.plan import Login
from agent.model.problems.environment import TokenNotRenewable
from agent.model.secret import Kind


async def obtain(results: CheckRun, login: Login, context: Context) -> Credential | None:
    """The credential to log in with: the secret's own password, or a token from its source. None if there is none."""
    match login.source:
        case Credential() as credential:
            _check_ready(results, login, credential, context)
            return credential
        case AwsIdentity() as identity:
            return await aws.obtain(results, login, identity, context)
        case GoogleIdentity() | AzureIdentity() as identity:
            return await clouds.obtain(results, login, identity, context)
        case PasswordSource() as source:
            return await password_source.obtain(results, login, source, context)
    results.add(*(skipped(name, f"the doctor cannot check {type(login.source).__name__}") for name in AWS_CHECKS))
    return None


def _check_ready(results: CheckRun, login: Login, credential: Credential, context: Context) -> None:
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
    results.add(check_expiry(login, credential.expires_at, datetime.now(UTC), hint=PUT_NEW_TOKEN))
