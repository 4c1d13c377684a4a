"""Stops docker from asking the agent: removes the agent's lines from `credHelpers`. `make uninstall` runs it.

    python -m agent.cli.release_helper

It looks at the current user's Docker configuration, and at all configurations that the user's agents have managed.
Otherwise, docker would look for a program that is gone. Docker 29 and podman then stop with an error. It leaves the
configuration of an agent that runs: it is installed elsewhere too, and would write its lines again.
"""

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from agent.cli import write
from agent.edge import paths
from agent.edge.config_lock import ConfigLock
from agent.edge.docker_config import DockerConfigFile
from agent.edge.state_directory import known_configurations
from agent.model.helper_lines import without_lines_except
from agent.model.problem import ProblemError
from agent.settings_loader import load_settings


def main() -> int:
    """Return 0 if no line is left, else 1."""
    settings = load_settings(None, os.environ, {}).settings
    states = paths.state_directories(os.environ)
    known = [config for state in states for config in known_configurations(state)]
    return asyncio.run(_release(dict.fromkeys([settings.docker.config_dir, *known])))


async def _release(directories: Iterable[Path]) -> int:
    code = 0
    for directory in directories:
        config, lock = DockerConfigFile(directory), ConfigLock(directory)
        try:
            before = await config.read()
            if without_lines_except(before, frozenset()) == before:
                continue
            if not lock.hold():
                write(f"another agent manages {config.path}: its lines in credHelpers stay", to=sys.stderr)
                code = 1
                continue
            await config.update(lambda now: without_lines_except(now, frozenset()))
            write(f"docker no longer asks registry-agent: {config.path}")
        except ProblemError as error:
            write(f"{error.problem.message}; remove registry-agent from credHelpers in it", to=sys.stderr)
            code = 1
        finally:
            lock.remove()
            lock.release()
    return code


if __name__ == "__main__":
    sys.exit(main())
