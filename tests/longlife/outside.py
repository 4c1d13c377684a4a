"""What is outside of the agent in its long life: AWS, registries, the docker CLI, Docker's configuration.

They live by the wall clock, also while the machine sleeps. Each knows the rules that it may be asked by, and fails
the test at once where the agent breaks one.
"""

import asyncio
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from agent.model.credential import AwsIdentity, Credential, EcrToken
from agent.model.docker_config import Document, Entry, encode_entry, entries
from agent.model.docker_errors import Fault, ProbeResult
from agent.model.problem import Problem, ProblemError
from agent.model.problems.aws import AwsAccessDenied, AwsThrottled, AwsUnreachable
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.settings import AwsSettings, Settings
from tests.longlife.warp import WarpClock

LIFE: Final = timedelta(hours=12)
EARLIEST: Final = 0.5 * 0.9
"""The share of a token's life before which no other is asked for: `renewal.fraction`, less its spread."""
REJECTED: Final = timedelta(seconds=Settings().retry.rejected_wait_s)
_EARLY_DEATH: Final = timedelta(minutes=25)


@dataclass(slots=True)
class Outages:
    """Times (wall) at which something is down, and how it fails then."""

    times: list[tuple[datetime, datetime, str]] = field(default_factory=list)

    def add(self, begin: datetime, length: timedelta, how: str) -> None:
        self.times.append((begin, begin + length, how))

    def how(self, now: datetime) -> str | None:
        self.times = [each for each in self.times if each[1] > now]
        return next((how for begin, _, how in self.times if begin <= now), None)

    def end(self, now: datetime) -> datetime:
        return max(end for begin, end, _ in self.times if begin <= now)


@dataclass(slots=True)
class _Asked:
    """How an identity was served: its last token, and whether a question is on its way."""

    obtained_at: datetime | None = None
    dies_at: datetime | None = None
    in_flight: bool = False


class Aws:
    """Tokens of 12 h, bound to a region, of which every eighth dies 25 minutes before its time."""

    def __init__(self, clock: WarpClock, chance: Random) -> None:
        self._clock: Final = clock
        self._chance: Final = chance
        self._down: Final[dict[str, Outages]] = {}
        self.active_keys: Final[set[str]] = set()
        self.refused_at: Final[dict[str, datetime]] = {}
        self._dies_at: Final[dict[str, tuple[str, datetime]]] = {}
        self._asked: Final[dict[AwsIdentity, _Asked]] = {}
        self.granted = self.failed = self.died_early = 0

    async def fetch_token(self, identity: AwsIdentity, settings: AwsSettings) -> EcrToken:
        asked = self._asked.setdefault(identity, _Asked())
        assert not asked.in_flight, f"{identity.region}: two questions at once"
        self._check_pace(identity, asked)
        asked.in_flight = True
        try:
            return await self._answer(identity, settings, asked)
        finally:
            asked.in_flight = False

    def down(self, region: str) -> bool:
        return self._outages(region).how(self._clock.now()) is not None

    def verdict(self, password: str, region: str) -> str | None:
        """Why a registry of `region` refuses the token; None: it does not."""
        known = self._dies_at.get(password)
        if known is None or known[1] <= self._clock.now():
            return "expired"
        return None if known[0] == region else "region"

    def issue(self, region: str, life: timedelta = LIFE) -> tuple[str, datetime]:
        """A token, and when it says that it ends."""
        now = self._clock.now()
        for password in [old for old, (_, dies_at) in self._dies_at.items() if dies_at < now - LIFE]:
            del self._dies_at[password]
        early = self._chance.random() < 1 / 8
        self.died_early += early
        password = f"token-{self._chance.randbytes(12).hex()}"
        self._dies_at[password] = (region, now + life - (_EARLY_DEATH if early else timedelta()))
        return password, now + life

    def dies_at(self, password: str) -> datetime | None:
        return self._dies_at[password][1] if password in self._dies_at else None

    def known_as(self, former: str, password: str) -> None:
        """The same token in another writing."""
        self._dies_at[password] = self._dies_at.pop(former)

    def forget(self, key: str) -> None:
        """A key that is used no more."""
        self.active_keys.discard(key)
        self.refused_at.pop(key, None)
        for identity in [known for known in self._asked if known.keys and known.keys.access_key_id == key]:
            del self._asked[identity]

    def agent_began_anew(self) -> None:
        """It knows no token any more."""
        self._asked.clear()

    def throttle(self, region: str, length: timedelta) -> None:
        self._outages(region).add(self._clock.now(), length, "throttled")

    def go_down(self, region: str, length: timedelta) -> None:
        how = self._chance.choice(("silent", "refused"))
        self._outages(region).add(self._clock.now(), length, how)

    def _outages(self, region: str) -> Outages:
        return self._down.setdefault(region, Outages())

    def _check_pace(self, identity: AwsIdentity, asked: _Asked) -> None:
        now = self._clock.now()
        if asked.obtained_at is not None and asked.dies_at is not None and asked.dies_at > now:
            age = (now - asked.obtained_at) / LIFE
            assert age >= EARLIEST - 1e-6, f"{identity.region}: another token after {age:.1%} of the last one's life"
        key = identity.keys.access_key_id if identity.keys else ""
        refused_at = self.refused_at.get(key)
        assert refused_at is None or now - refused_at >= REJECTED, f"{key}: asked again {now - refused_at} after a no"

    async def _answer(self, identity: AwsIdentity, settings: AwsSettings, asked: _Asked) -> EcrToken:
        await asyncio.sleep(self._chance.uniform(0.1, 0.6))
        how = self._outages(identity.region).how(self._clock.now())
        if how is not None:
            self.failed += 1
            if how == "silent":
                await asyncio.sleep(settings.call_timeout_s)
            raise ProblemError(
                AwsThrottled("aws", "throttled") if how == "throttled" else AwsUnreachable("aws", f"it is {how}")
            )
        key = identity.keys.access_key_id if identity.keys else ""
        if key and key not in self.active_keys:
            self.failed += 1
            self.refused_at[key] = self._clock.now()
            raise ProblemError(AwsAccessDenied("aws", "aws does not know the access key"))
        self.granted += 1
        password, expires_at = self.issue(identity.region if not identity.public else "public")
        asked.obtained_at, asked.dies_at = self._clock.now(), self.dies_at(password)
        return EcrToken("AWS", Sensitive(password), expires_at, "arn:aws:sts::1:assumed-role/env/i-1")


