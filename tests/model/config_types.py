"""Files in which a field has another type than docker expects."""

from collections.abc import Iterator
from typing import Any, Final

from tests.model.config_file import AUTH, HOST, LOGIN, File, file

_TEXT_FIELDS: Final = (
    *(f"{name}Format" for name in ("ps", "images", "networks", "plugins", "volumes", "stats", "tasks", "services")),
    *("serviceInspectFormat", "secretFormat", "configFormat", "nodesFormat", "detachKeys", "credsStore"),
    *("currentContext", "experimental", "stackOrchestrator"),
)
_MAPS: Final = ("HttpHeaders", "credHelpers", "aliases", "features")
_LISTS: Final = ("pruneFilters", "cliPluginsExtraDirs")
_PROXIES: Final = ("httpProxy", "httpsProxy", "noProxy", "ftpProxy", "allProxy")
_FIELDS: Final = ("username", "password", "email", "serveraddress", "identitytoken", "registrytoken")


def _top_level() -> Iterator[File]:
    """Every field that docker knows, with a value of another type."""
    value: Any
    for field in (*_TEXT_FIELDS, *_MAPS, *_LISTS, "plugins", "proxies", "kubernetes", "unknown"):
        for value in (True, 1, "", None, ["x"], {"builder": 1}):
            if (field, value) != ("currentContext", ""):
                yield file(f"{field}: {value}", {"auths": {HOST: LOGIN}, field: value})
    for field in _MAPS:
        for value in (False, 1.5, [], None):
            yield file(f"{field}.x: {value}", {"auths": {HOST: LOGIN}, field: {"builder": value}})


def _aliases() -> Iterator[File]:
    """They have the right type, but docker runs no command at all with some of them."""
    value: Any
    for target in ("buildx", "buildx build", "--debug buildx", "nothing", "", " "):
        yield file(f"aliases.builder: {target!r}", {"auths": {HOST: LOGIN}, "aliases": {"builder": target}})
    for value in ({"b": "builder"}, {"Builder": "buildx"}, {"builder": "buildx", "": "x"}, {"b": None}, {}):
        yield file(f"aliases: {value}", {"auths": {HOST: LOGIN}, "aliases": value})


def _inside() -> Iterator[File]:
    """The same for what these fields hold."""
    value: Any
    for value in (0, {}, None):
        yield file(f"pruneFilters[1]: {value}", {"auths": {HOST: LOGIN}, "pruneFilters": ["label=x", value]})
        yield file(f"plugins.x: {value}", {"auths": {HOST: LOGIN}, "plugins": {"x": value}})
        yield file(f"plugins.x.y: {value}", {"auths": {HOST: LOGIN}, "plugins": {"x": {"y": value}}})
        yield file(f"proxies.x: {value}", {"auths": {HOST: LOGIN}, "proxies": {"x": value}})
        yield file(f"kubernetes.x: {value}", {"auths": {HOST: LOGIN}, "kubernetes": {"allNamespaces": value}})
    for field in (*_PROXIES, "unknown"):
        for value in (["127.0.0.1"], None, True):
            yield file(f"proxies.x.{field}: {value}", {"auths": {HOST: LOGIN}, "proxies": {"x": {field: value}}})


def _entries() -> Iterator[File]:
    """The same for `auths`."""
    value: Any
    for field in (*_FIELDS, "auth", "unknown"):
        for value in (7, None, {}):
            yield file(f"auths.HOST.{field}: {value}", {"auths": {HOST: {**LOGIN, field: value}}})
            yield file(f"auths.other.{field}: {value}", {"auths": {HOST: LOGIN, "other": {field: value}}})
    for value in (AUTH, 1, [], None, True):
        yield file(f"auths: {value}", {"auths": value})
        yield file(f"auths.other: {value}", {"auths": {HOST: LOGIN, "other": value}})


def wrong_types() -> Iterator[File]:
    yield from _top_level()
    yield from _aliases()
    yield from _inside()
    yield from _entries()
