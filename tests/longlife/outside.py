"""The outside world of the agent in its long life: AWS, registries, the docker CLI, Docker's configuration.

They follow the wall clock, even while the machine sleeps. Each knows how often the agent may call it, and fails the
test at once if the agent breaks a rule.
"""

import asyncio
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from agent.model.credential import AwsIdentity, Credential, Token, TokenSource
from agent.model.docker_config import Document, Entry, encode_entry, entries
from agent.model.docker_results import CliResult, Fault, ProbeResult
from agent.model.problem import Problem, ProblemError
from agent.model.problems.aws import AwsAccessDenied, AwsThrottled, AwsUnreachable
from agent.model.registry import Registry, parse_hostname
from agent.model.sensitive import Sensitive
from agent.settings import AwsSettings, Settings
from tests.longlife.warp import WarpClock

LIFE: Final = timedelta(hours=12)
EARLIEST: Final = 0.5 * 0.9
"""The share of a token's life before which no new one may be requested: `renewal.fraction` less its jitter."""
REJECTED: Final = timedelta(seconds=Settings().retry.rejected_wait_s)
_EARLY_DEATH: Final = timedelta(minutes=25)


@dataclass(slots=True)
class Outages:
    """Periods of wall-clock time in which something is down, and how it fails."""

    times: list[tuple[datetime, datetime, str]] = field(default_factory=list)

    def add(self, begin: datetime, length: timedelta, how: str) -> None:
        self.times.append((begin, begin + length, how))

    def how(self, now: datetime) -> str | None:
        self.times = [each for each in self.times if each[1] > now]
        return next((how for begin, _, how in self.times if begin <= now), None)

    def end(self, now: datetime) -> datetime:
        return max(end for begin, end, _ in self.times if begin <= now)


@dataclass(slots=True)
class _Requests:
    """The requests of one identity: its last token, and whether a request is in progress."""

    obtained_at: datetime | None = None
    ends_at: datetime | None = None
    in_flight: bool = False


class Aws:
    """Issues tokens for one region that live for 12 h. Every eighth becomes invalid 25 minutes early."""

    def __init__(self, clock: WarpClock, chance: Random) -> None:
        self._clock: Final = clock
        self._chance: Final = chance
        self._down: Final[dict[str, Outages]] = {}
        self.active_keys: Final[set[str]] = set()
        self.refused_at: Final[dict[str, datetime]] = {}
        self._ends_at: Final[dict[str, tuple[str, datetime]]] = {}
        self._requests: Final[dict[AwsIdentity, _Requests]] = {}
        self.granted = self.failed = self.died_early = 0
        self.observe: Callable[[datetime], None] = lambda _: None
        """Gets the time of each answer, like the wiring passes it on."""

    async def fetch_token(self, source: TokenSource, settings: Settings) -> Token:
        assert isinstance(source, AwsIdentity)
        requests = self._requests.setdefault(source, _Requests())
        assert not requests.in_flight, f"{source.region}: two requests at once"
        self._check_pace(source, requests)
        requests.in_flight = True
        try:
            return await self._answer(source, settings.aws, requests)
        finally:
            requests.in_flight = False

    def down(self, region: str) -> bool:
        return self._outages(region).how(self._clock.now()) is not None

    def refusal(self, password: str, region: str) -> str | None:
        """Why a registry of `region` refuses the token. None if it accepts it."""
        known = self._ends_at.get(password)
        if known is None or known[1] <= self._clock.now():
            return "expired"
        return None if known[0] == region else "region"

    def issue(self, region: str, life: timedelta = LIFE) -> tuple[str, datetime]:
        """Issue a token. Returns it with its stated expiry."""
        now = self._clock.now()
        for password in [old for old, (_, ends_at) in self._ends_at.items() if ends_at < now - LIFE]:
            del self._ends_at[password]
        early = self._chance.random() < 1 / 8
        self.died_early += early
        password = f"token-{self._chance.randbytes(12).hex()}"
        self._ends_at[password] = (region, now + life - (_EARLY_DEATH if early else timedelta()))
        return password, now + life

    def ends_at(self, password: str) -> datetime | None:
        return self._ends_at[password][1] if password in self._ends_at else None

    def alias(self, former: str, password: str) -> None:
        """Register another encoding of the same token."""
        self._ends_at[password] = self._ends_at.pop(former)

    def forget(self, key: str) -> None:
        """Forget a key that is no longer used."""
        self.active_keys.discard(key)
        self.refused_at.pop(key, None)
        for identity in [known for known in self._requests if known.keys and known.keys.access_key_id == key]:
            del self._requests[identity]

    def agent_restarted(self) -> None:
        """A restarted agent has no tokens, so new requests are allowed."""
        self._requests.clear()

    def throttle(self, region: str, length: timedelta) -> None:
        self._outages(region).add(self._clock.now(), length, "throttled")

    def go_down(self, region: str, length: timedelta) -> None:
        how = self._chance.choice(("silent", "refused"))
        self._outages(region).add(self._clock.now(), length, how)

    def _outages(self, region: str) -> Outages:
        return self._down.setdefault(region, Outages())

    def _check_pace(self, identity: AwsIdentity, requests: _Requests) -> None:
        now = self._clock.now()
        if requests.obtained_at is not None and requests.ends_at is not None and requests.ends_at > now:
            age = (now - requests.obtained_at) / LIFE
            assert age >= EARLIEST - 1e-6, f"{identity.region}: another token after {age:.1%} of the last one's life"
        key = identity.keys.access_key_id if identity.keys else ""
        refused_at = self.refused_at.get(key)
        assert refused_at is None or now - refused_at >= REJECTED, (
            f"{key}: requested again {now - refused_at} after a refusal"
        )

    async def _answer(self, identity: AwsIdentity, settings: AwsSettings, requests: _Requests) -> Token:
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
        self.observe(self._clock.now())
        password, expires_at = self.issue(identity.region if not identity.public else "public")
        requests.obtained_at, requests.ends_at = self._clock.now(), self.ends_at(password)
        return Token("AWS", Sensitive(password), expires_at, "arn:aws:sts::1:assumed-role/env/i-1")


