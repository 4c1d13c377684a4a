"""Runs the demo: starts the real agent in the simulated cloud, and prints what happens until everything was shown."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from agent.demo.cloud import DemoCloud, demo_cloud
from agent.demo.narrator import Milestone, Narrator
from agent.demo.printer import Printer
from agent.demo.running import log_events, running_agent, stop
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


async def play(pace: Pace, write: Callable[[str], None]) -> bool:
    """Run the demo. Returns whether it showed everything that it had time for.

    If not, its files are kept, so that you can find out why. `write` prints one or more lines.
    """
    printer = Printer(write)
    async with demo_cloud(pace.token_life_s) as cloud:
        workspace = await asyncio.to_thread(make_workspace, [part.secret for part in cloud.registries])
        story = Story(pace, printer, cloud, workspace)
        with _signals(story.stop):
            story.introduce()
            code = await story.run_agent()
        missing = story.narrator.missing
        complete = code == 0 and (pace.stay or not missing)
        story.conclude(code)
    printer.print("demo", f"shown: {'; '.join(m for m in Milestone if m not in missing) or 'nothing'}")
    if missing:
        printer.print("demo", f"{'not shown in this time' if complete else 'NOT shown'}: {'; '.join(missing)}")
    elif not complete:
        printer.print("demo", "the agent should have exited with status 0")
    if complete or story.stop.is_set():
        await asyncio.to_thread(workspace.remove)
    else:
        printer.print("demo", f"the agent's log is {workspace.log}; its last lines:")
        printer.add(*workspace.log_tail(5))
    return complete


@dataclass(eq=False)
class Story:
    """One run of the demo in a cloud. Setting `stop` ends it early."""

    pace: Pace
    printer: Printer
    cloud: DemoCloud
    workspace: Workspace

    def __post_init__(self) -> None:
        self.narrator = Narrator({part.hostname: part.secret["name"] for part in self.cloud.registries})
        self.stop = asyncio.Event()
        self._outage_noticed = asyncio.Event()

    def introduce(self) -> None:
        self.printer.print("cloud", "a simulated AWS (ECR, STS, metadata service) and five registries on loopback:")
        self.printer.add(*(f"{part.hostname:<17}{part.description}" for part in self.cloud.registries))
        self.printer.print(
            "demo", f"it needs no account, no network and no Docker engine; all its files are in {self.workspace.root}"
        )

    async def run_agent(self) -> int:
        """Run the agent until there is nothing more to show. Returns its exit status."""
        async with running_agent(self.workspace, self.cloud.aws_url) as agent:
            self.printer.print("agent", f"running as process {agent.pid}; look at its status here:")
            self.printer.add(*_status_commands(self.workspace))
            watching = asyncio.create_task(self._watch())
            recovery = asyncio.create_task(self._end_outage())
            # The first of these to finish ends the demo. The end of the outage does not: the demo goes on after it.
            tasks = {watching, recovery, asyncio.create_task(agent.wait()), asyncio.create_task(self.stop.wait())}
            try:
                left = self.pace.limit_s - self.printer.elapsed_s
                await asyncio.wait(tasks - {recovery}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            for task in (watching, recovery):
                if not task.cancelled():
                    task.result()
            return await stop(agent)

    def conclude(self, code: int) -> None:
        hosts = ", ".join(self.workspace.docker_hosts()) or "no registry"
        requests = _times(len(self.cloud.aws.tokens))
        wrong = _times(self.cloud.rejecting.registry.wrong.total())
        self.printer.print("agent", f"exited with status {code}")
        self.printer.print("docker", f"its config.json now has logins for {hosts}")
        self.printer.print("cloud", f"AWS was asked for a token {requests}; the wrong password was sent {wrong}")

    async def _watch(self) -> None:
        """Print what the agent's log reports until everything was shown, or with `stay` forever."""
        complete = False
        async for event in log_events(self.workspace.log):
            remark = self.narrator.read(event)
            if remark is not None:
                self.printer.print(*remark)
            if Milestone.OUTAGE in self.narrator.reached:
                self._outage_noticed.set()
            if complete or self.narrator.missing:
                continue
            if not self.pace.stay:
                return
            complete = True
            self.printer.print(
                "demo", "everything was shown; the demo keeps running so that you can look around (Ctrl-C ends it)"
            )

    async def _end_outage(self) -> None:
        await self._outage_noticed.wait()
        hostname = self.cloud.outage.hostname
        self.printer.print("cloud", f"{hostname} stays down for {self.pace.outage_s:.0f} s")
        await asyncio.sleep(self.pace.outage_s)
        await self.cloud.outage.listener.up()
        self.printer.print("cloud", f"{hostname} is up again; the agent finds out by itself")


def _status_commands(workspace: Workspace) -> list[str]:
    # The command that a person types here to run this program.
    command = "registry-agent" if shutil.which("registry-agent") else os.path.relpath(sys.argv[0])
    return [
        f"{workspace.status_url}/ in a browser",
        f"curl -s {workspace.status_url}/v1/status",
        f"{command} status --socket {workspace.socket}",
    ]


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM set `stop`, so that everything that was started is shut down in order."""
    loop = asyncio.get_running_loop()
    with ExitStack() as stack:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
            stack.callback(loop.remove_signal_handler, number)
        yield
