"""What Docker, podman and skopeo use instead of the agent's login, and how a person changes that."""

from collections.abc import Mapping
from typing import Final

from agent.model.commands import command
from agent.model.docker_config import ConfigError, Document, Entry, entries, entries_of, parse_config
from agent.model.problem import Problem
from agent.model.problems.stored_login import LoginOverridden
from agent.services.credential_store import CONFIG_FILE, DesiredLogin, StoreResult


class Overrides:
    """`auth_config` is the value of `DOCKER_AUTH_CONFIG`, which Docker asks before any store."""

    def __init__(self, auth_config: str | None) -> None:
        self._variable: Final = _logins_in(auth_config)

    def of(self, desired: DesiredLogin, result: StoreResult, podman: Mapping[str, Document]) -> list[Problem]:
        """One problem for all that is used instead of the order: Docker's variable, its store, podman's files."""
        hostname = desired.registry.hostname
        reasons = []
        variable = self._variable.get(desired.registry.docker_key)
        if variable is not None and not desired.entry.same_login(variable):
            reasons.append(
                (
                    f"the variable DOCKER_AUTH_CONFIG has another login for {hostname}, which docker uses first",
                    "unset DOCKER_AUTH_CONFIG, or take the registry out of it",
                )
            )
        if not result.ours and not result.older:
            where = CONFIG_FILE if result.stored_in == CONFIG_FILE else f"docker-credential-{result.stored_in}"
            reasons.append(
                (
                    f"docker uses another login for {hostname}, which somebody else put into {where}",
                    f"`registry-agent renew {hostname}` takes it over; to keep it, name {hostname} in secrets.exclude",
                )
            )
        reasons += [
            (
                f"{path} has another login for {key}, which podman and skopeo use first",
                _removal(path, key),
            )
            for path, key in _shadows(desired, podman)
        ]
        if not reasons:
            return []
        messages, hints = zip(*reasons, strict=True)
        return [LoginOverridden(hostname, "; ".join(messages), hint="; ".join(hints))]


def _removal(path: str, key: str) -> str:
    run = command("podman logout --authfile", path, key)
    return f"{run} removes it" if run else "remove it from that file"


def _logins_in(auth_config: str | None) -> dict[str, Entry]:
    """The logins in the variable; Docker ignores one that it cannot read."""
    try:
        return entries(parse_config((auth_config or "").encode("utf-8", "surrogateescape")))
    except ConfigError:
        return {}


def _shadows(desired: DesiredLogin, podman: Mapping[str, Document]) -> list[tuple[str, str]]:
    """Path and key of each other login that podman finds before Docker's file."""
    shadows = []
    for path, document in podman.items():
        found = entries_of(document, desired.registry)
        shadows += [(path, key) for key, entry in found.items() if not desired.entry.same_login(entry)]
        if any("/" not in key for key in found):
            break  # podman goes on to the next file only where this one has nothing for the host
    return shadows
