"""A login that Docker should have, and what became of it in Docker's store."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.model.docker_config import Entry
from agent.model.problem import Problem
from agent.model.registry import Registry

# The name of the store if it is Docker's file, not a credential helper.
CONFIG_FILE: Final = "config.json"
# The name of the store if Docker asks the agent for the login, through the agent's credential helper.
MEMORY: Final = "memory"
# Credential helpers that compute their logins from another source, and never store one.
COMPUTING_HELPERS: Final = frozenset({"ecr-login"})


@dataclass(frozen=True, slots=True)
class DesiredLogin:
    """A login that Docker should have. `expires_at` is in UTC; None if the login does not expire."""

    registry: Registry
    entry: Entry
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What Docker now finds in its store: `login`, whether it is `ours`, and whether this call `wrote` it.

    `failure` is why a helper did not store our login while it still returns another one. `older` means that this other
    one is also the agent's: an earlier login, or one that the helper changed while it stored it. `replaced_ended`: the
    call replaced a person's own ECR login that had ended. `persons_helper`: a helper for this registry alone, or one
    that cannot store, so a person has chosen where its logins come from. `works`: the registry accepts its login.
    `unsettled`: a store failed, although Docker has our login, so the call is to be repeated.
    """

    stored_in: str
    login: Entry | None
    ours: bool
    wrote: bool = False
    failure: Problem | None = None
    older: bool = False
    replaced_ended: bool = False
    persons_helper: bool = False
    works: bool = False
    unsettled: bool = False
