"""Checks the Docker engine with the Docker SDK, in a short-lived child: in this process the SDK would keep 9 MB."""

import asyncio
import grp
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.blocking import BlockingCalls
from agent.edge import paths
from agent.edge.docker_context import Endpoint, find_endpoint
from agent.edge.process import ProcessTimeout, child_environment, run
from agent.model.engine import EngineAnswer
from agent.model.status import Engine

_UNIX: Final = "unix://"
_FILES: Final = BlockingCalls("docker-context", limit=4)
_FILE_S: Final = 4.0
_TIMEOUT_S: Final = 5.0
_CONNECT_S: Final = 1.0
_START_S: Final = 5.0  # time for Python to start on a busy machine
_CHILD: Final = """
import sys
import docker, docker.errors, requests
try:
    client = docker.from_env(timeout=float(sys.argv[1]))
    client.ping()
    print("reachable", client.version().get("Version", ""))
except (requests.exceptions.Timeout, TimeoutError):
    print("unresponsive")
except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
    # from_env wraps the answer to its first request.
    status = getattr(error, "status_code", None) or getattr(error.__cause__, "status_code", None)
    print("unresponsive" if "timed out" in str(error).lower() else f"unreachable {status or ''}")
"""


class DockerEngine:
    """The engine that the docker CLI uses: that of DOCKER_HOST, or of the current docker context."""

    def __init__(
        self, environ: Mapping[str, str], config_dir: Path | None = None, *, timeout_s: float = _TIMEOUT_S
    ) -> None:
        """`config_dir` is Docker's, which holds the contexts. `timeout_s` limits each answer of the engine."""
        self._environ: Final = environ
        self._config_dir: Final = config_dir or Path("/nonexistent")
        self._env: Final = {
            name: value for name, value in child_environment(environ).items() if not name.startswith("DOCKER_")
        }
        self._timeout_s: Final = timeout_s
        self._found: Endpoint | None = None

    def find(self) -> Endpoint:
        """Find the engine that the CLI would use now. `ask` uses the result until the next call. Blocks."""
        self._found = find_endpoint(self._environ, self._config_dir)
        return self._found

    async def endpoint(self) -> Endpoint:
        """Return the engine that the CLI would use now. While its files cannot be read, the address is unusable."""
        try:
            return await _FILES.call(
                self._config_dir, lambda: find_endpoint(self._environ, self._config_dir), timeout=_FILE_S
            )
        except OSError:
            return Endpoint(f"the context in {self._config_dir}, which cannot be read", {})

    async def ask(self) -> EngineAnswer:
        """Return whether the engine answers, and why it may not be asked. Never raises."""
        endpoint = self._found or await self.endpoint()
        socket, user = endpoint.address.removeprefix(_UNIX), paths.user_name()
        try:
            state, status = await self._state(endpoint)
        except PermissionError:
            return EngineAnswer(Engine.UNREACHABLE, endpoint.address, user, await _group_of(socket))
        return EngineAnswer(state, endpoint.address, user, hint=endpoint.hint, status=status)

    async def _state(self, endpoint: Endpoint) -> tuple[Engine, int | None]:
        """Return whether the engine answers, and the status if it answers with an error.

        Does not start the SDK if the socket refuses connections. Raises PermissionError if this user may not open it.
        """
        if not endpoint.env:
            return Engine.UNREACHABLE, None
        if endpoint.address.startswith(_UNIX) and not await _accepts(endpoint.address.removeprefix(_UNIX)):
            return Engine.UNREACHABLE, None
        if endpoint.address.startswith("ssh:"):
            return Engine.UNKNOWN, None  # the SDK would need another package, and ssh may prompt
        try:
            # -I: neither the working directory nor PYTHON* variables may replace the SDK with other code.
            child = [sys.executable, "-I", "-c", _CHILD, str(self._timeout_s)]
            env = {**self._env, **endpoint.env}
            finished = await run(child, env=env, timeout=2 * self._timeout_s + _START_S)
        except ProcessTimeout:
            return Engine.UNRESPONSIVE, None
        except OSError:
            return Engine.UNKNOWN, None
        return _result(finished.stdout.decode(errors="replace").split())


def _result(words: list[str]) -> tuple[Engine, int | None]:
    """Parse what the child printed: the state, then the version or the status."""
    if not words or words[0] not in Engine.__members__.values():
        return Engine.UNKNOWN, None
    failed = words[0] == Engine.UNREACHABLE and len(words) > 1 and words[1].isdecimal()
    return Engine(words[0]), int(words[1]) if failed else None


async def _group_of(socket: str) -> str:
    """Return the group that may open the socket, or an empty text."""
    with suppress(OSError, KeyError):
        found = await _FILES.call(socket, Path(socket).stat, timeout=_FILE_S)
        return grp.getgrgid(found.st_gid).gr_name
    return ""


async def _accepts(path: str) -> bool:
    """Return whether the socket accepts connections. Raises PermissionError if this user may not open it."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_unix_connection(path)
    except TimeoutError:
        return True  # its queue is full: the SDK will find out whether the engine answers
    except PermissionError:
        raise
    except (OSError, ValueError):
        return False
    writer.close()
    return True
