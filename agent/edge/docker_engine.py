"""Checks the Docker engine with the Docker SDK, in a short-lived child: in this process the SDK would keep 9 MB."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Final

from agent.edge.process import ProcessTimeout, child_environment, run
from agent.model.status import Engine

_DEFAULT: Final = "unix:///var/run/docker.sock"
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
    print("unresponsive" if "timed out" in str(error).lower() else "unreachable")
"""


class DockerEngine:
    """The engine in DOCKER_HOST, or the one on the default socket."""

    def __init__(self, environ: Mapping[str, str], *, timeout_s: float = _TIMEOUT_S) -> None:
        """`timeout_s` limits each answer of the engine."""
        self._env: Final = child_environment(environ)
        self._timeout_s: Final = timeout_s
        self.address: Final = environ.get("DOCKER_HOST") or _DEFAULT

    async def state(self) -> Engine:
        """Return whether the engine answers. Never raises. Does not start the SDK if the socket refuses connections."""
        if self.address.startswith("unix://") and not await _accepts(self.address.removeprefix("unix://")):
            return Engine.UNREACHABLE
        try:
            # -I: neither the working directory nor PYTHON* variables may replace the SDK with other code.
            child = [sys.executable, "-I", "-c", _CHILD, str(self._timeout_s)]
            finished = await run(child, env=self._env, timeout=2 * self._timeout_s + _START_S)
        except ProcessTimeout:
            return Engine.UNRESPONSIVE
        except OSError:
            return Engine.UNKNOWN
        output = finished.stdout.decode(errors="replace").split(maxsplit=1)
        return Engine(output[0]) if output and output[0] in Engine.__members__.values() else Engine.UNKNOWN


async def _accepts(path: str) -> bool:
    """Return whether the socket accepts connections."""
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_unix_connection(path)
    except TimeoutError:
        return True  # its queue is full: the SDK will find out whether the engine answers
    except (OSError, ValueError):
        return False
    writer.close()
    return True
