"""Finds what Docker, podman and skopeo use instead of the agent's login, and how to change that."""

from collections.abc import Callable, Mapping
from typing import Final

from agent.model.commands import command, shown
from agent.model.desired_login import CONFIG_FILE, DesiredLogin, StoreResult
from agent.model.docker_config import Document, Entry, entries_of, parse_auth_variable
from agent.model.docker_config_fields import UNKNOWN, CliVersion, reads_auth_variable, uses_file_if_helper_fails
from agent.model.ecr_token import token_end
from agent.model.helper_lines import podmans_logins
from agent.model.problem import Problem, Severity
from agent.model.problems.stored_login import LoginOverridden
from agent.model.registry import Registry

_PODMAN_FIRST: Final = "which podman and skopeo use first"
_DOCKER_USES: Final = "docker uses"


class Overrides:
    """`auth_config` is the value of `DOCKER_AUTH_CONFIG`. Docker uses it before any store.

    `cli_version` returns the version of the installed docker CLI. Versions before 28.3 ignore the variable.
    """

    def __init__(self, auth_config: str | None, cli_version: Callable[[], CliVersion | None] = lambda: UNKNOWN) -> None:
        self._variable: Final = parse_auth_variable(auth_config)
        self._cli_version: Final = cli_version

    def variable(self, registry: Registry) -> Entry | None:
        """The login in the variable, if docker uses it."""
        return self._variable.get(registry.docker_key) if reads_auth_variable(self._cli_version()) else None

    def file_is_next(self) -> bool:
        """Whether docker uses the login in its file if a credential helper fails."""
        return uses_file_if_helper_fails(self._cli_version())

    def of(
        self, desired: DesiredLogin, result: StoreResult, podman: Mapping[str, Document], document: Document
    ) -> list[Problem]:
        """One problem that names everything used instead of `desired`: Docker's variable, its store, podman's files.

        `document` is Docker's configuration, which podman reads after its own files.
        """
        hostname = desired.registry.hostname
        reasons = []
        variable = self.variable(desired.registry)
        if variable is not None and not desired.entry.same_login(variable):
            other = f"the variable DOCKER_AUTH_CONFIG has another login for {hostname}, which {_DOCKER_USES} first"
            reasons.append((other, f"unset DOCKER_AUTH_CONFIG, or remove {hostname} from it, then restart the agent"))
        # An older login of the agent does not belong to a person. The failed store is reported for it instead.
        if not result.ours and not result.older:
            reasons.append(_other_login(hostname, result))
        reasons += [
            (f"{path} has another login for {key}, {_PODMAN_FIRST}", _removal(path, key))
            for path, key in _shadows(desired, podman)
        ]
        reasons += [
            (
                f"{CONFIG_FILE} has another login for {key}, {_PODMAN_FIRST}",
                f"remove {shown(key)} from auths in {CONFIG_FILE}",
            )
            for key, entry in podmans_logins(document, desired.registry).values()
            if not desired.entry.same_login(entry)
        ]
        if not reasons:
            return []
        messages, hints = zip(*reasons, strict=True)
        severity = Severity.NOTICE if result.works and len(reasons) == 1 else None
        return [LoginOverridden(hostname, "; ".join(messages), hint="; ".join(hints), severity=severity)]


def _other_login(hostname: str, result: StoreResult) -> tuple[str, str]:
    """What docker finds in its store instead of the agent's login, and what to do about it."""
    where = CONFIG_FILE if result.stored_in == CONFIG_FILE else f"docker-credential-{result.stored_in}"
    if result.works:
        return (
            f"docker gets its login for {hostname} from {where}, which works; the agent leaves it alone",
            f"no action needed; to hide this notice, name {hostname} in secrets.exclude",
        )
    found = f"{_DOCKER_USES} another login for {hostname}: {where} has one that the agent did not store"
    if result.failure is not None:
        helper = shown(result.stored_in)
        return found, f"stop using {helper} for {hostname} in Docker's config.json, or name it in secrets.exclude"
    ends = token_end(result.login)
    until = f"; it works until {ends:%Y-%m-%d %H:%M} UTC, and the agent replaces it then" if ends else ""
    fix = f"run `registry-agent renew {hostname}` to replace it; to keep it, name it in secrets.exclude"
    return f"{found}{until}", fix


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