@dataclass(slots=True)
class RegistryServer:
    """One registry. With a `region`, it accepts AWS's tokens, else only `password`."""

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
    """Whether any login is allowed: the first one, or after a changed secret or a failure. Else only a new password."""
    token_ends: datetime | None = None
    """The end of a ready token. After it, the agent may test whether the token still works."""
    logins: int = 0
    failures: int = 0

    @property
    def down(self) -> bool:
        return self.outages.how(self.clock.now()) is not None

    def takes(self, password: str) -> bool:
        return self._refusal(password) is None

    def login(self, password: str) -> tuple[int, str]:
        """Try a password like the docker CLI. Returns the CLI's exit code and stderr."""
        how = self.outages.how(self.clock.now())
        self._check_pace(password)
        refusal = how or self._refusal(password)
        if refusal is None:
            over = self.token_ends is not None and self.clock.now() >= self.token_ends
            assert self.reason or over or password != self.accepted, f"{self.hostname}: a login without a reason"
            self.accepted, self.reason, self.refused = password, False, None
            self.logins += 1
            return 0, ""
        self.failures += 1
        self.reason = True
        if how is None:
            self.refused = (password, self.clock.now())
        return 1, _WORDS[refusal].format(host=self.hostname)

    def answer(self, password: str | None) -> ProbeResult:
        """The answer of `/v2/`, with or without a password."""
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
            refused_it = status == 401 and password is not None
            return ProbeResult(now, status=status, detail=detail, refused=refused_it, server_time=now)
        wait = min(self.outages.end(now) - now, timedelta(minutes=2))
        return {
            "refused": ProbeResult(now, fault=Fault.UNREACHABLE, detail="connection refused"),
            "silent": ProbeResult(now, fault=Fault.TIMEOUT),
            "busy": ProbeResult(now, status=429, retry_after=wait, server_time=now),
            "failing": ProbeResult(now, status=503, server_time=now),
        }[how]

    def _refusal(self, password: str) -> str | None:
        if self.region is not None:
            return self.aws.refusal(password, self.region)
        return None if password == self.password else "unauthorized"

    def _check_pace(self, password: str) -> None:
        if self.refused is not None and self.refused[0] == password and self.region is None:
            since = self.clock.now() - self.refused[1]
            assert since >= REJECTED, f"{self.hostname}: a rejected password again after {since}"


_WORDS: Final = {
    "unauthorized": 'Error response from daemon: Get "https://{host}/v2/": unauthorized: incorrect user name',
    "expired": "login attempt to https://{host}/v2/ failed with status: 403 Forbidden",
    "region": "login attempt to https://{host}/v2/ failed with status: 400 Bad Request",
    "refused": 'Get "https://{host}/v2/": dial tcp 10.0.0.1:443: connect: connection refused',
    "silent": 'Get "https://{host}/v2/": context deadline exceeded',
    "busy": "login attempt to https://{host}/v2/ failed with status: 429 Too Many Requests",
    "failing": "login attempt to https://{host}/v2/ failed with status: 503 Service Unavailable",
}


class Cli:
    """`docker login`, which takes half a second, or 15 s if the registry is silent. Also the agent's own probe."""

    docker = Path("/usr/bin/docker")

    def __init__(self, servers: Mapping[str, RegistryServer]) -> None:
        self._servers: Final = servers

    async def engine_reachable(self) -> bool:
        return False

    def gone(self, program: Path, problem: Problem) -> None:
        raise AssertionError(f"{program} does not work: {problem.message}")

    async def login(
        self, program: Path, registry: Registry, credential: Credential, *, timeout: float, through_engine: bool
    ) -> CliResult:
        server = self._servers[registry.hostname]
        assert (program, through_engine) == (self.docker, False)
        assert not server.busy, f"{registry}: two logins at once"
        server.busy = True
        try:
            silent = server.outages.how(server.clock.now()) == "silent"
            await asyncio.sleep(min(15.0 if silent else 0.5, timeout))
            code, stderr = server.login(credential.password.reveal())
        finally:
            server.busy = False
        entry = encode_entry(Entry(credential.username, credential.password)) if code == 0 else None
        return CliResult(code, stderr.encode(), entry)

    async def probe(self, registry: Registry, credential: Credential | None, timeout: float) -> ProbeResult:
        server = self._servers[registry.hostname]
        await asyncio.sleep(min(0.2, timeout))
        return server.answer(_password(credential) if credential else None)

    async def check(self, registry: Registry, entry: Entry, timeout: float) -> ProbeResult:
        return await self.probe(registry, Credential(entry.username, entry.secret), timeout)


def _password(credential: Credential) -> str:
    return credential.password.reveal()


class DockerConfig:
    """Docker's config.json in memory. `password` is the one that Docker would use now."""

    def __init__(self) -> None:
        self.document: Document = {}
        self.changed: Callable[[], None] = lambda: None
        self._writes = 0
        self._passwords: dict[str, str] = {}

    def password(self, hostname: str) -> str | None:
        return self._passwords.get(hostname)

    def drop(self, hostname: str) -> None:
        """Remove a login, like a person's `docker logout`."""
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
    """No credential helper is configured."""

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
