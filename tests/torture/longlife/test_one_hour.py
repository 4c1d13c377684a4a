"""One real hour: the agent as a process, real docker logins, and a simulated cloud whose tokens live 40 seconds."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from agent.demo.cloud import DemoCloud, demo_cloud
from agent.demo.listener import Listener
from agent.demo.running import running_agent, stop
from agent.demo.workspace import Workspace, make_workspace
from agent.model.docker_config import entries, parse_config
from tests.fakecloud.faults import Answer, Fault, act_out
from tests.rig.needs import need
from tests.torture.campaign import chance, factor, say

pytestmark = [pytest.mark.torture, pytest.mark.timeout(0)]

TOKEN_LIFE_S: Final = 40.0
HOUR_S: Final = 3600.0
SHORTEST_S: Final = 100.0
FIRST_MINUTE_S: Final = 60.0
QUIET_S: Final = 12.0
"""Longer than `retry.max_wait_s` in this test, so that every accident is over."""
THROTTLED: Final = Answer(400, '{"__type": "ThrottlingException"}', "application/x-amz-json-1.1")
SERVER_ERROR: Final = Answer(500, '{"__type": "ServerException"}', "application/x-amz-json-1.1")
RSS_KB: Final = 6 * 1024
"""How much the memory may grow. An allocator can return only whole pages."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The resources that the process uses while nothing happens."""

    rss_kb: int
    descriptors: int
    threads: int
    tasks: tuple[str, ...]
    objects: int

    def __str__(self) -> str:
        return (
            f"{self.rss_kb} kB, {self.descriptors} descriptors, {self.threads} threads, {len(self.tasks)} tasks, "
            f"{self.objects} objects"
        )


class FailingAws:
    """The demo's AWS, except that requests for an ECR token get `fault` while it is not None."""

    def __init__(self, cloud: DemoCloud) -> None:
        self._aws: Final = cloud.aws
        self.fault: Fault | None = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.fault is not None and "X-Amz-Target" in request.headers:
            return await act_out(self.fault, request)
        return await self._aws.handle(request)


class Hour:
    """The cloud, the agent that uses it, and the accidents."""

    def __init__(self, cloud: DemoCloud, aws: FailingAws, stage: Workspace, pid: int, random: Random) -> None:
        self.cloud: Final = cloud
        self._aws: Final = aws
        self._stage: Final = stage
        self._pid: Final = pid
        self._random: Final = random
        self.seen: Final[Counter[str]] = Counter()

    async def running(self) -> None:
        """Wait until each registry was tried once."""
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with self._session() as session, session.get("http://agent/readyz") as answer:
                        if answer.status == 200:
                            return
                await asyncio.sleep(0.1)

    async def footprint(self) -> Footprint:
        """Return the smallest values of several looks, because a login or a check of files may be in progress."""
        looks = [await self._look() for _ in range(6)]
        least = min(looks, key=lambda look: (len(look.tasks), look.descriptors, look.objects))
        return Footprint(
            min(look.rss_kb for look in looks),
            min(look.descriptors for look in looks),
            min(look.threads for look in looks),
            least.tasks,
            min(look.objects for look in looks),
        )

    async def accidents(self, seconds: float) -> None:
        """Cause one accident after the other for `seconds`, and end them all."""
        kinds: tuple[Callable[[], Awaitable[None]], ...] = (
            self._aws_fails,
            self._registry_goes_down,
            self._rotate,
            self._reload,
            self._ask_for_renewal,
            self._readers_come_and_go,
            self._logout,
        )
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            kind = self._random.choice(kinds)
            await kind()
            self.seen[kind.__name__.strip("_").replace("_", " ")] += 1
            await asyncio.sleep(self._random.uniform(0.5, 5))
        self._aws.fault = None
        await self.cloud.outage.listener.up()

    async def watch_ecr(self) -> None:
        """Check four times a second that AWS still accepts the ECR token that Docker has."""
        while True:
            password = await asyncio.to_thread(self._ecr_password)
            if password is not None:
                self.seen["looks at ECR's login"] += 1
                assert self.cloud.aws.valid("AWS", password), "Docker has an ECR token that is dead"
            await asyncio.sleep(0.25)

    async def _look(self) -> Footprint:
        await asyncio.sleep(1.0)
        told = self._stage.root / "observed"
        told.unlink(missing_ok=True)
        os.kill(self._pid, signal.SIGUSR1)
        while not told.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.05)
        inside = json.loads(told.read_text())
        process = Path(f"/proc/{self._pid}")
        status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines() if ":" in line)
        descriptors = len(list((process / "fd").iterdir()))
        rss_kb, threads = int(status["VmRSS"].split()[0]), int(status["Threads"])
        return Footprint(rss_kb, descriptors, threads, _named(inside["tasks"]), inside["objects"])

    async def _aws_fails(self) -> None:
        self._aws.fault = self._random.choice((THROTTLED, SERVER_ERROR))
        await asyncio.sleep(self._random.uniform(0.5, 3))
        self._aws.fault = None

    async def _registry_goes_down(self) -> None:
        part = self._random.choice((self.cloud.basic, self.cloud.token, self.cloud.outage))
        await part.listener.down()
        self._give_anew(part.hostname)
        await asyncio.sleep(self._random.uniform(0.5, 3))
        await part.listener.up()

    async def _rotate(self) -> None:
        """Replace the wrong password with another wrong one. It is refused, and not tried again."""
        self._give_anew(self.cloud.rejecting.hostname, password=f"wrong-{self._random.randrange(10**9)}")

    async def _reload(self) -> None:
        os.kill(self._pid, signal.SIGHUP)

    async def _ask_for_renewal(self) -> None:
        async with self._session() as session, session.post("http://agent/v1/renew", json={}) as answer:
            assert answer.status == 202, await answer.text()

    async def _readers_come_and_go(self) -> None:
        """Open event streams, metrics, logs and the status, and disconnect after the first bytes."""
        async with contextlib.AsyncExitStack() as stack:
            for path in ("v1/events", "v1/events", "metrics", "v1/logs", "v1/status"):
                session = await stack.enter_async_context(self._session())
                answer = await stack.enter_async_context(session.get(f"http://agent/{path}"))
                assert answer.status == 200, path
                await answer.content.read(100)

    async def _logout(self) -> None:
        """Remove one of the agent's logins with `docker logout`."""
        hostname = self._random.choice((self.cloud.basic.hostname, self.cloud.ecr.hostname))
        program = await asyncio.create_subprocess_exec(
            "docker", "--config", self._stage.docker_config.parent, "logout", hostname, stdout=asyncio.subprocess.PIPE
        )
        await program.communicate()

    def _give_anew(self, hostname: str, **changes: str) -> None:
        """Write the secret again, with `changes` and a random scope. A changed secret is tried at once."""
        part = next(part for part in self.cloud.registries if part.hostname == hostname)
        secret = {**part.secret, **changes, "scope": self._random.choice(("user", "project"))}
        path = self._stage.secrets / f"{part.secret['name']}.json"
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(secret))
        unfinished.replace(path)

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(self._stage.socket)))

    def _ecr_password(self) -> str | None:
        data = self._stage.docker_config.read_bytes() if self._stage.docker_config.exists() else b""
        entry = entries(parse_config(data)).get(self.cloud.ecr.hostname)
        return entry.secret.reveal() if entry else None


