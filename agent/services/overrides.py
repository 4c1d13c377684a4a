"""Finds what Docker, podman and skopeo use instead of the agent's login, and how to change that."""

from collections.abc import Mapping
from typing import Final

from agent.model.commands import command
from agent.model.desired_login import CONFIG_FILE, DesiredLogin, StoreResult
from agent.model.docker_config import Document, entries_of, parse_auth_variable
from agent.model.problem import Problem
from agent.model.problems.stored_login import LoginOverridden

_PODMAN_FIRST: Final = "which podman and skopeo use first"
_DOCKER_USES: Final = "docker uses"


class Overrides:
    """`auth_config` is the value of `DOCKER_AUTH_CONFIG`. Docker uses it before any store."""

    def __init__(self, auth_config: str | None) -> None:
        self._variable: Final = parse_auth_variable(auth_config)

    def of(self, desired: DesiredLogin, result: StoreResult, podman: Mapping[str, Document]) -> list[Problem]:
        """One problem that names everything used instead of `desired`: Docker's variable, its store, podman's files."""
        hostname = desired.registry.hostname
        reasons = []
        variable = self._variable.get(desired.registry.docker_key)
        if variable is not None and not desired.entry.same_login(variable):
            reasons.append(
                (
                    f"the variable DOCKER_AUTH_CONFIG has another login for {hostname}, which {_DOCKER_USES} first",
                    f"unset DOCKER_AUTH_CONFIG, or remove {hostname} from it",
                )
            )
        # An older login of the agent does not belong to a person. The failed store is reported for it instead.
        if not result.ours and not result.older:
            where = CONFIG_FILE if result.stored_in == CONFIG_FILE else f"docker-credential-{result.stored_in}"
            reasons.append(
                (
                    f"{_DOCKER_USES} another login for {hostname}: {where} has one that the agent did not store",
                    f"run `registry-agent renew {hostname}` to replace it; to keep it, name it in secrets.exclude",
                )
            )
        reasons += [
            (
                f"{path} has another login for {key}, {_PODMAN_FIRST}",
                _removal(path, key),
            )
            for path, key in _shadows(desired, podman)
        ]
        if not reasons:
            return []
        messages, hints = zip(*reasons, strict=True)
        return [LoginOverridden(hostname, "; ".join(messages), hint="; ".join(hints))]


def concerns_only_podman(message: str) -> bool:
    """Whether the message of a `login_overridden`, maybe another agent's, is about podman's files only."""
    return _PODMAN_FIRST in message and _DOCKER_USES not in message


def _removal(path: str, key: str) -> str:
    run = command("podman logout --authfile", path, key)
    return f"run {run} to remove it" if run else "remove it from that file"


def _shadows(desired: DesiredLogin, podman: Mapping[str, Document]) -> list[tuple[str, str]]:
    """Path and key of each different login that podman finds before it reads Docker's file."""
    shadows = []
    for path, document in podman.items():
        found = entries_of(document, desired.registry)
        shadows += [(path, key) for key, entry in found.items() if not desired.entry.same_login(entry)]
        if any("/" not in key for key in found):
            break  # podman reads the next file only if this one has nothing for the host
    return shadows