@dataclass(slots=True)
class RegistryServer:
    """One registry: `region` where it takes AWS's tokens, else `password` is the one it takes."""

    hostname: str
    aws: Aws
    clock: WarpClock
    region: str | None = None
    password: str = ""
    outages: Outages = field(default_factory=Outages)
    refused: tuple[str, datetime] | None = None
    busy: bool = False
    accepted: str | None = None
    reason: bool = True
    """Whether a login may come: a first one, another secret, or after a failure. Else only another password."""
    token_ends: datetime | None = None
    """Of a ready token: from then on it may be tried whether it works still."""
    logins: int = 0
    failures: int = 0

    @property
    def down(self) -> bool:
        return self.outages.how(self.clock.now()) is not None

    def takes(self, password: str) -> bool:
        return self._verdict(password) is None

    def asked(self, password: str) -> tuple[int, str]:
        """The docker CLI's exit code and its stderr."""
        how = self.outages.how(self.clock.now())
        self._check_pace(password)
        verdict = how or self._verdict(password)
        if verdict is None:
            over = self.token_ends is not None and self.clock.now() >= self.token_ends
            assert self.reason or over or password != self.accepted, f"{self.hostname}: a login without a reason"
            self.accepted, self.reason, self.refused = password, False, None
            self.logins += 1
            return 0, ""
        self.failures += 1
        self.reason = True
        if how is None:
            self.refused = (password, self.clock.now())
        return 1, _WORDS[verdict].format(host=self.hostname)

    def seen(self, password: str | None) -> ProbeResult:
        """What `/v2/` answers, with this password or none."""
        now = self.clock.now()
        how = self.outages.how(now)
        if password is not None:
            self._check_pace(password)
        if how is None:
            refused = 403 if self.region and password else 401
            status = 200 if password is not None and self.takes(password) else refused
            if status != 200 and password is not None:
                self.refused = (password, now)
            detail = "Your authorization token has expired." if status == 403 else ""
            return ProbeResult(now, status=status, detail=detail, refused=status == 401 and password is not None)
        wait = min(self.outages.end(now) - now, timedelta(minutes=2))
        return {
            "refused": ProbeResult(now, fault=Fault.UNREACHABLE, detail="connection refused"),
            "silent": ProbeResult(now, fault=Fault.TIMEOUT),
            "busy": ProbeResult(now, status=429, retry_after=wait),
            "failing": ProbeResult(now, status=503),
        }[how]

    def _verdict(self, password: str) -> str | None:
        if self.region is not None:
            return self.aws.verdict(password, self.region)
        return None if password == self.password else "unauthorized"

    def _check_pace(self, password: str) -> None:
        if self.refused is not None and self.refused[0] == password and self.region is None:
            since = self.clock.now() - self.refused[1]
            assert since >= REJECTED, f"{self.hostname}: a rejected password again after {since}"


