"""The life of one development environment: days, nights, weekends, and the faults that happen in them."""

import asyncio
import base64
import json
import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from agent.edge.state_file import StateFile
from agent.model.status import CLEARED_KEPT
from tests.longlife.agent_inside import AgentInside
from tests.longlife.outside import REJECTED, Aws, DockerConfig, RegistryServer
from tests.longlife.warp import WarpClock, WarpLoop

HUB: Final = "docker.io"
GHCR: Final = "ghcr.io"
COMPANY: Final = "registry.example.com:5000"
VISITOR: Final = "visitor.example.com"
NATIVE: Final = ("111111111111.dkr.ecr.eu-west-1.amazonaws.com", "222222222222.dkr.ecr.eu-west-1.amazonaws.com")
KEYED: Final = "333333333333.dkr.ecr.us-east-1.amazonaws.com"
READY: Final = "444444444444.dkr.ecr.eu-west-1.amazonaws.com"
PUBLIC: Final = "public.ecr.aws"
BASIC: Final = (HUB, GHCR, COMPANY, VISITOR)

NOTICED_S: Final = 15.0
"""If AWS and the registry answer, an expired login is renewed or removed from Docker's configuration within this time.

The clock watch checks every 10 s. A token and a login take 2 s here."""
AT_LATEST_S: Final = 60.0
"""The same if they do not answer: the attempt comes first, and AWS and `docker login` have 10 s and 30 s to fail."""
RECOVERED_S: Final = 300.0 + 60.0
"""After the last fault has ended, a login works again within `retry.max_wait_s` and one attempt."""

_CHECK_EVERY_S: Final = 5.0
_TICKS_AN_HOUR: Final = 2 * 1800 + 360 + 120 + 150 * 9
"""The reconciler checks every 2 s (and after changes), the clock watch every 10 s, everything else every 30 s."""

_REGISTRIES: Final = 9
_MOST: Final = {
    # The agent, three services, the sweep, and this test. Then a login and a check of its stored login per registry.
    "tasks": 6 + 2 * _REGISTRIES,
    # Three identities, and the one in the plan for each of the five registries of AWS.
    "identities": 3 + 5,
    # One for each identity, the one that each registry was logged in with, and the next one while it renews.
    "tokens": 3 + 2 * _REGISTRIES,
    "logins": _REGISTRIES,
    "managed logins": _REGISTRIES,
    "locks": _REGISTRIES + 1,
    "registries": 2 * _REGISTRIES,
    "state_file": _REGISTRIES,
    "rejections": _REGISTRIES,
    "rows": _REGISTRIES,
    "problems": 5 * _REGISTRIES,
    "warnings": 5 * _REGISTRIES,
    "cleared": CLEARED_KEPT,
}
_OBJECTS: Final = 150
"""The number of open warnings and requests differs from day to day."""


@dataclass(slots=True)
class Figures:
    """Counts and durations of what happened."""

    days: int = 0
    awake_h: float = 0.0
    suspends: int = 0
    checks: int = 0
    rotations: int = 0
    blips: int = 0
    outages_h: list[float] = field(default_factory=list)
    waits: int = 0
    longest_expired_s: float = 0.0
    longest_out_s: float = 0.0
    sizes: list[dict[str, int]] = field(default_factory=list)

    def __str__(self) -> str:
        outages = ", ".join(f"{hours:g}" for hours in self.outages_h)
        objects = f"{self.sizes[1]['objects']} to {self.sizes[-1]['objects']} objects"
        return (
            f"{self.days} days, {self.awake_h:.0f} h awake, {self.suspends} suspends, {self.rotations} rotations, "
            f"{self.blips} blips, AWS outages of {outages} h; {self.checks} checks; an expired login for at most "
            f"{self.longest_expired_s:.0f} s, none for at most {self.longest_out_s:.0f} s where one was possible; "
            f"{self.waits / self.awake_h:.0f} waits an hour; {objects}"
        )


