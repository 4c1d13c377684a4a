"""Is there an engine? Asked through the Docker SDK, in a short-lived child: loaded here it would cost 9 MB for good."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Final

from agent.edge.process import ProcessTimeout, child_environment, run
from agent.model.status import Engine

_DEFAULT: Final = "unix:///var/run/docker.sock"
_TIMEOUT_S: Final = 5.0
_CONNECT_S: Final = 1.0
_START_S: Final = 5.0  # a cold Python on a busy machine
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
    """The engine that DOCKER_HOST names, or the one on the usual socket."""

    def __init__(self, environ: Mapping[str, str], *, timeout_s: float = _TIMEOUT_S) -> None:
        """`timeout_s` bounds each answer of the engine."""
        self._env: Final = child_environment(environ)
        self._timeout_s: Final = timeout_s
        self.address: Final = environ.get("DOCKER_HOST") or _DEFAULT

    async def state(self) -> Engine:
        """Whether it answers; never raises. A socket that nobody serves us on is told without asking the SDK."""
        if self.address.startswith("unix://") and not await _accepts(self.address.removeprefix("unix://")):
            return Engine.UNREACHABLE
        try:
            # -I: neither the working directory nor PYTHON* variables may put something else in the SDK's place.
            child = [sys.executable, "-I", "-c", _CHILD, str(self._timeout_s)]
            finished = await run(child, env=self._env, timeout=2 * self._timeout_s + _START_S)
        except ProcessTimeout:
            return Engine.UNRESPONSIVE
        except OSError:
            return Engine.UNKNOWN
        word = finished.stdout.decode(errors="replace").split(maxsplit=1)
        return Engine(word[0]) if word and word[0] in Engine.__members__.values() else Engine.UNKNOWN


async def _accepts(path: str) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_S):
            _, writer = await asyncio.open_unix_connection(path)
    except TimeoutError:
        return True  # its queue is full: whether it stays silent is for the SDK to find out
    except (OSError, ValueError):
        return False
    writer.close()
    return True