_WORDS: Final = {
    "unauthorized": 'Error response: Get "https://{host}/v2/": unauthorized: incorrect username or password',
    "expired": "login attempt to https://{host}/v2/ failed with status: 403 Forbidden",
    "region": "login attempt to https://{host}/v2/ failed with status: 400 Bad Request",
    "refused": 'Get "https://{host}/v2/": dial tcp 10.0.0.1:443: connect: connection refused',
    "silent": 'Get "https://{host}/v2/": context deadline exceeded',
    "busy": "login attempt to https://{host}/v2/ failed with status: 429 Too Many Requests",
    "failing": "login attempt to https://{host}/v2/ failed with status: 503 Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class Finished:
    returncode: int
    stderr: bytes


@dataclass(frozen=True, slots=True)
class Result:
    finished: Finished
    entry: Mapping[str, Any] | None


class Cli:
    """`docker login`: half a second, or 15 s where the registry stays silent. Also the agent's own look, beside it."""

    docker = Path("/usr/bin/docker")
    engine_reachable = False

    def __init__(self, servers: Mapping[str, RegistryServer]) -> None:
        self._servers: Final = servers

    def lost(self, program: Path, problem: Problem) -> None:
        raise AssertionError(f"{program} does not go: {problem.message}")

    async def login(
        self, program: Path, registry: Registry, credential: Credential, *, timeout: float, through_engine: bool
    ) -> Result:
        server = self._servers[registry.hostname]
        assert (program, through_engine) == (self.docker, False)
        assert not server.busy, f"{registry}: two logins at once"
        server.busy = True
        try:
            silent = server.outages.how(server.clock.now()) == "silent"
            await asyncio.sleep(min(15.0 if silent else 0.5, timeout))
            code, stderr = server.asked(credential.password.reveal())
        finally:
            server.busy = False
        entry = encode_entry(Entry(credential.username, credential.password)) if code == 0 else None
        return Result(Finished(code, stderr.encode()), entry)

    async def probe(self, registry: Registry, credential: Credential | None, timeout: float) -> ProbeResult:
        server = self._servers[registry.hostname]
        await asyncio.sleep(min(0.2, timeout))
        return server.seen(_password(credential) if credential else None)


def _password(credential: Credential) -> str:
    return credential.password.reveal()


class DockerConfig:
    """Docker's config.json in memory; `password` is what Docker would now use for a registry."""

    def __init__(self) -> None:
        self.document: Document = {}
        self.changed: Callable[[], None] = lambda: None
        self._writes = 0
        self._passwords: dict[str, str] = {}

    def password(self, hostname: str) -> str | None:
        return self._passwords.get(hostname)

    def drop(self, hostname: str) -> None:
        """`docker logout`, by a person."""
        key = parse_hostname(hostname).docker_key
        auths = self.document.get("auths", {})
        self._put({**self.document, "auths": {other: auths[other] for other in auths if other != key}})

    async def read(self) -> Document:
        return self.document

    async def update(self, change: Callable[[Document], Document]) -> Document:
        after = change(self.document)
        if after is not self.document:
            self._put(after)
        return after

    def _put(self, document: Document) -> None:
        self.document = document
        self._writes += 1
        self._passwords = {
            parse_hostname(key).hostname: entry.secret.reveal() for key, entry in entries(document).items()
        }
        self.changed()

    async def signature(self) -> Hashable:
        return self._writes

    def signature_now(self) -> Hashable:
        return self._writes

    async def remove_leftovers(self) -> None:
        return


class NoHelpers:
    """Nobody configured a credential helper."""

    async def servers(self, name: str) -> list[str]:
        raise AssertionError(name)

    async def get(self, name: str, server: str) -> Entry | None:
        raise AssertionError(name, server)

    async def store(self, name: str, server: str, entry: Entry) -> None:
        raise AssertionError(name, server, entry)

    async def erase(self, name: str, server: str) -> None:
        raise AssertionError(name, server)


class NoPodman:
    async def read(self) -> dict[str, Document]:
        return {}

    async def signature(self) -> Hashable:
        return None

    def signature_now(self) -> Hashable:
        return None
