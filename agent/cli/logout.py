"""`registry-agent logout`: removes the agents' own logins from Docker's configurations, as before an uninstall."""

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli import command, loaded_settings
from agent.cli.run import start
from agent.edge import paths

if TYPE_CHECKING:
    from agent.app import Agent

_Place = tuple[Path, Path]
"""A state directory, and a Docker configuration that an agent has managed with it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none. The settings name one configuration, and the state directories name all others."""
    del parser


@command("logout", leaves_threads=True)
def run(args: argparse.Namespace) -> int:
    """Remove the logins from every configuration that an agent of the user has managed. The log names each login.

    Returns:
        0 if all are gone, 2 if one could not be removed, 75 if an agent runs: it would store them again. That agent's
        configuration is left alone, and the log names it.
    """
    interrupted = False

    async def log_out(agent: "Agent") -> int:
        nonlocal interrupted
        code = await agent.logout()
        interrupted = agent.interrupted
        return code

    worst = start(args, log_out)
    for state, docker_config in _others(args, os.environ):
        if interrupted:
            break
        environ = {**os.environ, "STATE_DIRECTORY": str(state)}
        code = start(args, log_out, flags={"docker.config_dir": str(docker_config)}, environ=environ)
        worst = max(worst, code)
    return worst


def _others(args: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[_Place]:
    """Yield each other place whose configuration still exists."""
    from agent.edge.state_directory import known_configurations  # noqa: PLC0415 - after `start` handles signals

    done = {(paths.state_directory(environ), loaded_settings(args).settings.docker.config_dir)}
    for state in paths.state_directories(environ):
        for place in ((state, config) for config in known_configurations(state)):
            if place not in done and os.path.isdir(place[1]):  # noqa: PTH112 - it never raises
                done.add(place)
                yield place
