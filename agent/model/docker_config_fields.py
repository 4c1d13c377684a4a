"""The fields of Docker's files and their types. If one has another type, Docker rejects the file.

They are those of docker/cli (cli/config/configfile/file.go). docs/docker-versions.md lists what differs by version.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from agent.model.json_text import JsonError
from agent.model.json_types import Check, Struct, list_of, map_of, string
from agent.model.text import printable

# The version of the docker CLI, such as (28, 2).
CliVersion = tuple[int, ...]
# Stands for a docker CLI that is missing or not known yet. Of the versions in use, this one accepts the least.
UNKNOWN: Final[CliVersion] = (28, 5)
_NEVER: Final[CliVersion] = (999,)


@dataclass(frozen=True, slots=True)
class _Field:
    """A field, and the versions of the CLI that know it: from `since` on, until `before`."""

    name: str
    type: Check = string
    since: CliVersion = ()
    before: CliVersion = _NEVER


_STRINGS: Final = map_of(string)
_ALIAS: Final = "builder"
_SHOWN: Final = 60


def _aliases(value: Any, former: Any, where: str) -> Any:
    """Check `aliases`. With another name, or without a target, docker runs no command (cmd/docker/aliases.go)."""
    aliases = _STRINGS(value, former, where)
    for name, target in (aliases or {}).items():
        place = printable(f"{where}.{name}", _SHOWN)
        if name != _ALIAS:
            raise JsonError(f"{place} is set, but docker allows only the alias {_ALIAS}")
        if not (target or "").strip(" "):
            raise JsonError(f"{place} names no command, and then docker runs no command at all")
    return aliases


_LOGIN: Final = (
    *(_Field(name) for name in ("username", "password", "auth", "serveraddress", "identitytoken", "registrytoken")),
    _Field("email", before=(29,)),
)
_PROXY: Final = (
    *(_Field(name) for name in ("httpProxy", "httpsProxy", "noProxy", "ftpProxy")),
    _Field("allProxy", since=(23,)),
)
_CONFIG: Final = (
    *(_Field(f"{name}Format") for name in ("ps", "images", "networks", "plugins", "volumes", "stats", "tasks")),
    *(_Field(f"{name}Format") for name in ("serviceInspect", "services", "secret", "config", "nodes")),
    *(_Field(name) for name in ("detachKeys", "credsStore", "currentContext")),
    *(_Field(name, _STRINGS) for name in ("HttpHeaders", "credHelpers")),
    _Field("aliases", _aliases),
    *(_Field(name, list_of(string)) for name in ("pruneFilters", "cliPluginsExtraDirs")),
    _Field("plugins", map_of(_STRINGS)),
    _Field("features", _STRINGS, since=(26, 1)),
    _Field("experimental", before=(29,)),
    _Field("stackOrchestrator", before=(24,)),
    _Field("kubernetes", Struct({"allNamespaces": string}), before=(22,)),
)
# What a credential helper prints for `get`.
HELPER_ANSWER: Final = Struct({"ServerURL": string, "Username": string, "Secret": string})
# DOCKER_AUTH_CONFIG. Docker ignores a value with any other field.
AUTH_VARIABLE: Final = Struct({"auths": map_of(Struct({"auth": string}, closed=True))}, closed=True)


@lru_cache(maxsize=4)
def config_type(cli: CliVersion) -> Struct:
    nested = (_Field("auths", map_of(_struct(_LOGIN, cli))), _Field("proxies", map_of(_struct(_PROXY, cli))))
    return _struct((*_CONFIG, *nested), cli)


def allows_empty_user(cli: CliVersion) -> bool:
    return cli < (23,)


def reads_auth_variable(cli: CliVersion | None) -> bool:
    """Whether Docker uses DOCKER_AUTH_CONFIG. Older versions, and a docker that is missing, ignore it."""
    return cli is not None and cli >= (28, 3)


def uses_file_if_helper_fails(cli: CliVersion | None) -> bool:
    """Whether a pull uses the login in the file if the credential helper fails. From 29 on, the pull fails."""
    return cli is None or cli < (29,)


def _struct(fields: Iterable[_Field], cli: CliVersion) -> Struct:
    return Struct({field.name: field.type for field in fields if field.since <= cli < field.before})
