"""Runs the demo: starts the real agent in the simulated cloud, and prints what happens until everything was shown."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from agent.demo.cloud import DemoCloud
from agent.demo.narrator import Milestone, Narrator, Roles
from agent.demo.printer import Printer
from agent.demo.running import RunningAgent
from agent.demo.workspace import Workspace, make_workspace


@dataclass(frozen=True, slots=True)
class Pace:
    """The durations of the demo, in seconds.

    Args:
        limit_s: the demo ends after this time at the latest.
        stay: run for the whole of `limit_s` (`--for`). If that is too short to show everything, it is not a failure.
        token_life_s: how long an ECR token is valid.
        outage_s: how long the outage lasts after the agent has noticed it.
    """

    limit_s: float = 120.0
    stay: bool = False
    token_life_s: float = 60.0
    outage_s: float = 20.0


class Story:
    """One run of the demo. `write` prints one or more lines."""

    def __init__(self, pace: Pace, write: Callable[[str], None]) -> None:
        self._pace: Final = pace
        self._printer: Final = Printer(write)
        self._stop: Final = asyncio.Event()
        self._outage_noticed: Final = asyncio.Event()

    async def play(self) -> bool:
        """Run the demo. Returns whether it showed everything that it had time for.

        If not, its files are kept, so that you can find out why.
        """
        async with DemoCloud(self._pace.token_life_s) as cloud:
            workspace = await asyncio.to_thread(make_workspace, [part.secret for part in cloud.parts])
            narrator = Narrator(_roles(cloud))
            with _signals(self._stop):
                self._introduce(cloud, workspace)
                code = await self._run_agent(cloud, workspace, narrator)
            complete = code == 0 and (self._pace.stay or not narrator.missing)
            self._conclude(cloud, workspace, code)
        self._report(narrator, complete=complete)
        if complete or self._stop.is_set():
            await asyncio.to_thread(workspace.remove)
        else:
            self._printer.print("demo", f"the agent's log is {workspace.log}; its last lines:")
            self._printer.add(*workspace.log_tail(5))
        return complete

    async def _run_agent(self, cloud: DemoCloud, workspace: Workspace, narrator: Narrator) -> int:
        """Run the agent until there is nothing more to show. Returns its exit status."""
        async with RunningAgent(workspace, cloud.aws_listener.url) as agent:
            self._printer.print("agent", f"running as process {agent.pid}; look at its status here:")
            self._printer.add(*_status_commands(workspace))
            watching = asyncio.create_task(self._watch(agent, narrator))
            recovery = asyncio.create_task(self._end_outage(cloud))
            # The first of these to finish ends the demo. The end of the outage does not: the demo goes on after it.
            tasks = {watching, recovery, asyncio.create_task(agent.ended()), asyncio.create_task(self._stop.wait())}
            try:
                left = self._pace.limit_s - self._printer.elapsed_s
                await asyncio.wait(tasks - {recovery}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            for task in (watching, recovery):
                if not task.cancelled():
                    task.result()
            return await agent.end()

    async def _watch(self, agent: RunningAgent, narrator: Narrator) -> None:
        """Print what changes in the agent's status until everything was shown, or with `stay` forever."""
        complete = False
        async for document in agent.documents():
            for remark in narrator.read(document):
                self._printer.remark(remark)
            if Milestone.OUTAGE in narrator.reached:
                self._outage_noticed.set()
            if complete or narrator.missing:
                continue
            if not self._pace.stay:
                return
            complete = True
            self._printer.print(
                "demo", "everything was shown; the demo keeps running so that you can look around (Ctrl-C ends it)"
            )

    async def _end_outage(self, cloud: DemoCloud) -> None:
        await self._outage_noticed.wait()
        self._printer.print("cloud", f"{cloud.outage.hostname} stays down for {self._pace.outage_s:.0f} s")
        await asyncio.sleep(self._pace.outage_s)
        await cloud.outage.listener.up()
        self._printer.print("cloud", f"{cloud.outage.hostname} is up again; the agent finds out by itself")

    def _introduce(self, cloud: DemoCloud, workspace: Workspace) -> None:
        self._printer.print("cloud", "a simulated AWS (ECR, STS, metadata service) and five registries on loopback:")
        self._printer.add(*(f"{part.hostname:<17}{part.description}" for part in cloud.parts))
        self._printer.print(
            "demo", f"it needs no account, no network and no Docker engine; all its files are in {workspace.root}"
        )

    def _conclude(self, cloud: DemoCloud, workspace: Workspace, code: int) -> None:
        hosts = ", ".join(workspace.docker_hosts()) or "no registry"
        requests = _times(cloud.aws.count("ecr:GetAuthorizationToken"))
        wrong = _times(cloud.rejecting.registry.wrong.total())
        self._printer.print("agent", f"exited with status {code}")
        self._printer.print("docker", f"its config.json now has logins for {hosts}")
        self._printer.print("cloud", f"AWS was asked for a token {requests}; the wrong password was sent {wrong}")

    def _report(self, narrator: Narrator, *, complete: bool) -> None:
        reached = [milestone for milestone in Milestone if milestone in narrator.reached]
        self._printer.print("demo", f"shown: {'; '.join(reached) or 'nothing'}")
        if narrator.missing:
            lead = "not shown in this time" if complete else "NOT shown"
            self._printer.print("demo", f"{lead}: {'; '.join(narrator.missing)}")
        elif not complete:
            self._printer.print("demo", "the agent should have exited with status 0")


def _roles(cloud: DemoCloud) -> Roles:
    return Roles(
        basic=cloud.basic.hostname,
        token=cloud.token.hostname,
        ecr=cloud.ecr.hostname,
        rejecting=cloud.rejecting.hostname,
        outage=cloud.outage.hostname,
    )


def _status_commands(workspace: Workspace) -> list[str]:
    return [
        f"{workspace.status_url}/ in a browser",
        f"curl -s {workspace.status_url}/v1/status",
        f"{_command()} status --socket {workspace.socket}",
    ]


def _command() -> str:
    """The command that a person types here to run this program."""
    if shutil.which("registry-agent"):
        return "registry-agent"
    return os.path.relpath(sys.argv[0])


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set `stop`, so that everything that was started is shut down in order."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