class Life:
    """`live` simulates a number of days, checks at every step, and fails at the first broken promise."""

    def __init__(self, seed: int, loop: WarpLoop) -> None:
        self._chance: Final = Random(f"life {seed}")  # noqa: S311 - it selects faults; not used for security
        self._loop: Final = loop
        self.clock: Final = WarpClock(loop)
        self.aws: Final = Aws(self.clock, self._chance)
        self.config: Final = DockerConfig()
        self.figures: Final = Figures()
        regions = {NATIVE[0]: "eu-west-1", NATIVE[1]: "eu-west-1", READY: "eu-west-1", KEYED: "us-east-1"}
        self.servers: Final = {
            hostname: RegistryServer(hostname, self.aws, self.clock, region=regions.get(hostname))
            for hostname in (*BASIC, *regions)
        }
        self.servers[PUBLIC] = RegistryServer(PUBLIC, self.aws, self.clock, region="public")
        self._secrets: Final[dict[str, dict[str, object]]] = {}
        for hostname in (HUB, GHCR, COMPANY):
            self._new_password(hostname)
        for number, hostname in enumerate((*NATIVE, PUBLIC)):
            self._secrets[hostname] = {"name": f"native-{number}", "hostname": hostname, "username": "runner-native"}
        self._new_keys()
        self._new_ready_token()
        self._awake_since = 0.0
        self._possible_since: Final[dict[str, float]] = {}
        self._expired_since: Final[dict[str, float]] = {}
        self._out_since: Final[dict[str, float]] = {}
        self._checked_at = -_CHECK_EVERY_S
        self._state_file: Final = StateFile(None, Path("/nowhere"))
        self.agent = self._new_agent()

    async def live(self, days: int, *, restarts: bool = False) -> Figures:
        """Simulate `days`. With `restarts`, the agent restarts after each new secret, with the same state file."""
        self._restarts = restarts
        self._running = self._start()
        self._loop.settled = self._check_if_due
        self.config.changed = self._check
        next_outage = self._chance.randrange(2, min(days, 10))
        while self.figures.days < days:
            outage = self.figures.days >= next_outage
            next_outage += 14 * outage
            await self._day(outage=outage)
            assert not self._running.done(), self._running.result()
            self._measure()
            self._night()
        self.figures.waits = self.clock.waits
        await self._stop()
        self._loop.settled = self.config.changed = lambda: None
        return self.figures

    def _new_agent(self) -> AgentInside:
        return AgentInside(
            self.clock, self._chance, self.aws, self.servers, config=self.config, state_file=self._state_file
        )

    def _start(self) -> asyncio.Task[None]:
        running = asyncio.create_task(self.agent.run(), name="agent")
        running.add_done_callback(lambda task: task.cancelled() or task.exception())  # the day's check reports it
        self._give()
        return running

    async def _stop(self) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})
        self.agent.watcher.close()

    # The faults of a day

    async def _day(self, *, outage: bool) -> None:
        """Be awake for 10 to 16 hours."""
        hours = self._chance.uniform(10, 16)
        begin, end = self._loop.time(), self._loop.time() + hours * 3600
        before = self.clock.waits
        faults = sorted(self._faults(hours * 3600, outage=outage), key=lambda fault: fault[0])
        for after_s, fault in faults:
            await asyncio.sleep(max(0.0, begin + after_s - self._loop.time()))
            fault()
            if self._restarts and fault == self._rotate:
                await asyncio.sleep(60)
                await self._stop()
                self.agent = self._new_agent()
                self.aws.agent_restarted()
                self._running = self._start()
        await asyncio.sleep(max(0.0, end - self._loop.time()))
        self.figures.awake_h += hours
        ticks = (self.clock.waits - before) / hours
        assert ticks <= _TICKS_AN_HOUR, f"{ticks:.0f} waits an hour, more than {_TICKS_AN_HOUR}"

    def _faults(self, seconds: float, *, outage: bool) -> Iterator[tuple[float, Callable[[], None]]]:
        def at_some_time() -> float:
            # Some faults happen right after the machine woke up.
            return self._chance.uniform(0, self._chance.choice((60, seconds)))

        for _ in range(self._chance.randrange(4, 12)):
            yield at_some_time(), self._blip
        yield at_some_time(), self._rotate
        yield at_some_time(), self._drop
        if self._chance.random() < 0.7:
            yield at_some_time(), self._new_ready_token_given
        if self.figures.days % 7 == 3:
            yield at_some_time(), self._visit
        if outage:
            yield at_some_time(), self._outage

    def _blip(self) -> None:
        self.figures.blips += 1
        now, length = self.clock.now(), timedelta(seconds=self._chance.choice((2, 20, 200, 1200)))
        if self._chance.random() < 0.2:
            region = self._chance.choice(("eu-west-1", "us-east-1"))
            self.aws.throttle(region, length)
        else:
            server = self.servers[self._chance.choice(sorted(self.servers))]
            server.outages.add(now, length, self._chance.choice(("refused", "silent", "busy", "failing")))

    def _outage(self) -> None:
        hours = self._chance.choice((3, 8, 15, 30))
        self.figures.outages_h.append(hours)
        self.aws.go_down("eu-west-1", timedelta(hours=hours))

    def _rotate(self) -> None:
        """Rotate a password or key. The agent gets it before the registry accepts it, or after the old one expired."""
        self.figures.rotations += 1
        hostname = self._chance.choice((HUB, GHCR, COMPANY, KEYED))
        late = timedelta(seconds=self._chance.choice((0, 30, 900, 7200)))
        activate = self._new_keys() if hostname == KEYED else self._new_password(hostname)
        if self._chance.random() < 0.5:
            activate()
            self._loop.call_later(late.total_seconds(), self._give)
        else:
            self._loop.call_later(late.total_seconds(), activate)
            self._give()

    def _drop(self) -> None:
        self.config.drop(self._chance.choice(sorted(self.servers)))

    def _new_ready_token_given(self) -> None:
        self._new_ready_token()
        self._give()

    def _visit(self) -> None:
        """Add or remove a registry that is used only every second week."""
        if self._secrets.pop(VISITOR, None) is None:
            self._new_password(VISITOR)()
        self._give()

    def _night(self) -> None:
        weekday = self.clock.now().weekday()
        hours = self._chance.uniform(8, 14)
        days = 1
        if weekday == 4 and self._chance.random() < 0.7:
            days, hours = 3, hours + 48
        self.figures.days += days
        self.figures.suspends += 1
        self.clock.suspend(timedelta(hours=hours))
        self._awake_since = self._loop.time()
        self._possible_since.clear()
        self._out_since.clear()
        self._check()

    # Secrets

    def _give(self) -> None:
        for server in self.servers.values():
            server.reason = True
        self.agent.give(list(self._secrets.values()))

    def _new_password(self, hostname: str) -> Callable[[], None]:
        """Change the secret's password. The registry accepts it once the result is called, the first one at once."""
        password, server = f"password-{self._chance.randbytes(12).hex()}", self.servers[hostname]
        first = hostname not in self._secrets
        name = hostname.replace(".", "-").replace(":", "-")
        self._secrets[hostname] = {"name": name, "hostname": hostname, "username": "bob", "password": password}

        def activate() -> None:
            server.password = password

        if first:
            activate()
        return activate

    def _new_keys(self) -> Callable[[], None]:
        key, first = f"AKIA{self._chance.randbytes(8).hex().upper()}", not self.aws.active_keys
        former = str(self._secrets.get(KEYED, {}).get("username"))
        self._secrets[KEYED] = {"name": "keyed", "hostname": KEYED, "username": key, "password": "secret-" + key}

        def activate() -> None:
            self.aws.active_keys.add(key)
            self._loop.call_later(7200, self.aws.forget, former)

        if first:
            activate()
        return activate

    def _new_ready_token(self) -> None:
        token, ends = self.aws.issue("eu-west-1")
        payload = {"expiration": int(ends.timestamp()), "payload": token}
        written = base64.b64encode(json.dumps(payload).encode()).decode()
        self.aws.alias(token, written)
        self.servers[READY].token_ends = ends.replace(microsecond=0)
        self._secrets[READY] = {"name": "ready", "hostname": READY, "username": "AWS", "password": written}

    # The promises

    def _check_if_due(self) -> None:
        if self._loop.time() - self._checked_at >= _CHECK_EVERY_S:
            self._check()

    def _check(self) -> None:
        self._checked_at = now = self._loop.time()
        self.figures.checks += 1
        ends = {hostname: entry.expires_at for hostname, entry in self.agent.state_file.entries().items()}
        for hostname, server in self.servers.items():
            kept = self.config.password(hostname)
            possible = self._is_possible(hostname, server)
            since = self._possible_since.setdefault(hostname, now) if possible else None
            if not possible:
                self._possible_since.pop(hostname, None)
            self._check_expired(hostname, ends.get(hostname) if kept else None, now, since)
            if not possible or (kept is not None and server.takes(kept)):
                self._out_since.pop(hostname, None)
                continue
            out_s = now - self._out_since.setdefault(hostname, now)
            self.figures.longest_out_s = max(self.figures.longest_out_s, out_s)
            assert out_s <= RECOVERED_S, self._describe(hostname, f"no login that works for {out_s:.0f} s")

    def _check_expired(self, hostname: str, ends: datetime | None, now: float, since: float | None) -> None:
        if ends is None or ends > self.clock.now():
            self._expired_since.pop(hostname, None)
            return
        begun = self._expired_since.setdefault(hostname, now)
        expired_s = now - begun
        self.figures.longest_expired_s = max(self.figures.longest_expired_s, expired_s)
        limit = NOTICED_S if since is not None and since <= begun else AT_LATEST_S
        assert expired_s <= limit + _CHECK_EVERY_S, self._describe(hostname, f"an expired login for {expired_s:.0f} s")

    def _is_possible(self, hostname: str, server: RegistryServer) -> bool:
        """Whether a login could succeed now, and this secret was not refused recently."""
        secret = self._secrets.get(hostname)
        if secret is None or server.down or (hostname == VISITOR and not secret):
            return False
        password, username, now = str(secret.get("password")), str(secret["username"]), self.clock.now()
        if username in ("bob", "AWS"):
            refused = server.refused
            waits = refused is not None and refused[0] == password and now - refused[1] < REJECTED
            return server.takes(password) and not waits and self._has_current_secret(hostname)
        if username != "runner-native":
            refused_at = self.aws.refused_at.get(username)
            waits = refused_at is not None and now - refused_at < REJECTED
            if username not in self.aws.active_keys or waits or not self._has_current_secret(hostname):
                return False
        region = "us-east-1" if server.region == "public" else str(server.region)
        return not self.aws.down(region)

    def _has_current_secret(self, hostname: str) -> bool:
        """Whether the agent has the current secret."""
        return self.agent.passwords.get(hostname) == self._secrets[hostname]["password"]

    def _measure(self) -> None:
        self.figures.sizes.append(self.agent.sizes())

    def _describe(self, hostname: str, fault: str) -> str:
        rows = [row for row in self.agent.board.snapshot.registries if row.hostname == hostname]
        awake = self._loop.time() - self._awake_since
        return f"{self.clock.now()} (awake for {awake:.0f} s) {hostname}: {fault}\n{rows}"


def assert_no_growth(figures: Figures) -> None:
    """Check that each component holds only what the current registries need, and that the objects do not increase."""
    for name, most in _MOST.items():
        largest = max(day[name] for day in figures.sizes)
        assert largest <= most, f"{name}: {largest}, at most {most} are needed"
    # Up to fifty cleared warnings are kept, so the objects of these do not count.
    objects = [day["objects"] - 2 * day["cleared"] for day in figures.sizes]
    quarter = max(1, len(objects) // 4)
    early, late = (statistics.median(part) for part in (objects[quarter : 2 * quarter], objects[-quarter:]))
    assert late - early <= _OBJECTS, f"from {early:.0f} to {late:.0f} objects"


@contextmanager
def life(seed: int) -> Iterator[tuple[Life, WarpLoop]]:
    """Build a life from `seed`. The agent's own random numbers repeat too."""
    loop, state = WarpLoop(), random.getstate()
    random.seed(seed)
    try:
        yield Life(seed, loop), loop
    finally:
        loop.settled = lambda: None
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with suppress(asyncio.CancelledError, BaseExceptionGroup, AssertionError):
                loop.run_until_complete(task)
        loop.close()
        random.setstate(state)
