"""Leaves out secrets whose command, file or helper somebody else may have chosen.

A person who writes such a secret runs programs as the agent's user, or has any file of the user sent to a registry.
"""

from collections.abc import Iterable

from agent.model.commands import shown
from agent.model.password_source import Trust
from agent.model.problem import Problem
from agent.model.problems.environment import SecretInvalid
from agent.model.secret import RegistrySecret


def without_untrusted_commands(
    secrets: Iterable[RegistrySecret], *, allow_commands: bool
) -> tuple[tuple[RegistrySecret, ...], tuple[Problem, ...]]:
    """Return the secrets that may be used, and a problem for each of the others."""
    trusted = {Trust.OWN, Trust.URL} if allow_commands else {Trust.OWN}
    used, problems = [], []
    for secret in secrets:
        if secret.password_origin is None or secret.trust in trusted or not secret.enabled:
            used.append(secret)
        else:
            problems.append(_refusal(secret, secret.password_origin.field))
    return tuple(used), tuple(problems)


def _refusal(secret: RegistrySecret, field: str) -> SecretInvalid:
    if secret.trust is Trust.URL:
        fault = f"{field} is not accepted from secrets.url, because secrets.allow_commands is false"
        hint = "set secrets.allow_commands to true if you trust this service to run programs as your user"
    else:
        fault = f"{field} is accepted only from a file of the agent's user or root that not everybody can write to"
        hint = f"check what it runs, then make {shown(secret.origin)} belong to the agent's user, writable for no other"
    return SecretInvalid(secret.subject, f"secret {secret.name} of {secret.origin}: {fault}", hint=hint)