def _named(tasks: list[str]) -> tuple[str, ...]:
    """Return the sorted names, without the numbers that asyncio gives to unnamed tasks."""
    return tuple(sorted(re.sub(r"^Task-\d+$", "Task", name) for name in tasks))


@pytest.fixture
async def hour(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Hour]:
    need("docker")
    observed = Path(__file__).with_name("observed_agent.py")
    async with demo_cloud(TOKEN_LIFE_S) as cloud, Listener((aws := FailingAws(cloud)).handle) as listener:
        await cloud.outage.listener.up()
        stage = make_workspace([part.secret for part in cloud.registries])
        command = [sys.executable, str(observed), "run", "--config", str(stage.root / "config.toml")]
        environment = Workspace.environment

        def with_observed(self: Workspace, aws_url: str, environ: Any) -> dict[str, str]:
            return environment(self, aws_url, environ) | {"OBSERVED": str(stage.root / "observed")}

        monkeypatch.setattr(Workspace, "command", command)
        monkeypatch.setattr(Workspace, "environment", with_observed)
        try:
            async with running_agent(stage, listener.url) as agent:
                hour = Hour(cloud, aws, stage, agent.pid, chance("one hour"))
                await hour.running()
                yield hour
                assert await stop(agent) == 0, stage.log_tail(20)
        finally:
            stage.remove()


async def test_after_an_hour_the_agent_is_as_big_as_after_a_minute(
    hour: Hour, capsys: pytest.CaptureFixture[str]
) -> None:
    """Memory, descriptors, threads and tasks do not grow, and the ECR login is valid all the time."""
    watching = asyncio.create_task(hour.watch_ecr())
    seconds = max(HOUR_S * factor(), SHORTEST_S)
    await hour.accidents(FIRST_MINUTE_S - QUIET_S)
    await asyncio.sleep(QUIET_S)
    before = await hour.footprint()
    await hour.accidents(seconds - FIRST_MINUTE_S - QUIET_S)
    await asyncio.sleep(QUIET_S)
    after = await hour.footprint()
    assert not watching.done(), watching.result()
    watching.cancel()
    seen = ", ".join(f"{count} {what}" for what, count in sorted(hour.seen.items()))
    renewals = len(hour.cloud.aws.tokens)
    say(
        capsys,
        "one real hour",
        f"{seconds:.0f} s, {renewals} tokens, {seen}",
        f"after the first minute: {before}",
        f"at the end: {after}",
    )
    assert after.tasks == before.tasks
    assert after.descriptors <= before.descriptors
    assert after.threads <= before.threads + 2
    assert after.rss_kb <= before.rss_kb + RSS_KB
