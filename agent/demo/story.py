"""The demo as a story: the real agent in the pretend cloud, told line by line until everything has been seen."""

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
    """How fast the story goes, in seconds.

    The outage lasts `outage_s` from when the agent has noticed. `stay`: somebody wants it for `limit_s`, and no shorter
    when everything has been seen, so what that time is too short for is no failure.
    """

    limit_s: float = 120.0
    stay: bool = False
    token_life_s: float = 60.0
    outage_s: float = 20.0


class Story:
    """One performance; `say` prints one or more lines."""

    def __init__(self, pace: Pace, say: Callable[[str], None]) -> None:
        self._pace: Final = pace
        self._teller: Final = Printer(say)
        self._stop: Final = asyncio.Event()
        self._outage_noticed: Final = asyncio.Event()

    async def play(self) -> bool:
        """Whether all of it was seen that there was time for. If not, its files stay for whoever asks why."""
        async with DemoCloud(self._pace.token_life_s) as cloud:
            stage = await asyncio.to_thread(make_workspace, [part.secret for part in cloud.parts])
            narrator = Narrator(_cast(cloud))
            with _signals(self._stop):
                self._introduce(cloud, stage)
                code = await self._perform(cloud, stage, narrator)
            complete = code == 0 and (self._pace.stay or not narrator.missing)
            self._conclude(cloud, stage, code)
        self._judge(narrator, complete=complete)
        if complete or self._stop.is_set():
            await asyncio.to_thread(stage.remove)
        else:
            self._teller.print("demo", f"the agent's log is {stage.log}; its last lines:")
            self._teller.add(*stage.log_tail(5))
        return complete

    async def _perform(self, cloud: DemoCloud, stage: Workspace, narrator: Narrator) -> int:
        """Run the agent until there is nothing more to show; its exit status."""
        async with RunningAgent(stage, cloud.aws_listener.url) as agent:
            self._teller.print("agent", f"it runs, as process {agent.pid}; its status, for you to look at:")
            self._teller.add(*_ways_to_look(stage))
            watching = asyncio.create_task(self._watch(agent, narrator))
            mending = asyncio.create_task(self._end_outage(cloud))
            ending = {watching, mending, asyncio.create_task(agent.ended()), asyncio.create_task(self._stop.wait())}
            try:
                left = self._pace.limit_s - self._teller.elapsed_s
                await asyncio.wait(ending - {mending}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in ending:
                    task.cancel()
                await asyncio.wait(ending)
            for task in (watching, mending):
                if not task.cancelled():
                    task.result()
            return await agent.end()

    async def _watch(self, agent: RunningAgent, narrator: Narrator) -> None:
        """Tell what the agent's own status says until all has been seen; with `stay`, for ever."""
        complete = False
        async for document in agent.documents():
            for remark in narrator.read(document):
                self._teller.remark(remark)
            if Milestone.OUTAGE in narrator.seen:
                self._outage_noticed.set()
            if complete or narrator.missing:
                continue
            if not self._pace.stay:
                return
            complete = True
            self._teller.print("demo", "that was all of it; it goes on for you to look around (Ctrl-C ends it)")

    async def _end_outage(self, cloud: DemoCloud) -> None:
        await self._outage_noticed.wait()
        self._teller.print("cloud", f"{cloud.outage.hostname} stays down for {self._pace.outage_s:.0f} s")
        await asyncio.sleep(self._pace.outage_s)
        await cloud.outage.listener.up()
        self._teller.print("cloud", f"{cloud.outage.hostname} is up again; nobody tells the agent")

    def _introduce(self, cloud: DemoCloud, stage: Workspace) -> None:
        self._teller.print("cloud", "a pretend AWS (ECR, STS, metadata service) and five registries on loopback:")
        self._teller.add(*(f"{part.hostname:<17}{part.words}" for part in cloud.parts))
        self._teller.print("demo", f"no account, no network, no Docker engine; all its files are in {stage.root}")

    def _conclude(self, cloud: DemoCloud, stage: Workspace, code: int) -> None:
        hosts = ", ".join(stage.docker_hosts()) or "no registry"
        asked = _times(cloud.aws.count("ecr:GetAuthorizationToken"))
        wrong = _times(cloud.rejecting.registry.wrong.total())
        self._teller.print("agent", f"it ended with exit status {code}")
        self._teller.print("docker", f"its config.json now has logins for {hosts}")
        self._teller.print("cloud", f"AWS was asked for a token {asked}; the wrong password was sent {wrong}")

    def _judge(self, narrator: Narrator, *, complete: bool) -> None:
        seen = [scene for scene in Milestone if scene in narrator.seen]
        self._teller.print("demo", f"seen: {'; '.join(seen) or 'nothing'}")
        if narrator.missing:
            lead = "not seen in this time" if complete else "NOT seen"
            self._teller.print("demo", f"{lead}: {'; '.join(narrator.missing)}")
        elif not complete:
            self._teller.print("demo", "the agent should have ended with exit status 0")


def _cast(cloud: DemoCloud) -> Roles:
    return Roles(
        basic=cloud.basic.hostname,
        token=cloud.token.hostname,
        ecr=cloud.ecr.hostname,
        rejecting=cloud.rejecting.hostname,
        outage=cloud.outage.hostname,
    )


def _ways_to_look(stage: Workspace) -> list[str]:
    return [
        f"{stage.status_url}/ in a browser",
        f"curl -s {stage.status_url}/v1/status",
        f"{_command()} status --socket {stage.socket}",
    ]


def _command() -> str:
    """What a person types here to have this program."""
    if shutil.which("registry-agent"):
        return "registry-agent"
    return os.path.relpath(sys.argv[0])


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM set `stop`, so that whatever was started is ended in order."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
