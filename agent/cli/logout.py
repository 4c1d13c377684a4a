"""`registry-agent logout`: removes the agent's own logins from Docker's configuration, as before an uninstall."""

import argparse

from agent.cli import command
from agent.cli.run import start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none. The settings name the configuration."""
    del parser


@command("logout", leaves_threads=True)
def run(args: argparse.Namespace) -> int:
    """Remove the logins. The log names each one.

    Returns:
        0 if all are gone, 2 if one could not be removed, 75 if an agent runs: it would store them again.
    """
    return start(args, lambda agent: agent.logout())
