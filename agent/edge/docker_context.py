"""Finds the engine of the current docker context, as the docker CLI does (cli/context/store)."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from agent.edge.regular_file import read_regular
from agent.model.commands import command

DEFAULT: Final = "unix:///var/run/docker.sock"
_LIMIT: Final = 1 << 20
_BUILT_IN: Final = "default"


class Endpoint(NamedTuple):
    """The address of an engine, and the variables with which the CLI and the SDK reach it: none if it is unusable.

    `hint` is the fix if the choice of the engine itself is wrong.
    """

    address: str
    env: Mapping[str, str]
    hint: str | None = None


def find_endpoint(environ: Mapping[str, str], config_dir: Path) -> Endpoint:
    """Return the engine of DOCKER_HOST, else of DOCKER_CONTEXT, else of `currentContext`. Blocks."""
    host, version = environ.get("DOCKER_HOST"), {}
    if environ.get("DOCKER_API_VERSION"):
        version = {"DOCKER_API_VERSION": environ["DOCKER_API_VERSION"]}
    if host:
        given = {name: environ[name] for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH") if environ.get(name)}
        return Endpoint(host, {"DOCKER_HOST": host, **given, **version})
    context = environ.get("DOCKER_CONTEXT") or _current(config_dir)
    if context == _BUILT_IN:
        return Endpoint(DEFAULT, {"DOCKER_HOST": DEFAULT, **version})
    # The CLI names the directories after the hash, so a context may have any name.
    name = hashlib.sha256(context.encode("utf-8", "surrogatepass")).hexdigest()
    address = _address(_json(config_dir / "contexts/meta" / name / "meta.json"))
    if address is None:
        return Endpoint(f"the docker context {context}, which does not exist", {}, _other_context(environ, config_dir))
    certificates = config_dir / "contexts/tls" / name / "docker"
    tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)} if certificates.is_dir() else {}
    return Endpoint(address, {"DOCKER_HOST": address, **tls, **version})


def _other_context(environ: Mapping[str, str], config_dir: Path) -> str:
    """Return how to choose a context that exists. Without one, docker fails before it asks any engine."""
    if environ.get("DOCKER_CONTEXT"):
        return "fix or unset DOCKER_CONTEXT, then restart the agent; logins work without it, but pulls do not"
    # CLI 20.10 also resolves the current context before it changes it.
    use = command("docker --context default --config", config_dir, "context", "use", "default")
    use = use or "`docker --context default context use default`"
    return f"run {use}, or create the context again; logins work without it"


def _current(config_dir: Path) -> str:
    current = _json(config_dir / "config.json").get("currentContext")
    return current if isinstance(current, str) and current else _BUILT_IN


def _address(meta: Mapping[str, Any]) -> str | None:
    endpoints = meta.get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = docker.get("Host") if isinstance(docker, dict) else None
    return host if isinstance(host, str) and host else None


def _json(path: Path) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one if there is none."""
    try:
        document = json.loads(read_regular(Path(os.path.realpath(path)), _LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
