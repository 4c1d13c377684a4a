"""Finds the engine of the current docker context, as the docker CLI does (cli/context/store)."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from agent.edge.regular_file import read_regular
from agent.model.commands import command, shown

DEFAULT: Final = "unix:///var/run/docker.sock"
_LIMIT: Final = 1 << 20
_BUILT_IN: Final = "default"
_SCHEMES: Final = frozenset({"tcp", "unix", "ssh", "npipe", "fd"})
_OF_VARIABLE: Final = (
    "start the engine at the address in DOCKER_HOST, or fix or unset DOCKER_HOST and restart the agent; logins work "
    "without it"
)
_OF_CONTEXT: Final = "start the engine of the docker context, or choose another context; logins work without it"


class Endpoint(NamedTuple):
    """The address of an engine, and the variables with which the CLI and the SDK reach it: none if it is unusable.

    The address is for messages: it has no password, but the reason if it is unusable. `hint` is the fix if no engine
    answers, and None if it is to start Docker.
    """

    address: str
    env: Mapping[str, str]
    hint: str | None = None


def find_endpoint(environ: Mapping[str, str], config_dir: Path) -> Endpoint:
    """Return the engine of DOCKER_HOST, else of DOCKER_CONTEXT, else of `currentContext`. Blocks."""
    host, version = (environ.get("DOCKER_HOST") or "").strip(), {}
    if environ.get("DOCKER_API_VERSION"):
        version = {"DOCKER_API_VERSION": environ["DOCKER_API_VERSION"]}
    if host:
        return _of_variable(host, environ, config_dir, version)
    context = environ.get("DOCKER_CONTEXT") or _current(config_dir)
    if context == _BUILT_IN:
        return Endpoint(DEFAULT, {"DOCKER_HOST": DEFAULT, **version}, _rootless_hint(environ))
    # The CLI names the directories after the hash, so a context may have any name.
    name = hashlib.sha256(context.encode("utf-8", "surrogatepass")).hexdigest()
    meta = config_dir / "contexts/meta" / name / "meta.json"
    address = _address(_json(meta))
    if address is None:
        fault = "cannot be read" if os.path.lexists(meta) else "does not exist"
        return Endpoint(f"the docker context {context}, which {fault}", {}, _other_context(environ, config_dir))
    certificates = config_dir / "contexts/tls" / name / "docker"
    tls = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)} if certificates.is_dir() else {}
    hint = None if address == DEFAULT else _OF_CONTEXT
    return Endpoint(_without_user(address), {"DOCKER_HOST": address, **tls, **version}, hint)


def _of_variable(host: str, environ: Mapping[str, str], config_dir: Path, version: Mapping[str, str]) -> Endpoint:
    """Return the engine of DOCKER_HOST, under the conditions of the CLI (opts/hosts.go, cli/flags/options.go)."""
    unusable = _unusable(host)
    if unusable is not None:
        return unusable
    given = {name: environ[name] for name in ("DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH") if environ.get(name)}
    authority = Path(environ.get("DOCKER_CERT_PATH") or config_dir) / "ca.pem"
    if "DOCKER_TLS_VERIFY" in given and host.startswith("tcp:") and not authority.exists():
        hint = f"put ca.pem into {shown(authority.parent)}, or unset DOCKER_TLS_VERIFY; then restart the agent"
        return Endpoint(f"{_without_user(host)}, for which {authority} is missing", {}, hint)
    fix = None if host == DEFAULT else _OF_VARIABLE
    return Endpoint(_without_user(host), {"DOCKER_HOST": host, **given, **version}, fix)


def _unusable(host: str) -> Endpoint | None:
    """Return the fault of a DOCKER_HOST that docker cannot use, whatever listens there."""
    scheme, separator, _ = host.partition("://")
    if host.startswith("/"):
        hint = "write unix:// in front of the path in DOCKER_HOST, and restart the agent; logins work without it"
        return Endpoint(f"{host}, which is a path without unix://", {}, hint)
    if separator and scheme not in _SCHEMES:
        hint = "use tcp://, unix:// or ssh:// in DOCKER_HOST, and restart the agent; logins work without it"
        return Endpoint(f"{_without_user(host)}, because docker does not accept {scheme}://", {}, hint)
    return None


def _without_user(host: str) -> str:
    """Return the address without a user name and a password, for messages."""
    scheme, separator, rest = host.rpartition("://")
    return host if scheme == "unix" else f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _rootless_hint(environ: Mapping[str, str]) -> str | None:
    """Return the hint for a rootless Docker, which listens in the user's runtime directory."""
    socket = Path(environ.get("XDG_RUNTIME_DIR") or "/nonexistent", "docker.sock")
    if not socket.is_socket():
        return None
    return f"set DOCKER_HOST to unix://{shown(socket)} (rootless Docker), and restart the agent; logins work without it"


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
    if not isinstance(docker, dict):
        return None
    # `docker context create` needs no host.
    host = docker.get("Host", "")
    return (host or DEFAULT) if isinstance(host, str) else None


def _json(path: Path) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one if there is none."""
    try:
        document = json.loads(read_regular(Path(os.path.realpath(path)), _LIMIT))
    except (OSError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
