"""One agent with pretend servers, and the checks that apply to each of its warnings."""

import json
import os
import signal
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING, Any, Final, cast

from agent.demo.listener import Handler, Listener
from agent.demo.registries import Auth, BasicAuth
from agent.demo.tls import AUTHORITY, server_context
from tests.codes.here import Here
from tests.codes.matrix import Seen
from tests.codes.programs import script
from tests.codes.servers import Dashboard
from tests.codes.severities import NEEDS, SEVERITIES, STAYS
from tests.codes.sources import LOGIN_CANARY, PERSON_CANARY, Sources
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.registries import EcrAuth, PretendRegistry
from tests.rig.agent import Agent, Status, warnings
from tests.rig.waiting import PATIENCE_S, until

if TYPE_CHECKING:
    from tests.fakecloud.azure import PretendAzure
    from tests.fakecloud.google import PretendGoogle
    from tests.rig.namespace import Namespace

Warning_ = dict[str, Any]
Sections = Mapping[str, Mapping[str, Any]]

REGION: Final = "eu-west-1"
USER: Final = "robot"
PASSWORD: Final = LOGIN_CANARY.value
LOGIN: Final = {"username": USER, "password": PASSWORD}
USERS: Final = {USER: PASSWORD}
PERSON: Final = {"a-person": PERSON_CANARY.value}
"""A person who logs in manually."""
NATIVE: Final = {"username": "runner-native", "kind": "ecr", "region": REGION}

_SHORT: Final[Sections] = {
    "docker": {"login_timeout_s": 5},
    "renewal": {"min_interval_s": 0.5},
    "retry": {"first_wait_s": 0.1, "max_wait_s": 0.5, "rejected_wait_s": 0.7},
    "status": {"listen": ""},
}
_RELOADED: Final = b"settings.reloaded"
_FIELDS: Final = frozenset(
    {"code", "severity", "subject", "message", "hint", "needs", "first_seen", "last_seen", "count"}
)


@dataclass(frozen=True, slots=True)
class Door:
    """A registry of the pretend cloud, its listening port, and the name of its secret."""

    registry: PretendRegistry
    listener: Listener
    hostname: str
    secret: str = ""


class World:
    """The agent and its servers. Whatever a test breaks, the registry `good` must stay logged in.

    Unless `stores_logins`, no secret may be in Docker's configuration.
    """

    def __init__(self, here: Here, home: Path) -> None:
        self.cleanup: Final = ExitStack()
        self._good_reached = ("", "")
        self.here: Final = here
        self.home: Final = home
        self.good_state = "logged_in"
        self.steady_clock = True
        self.stores_logins = True
        self.raised_codes: Final[set[str]] = set()
        self.cleared_codes: Final[set[str]] = set()
        self.seen: dict[str, Seen] = {}
        self._looked_at = time.monotonic()
        self._authorities: Final = home / "authorities.pem"
        home.mkdir(parents=True, exist_ok=True)
        self.trust(AUTHORITY.encode())
        self.env: Final[dict[str, str]] = {
            "DOCKER_HOST": f"unix://{home}/no-engine.sock",
            "SSL_CERT_FILE": str(self._authorities),
            "PATH": f"{_quick_aws(home / 'programs')}:{os.environ['PATH']}",
        }
        self.defaults: Final[dict[str, Mapping[str, Any]]] = dict(_SHORT)
        self.sources: Final = Sources(home / "sources")
        self.given: Final[set[str]] = set()
        self.clouds: Final[list[PretendAws]] = []
        self.other_clouds: Final[list[PretendGoogle | PretendAzure]] = []
        self.dashboards: Final[list[Dashboard]] = []
        self.agent = self._new_agent({})
        self.good: Final = self.registry("good")

    # Before the agent starts

    def trust(self, certificate: bytes) -> None:
        """Make the agent and docker trust another certificate authority."""
        with self._authorities.open("ab") as file:
            file.write(certificate)

    def dashboard(self) -> tuple[Dashboard, Listener]:
        """Serve another dashboard that the status can be pushed to."""
        self.dashboards.append(Dashboard())
        return self.dashboards[-1], self.serve(self.dashboards[-1].handle)

    def serve(self, handle: Handler, *, host: str = "127.0.0.1", tls: SSLContext | None = None) -> Listener:
        listener = Listener(handle, host=host, tls=tls)
        self.cleanup.callback(lambda: self.here.call(listener.close()))
        self.up(listener)
        return listener

    def registry(
        self,
        name: str,
        auth: Auth | None = None,
        secret: Mapping[str, object] = LOGIN,
        *,
        host: str = "127.0.0.1",
        tls: SSLContext | None = None,
    ) -> Door:
        """Serve a registry, and give the agent a secret for it."""
        registry = PretendRegistry(auth or BasicAuth(USERS))
        listener = self.serve(registry.handle, host=host, tls=tls or server_context())
        name = self.new_name(name)
        self.agent.give(name, listener.address, **secret)
        return Door(registry, listener, listener.address, name)

    def new_name(self, name: str) -> str:
        """A name for a secret: `name`, with a number if it is taken."""
        numbers = ("", *(f"-{number}" for number in range(2, 1000)))
        return next(name + number for number in numbers if not (self.agent.secrets / f"{name}{number}.json").exists())

    def aws(self, **arguments: Any) -> PretendAws:
        """Serve a pretend AWS, and make the agent use it as AWS."""
        aws = PretendAws(region=REGION, **arguments)
        self.point_to_aws(aws, self.serve(aws.handle))
        return aws

    def point_to_aws(self, aws: PretendAws, listener: Listener) -> None:
        if aws not in self.clouds:
            self.clouds.append(aws)
        names = ("AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS", "AWS_EC2_METADATA_SERVICE_ENDPOINT")
        self.env.update(dict.fromkeys(names, listener.url))

    def ecr(self, aws: PretendAws, name: str = "team-ecr", **secret: str) -> Door:
        return self.registry(name, EcrAuth(aws.valid, REGION), {**NATIVE, **secret})

    def prepare(self, settings: Sections | None = None, **env: str) -> Agent:
        """The agent with its settings file. It is not started yet."""
        self.agent = self._new_agent(settings or {}, **env)
        self._good_reached = ("", "")
        return self.agent

    def start(self, settings: Sections | None = None, **env: str) -> Agent:
        """Start the agent, and wait for its first status. It has all secrets that were given before."""
        agent = self.prepare(settings, **env)
        self._looked_at = time.monotonic()
        return agent.start()

    # While it runs

    def begin(self) -> None:
        """Start a new test in this world."""
        self.raised_codes.clear()
        self.cleared_codes.clear()
        self.seen = {}
        self._looked_at = time.monotonic()

    def set(self, **sections: Mapping[str, Any]) -> None:
        """Rewrite the settings file with these sections on top of the world's, and reload it."""
        log = self.home / "log"
        before = log.read_bytes().count(_RELOADED)
        self._new_agent(sections)
        self.reload()
        until("the new settings", lambda: log.read_bytes().count(_RELOADED) > before)

    def up(self, listener: Listener) -> None:
        self.here.call(listener.up())

    def down(self, listener: Listener) -> None:
        self.here.call(listener.down())

    @property
    def settings_file(self) -> Path:
        return self.home / "config.toml"

    @property
    def pid(self) -> int:
        pid = self.agent.pid
        assert pid is not None
        return pid

    def reload(self) -> None:
        os.kill(self.pid, signal.SIGHUP)

    def raised(
        self, code: str, subject: str, *, says: str = "", severity: str | None = None, timeout: float = PATIENCE_S
    ) -> Warning_:
        """Wait for the warning, and check what is promised of each warning."""

        def found(status: Status) -> Warning_ | None:
            these = (w for w in status["warnings"] if (w["code"], w["subject"]) == (code, subject))
            return next((w for w in these if severity in (None, w["severity"])), None)

        status = self.agent.wait_for(f"{code} about {subject}", found, timeout)
        self._saw(code, "raised_s")
        warning = found(status)
        assert warning is not None
        holds(status, warning, says)
        self.raised_codes.add(code)
        self.nothing_stopped()
        return warning

    def cleared(self, code: str, subject: str, *, timeout: float = PATIENCE_S) -> Status:
        """Wait until the warning has cleared, and check that `cleared` lists it."""
        key = (code, subject)
        status = self.agent.wait_for(f"the end of {code}", lambda s: key not in warnings(s), timeout)
        went = [w for w in status["cleared"] if (w["code"], w["subject"]) == key]
        assert went, f"{key} left no trace in cleared: {json.dumps(status['cleared'], indent=1)}"
        assert went[-1]["cleared_at"] >= went[-1]["first_seen"] or not self.steady_clock
        self.cleared_codes.add(code)
        self._saw(code, "cleared_s")
        self.nothing_stopped()
        return status

    def well_again(self, *hostnames: str, timeout: float = PATIENCE_S) -> Status:
        """Wait for these logins. If the fault has no code, record how long that took."""
        status = self.agent.wait_logged_in(*hostnames, timeout=timeout)
        self._saw("", "cleared_s")
        self.nothing_stopped()
        return status

    def nothing_stopped(self) -> None:
        """Check that `good` is in `good_state`, and has been without interruption."""
        status = self.agent.wait_for(
            f"{self.good_state} of the good one", lambda s: self._good(s)[0] == self.good_state
        )
        reached = self._good(status)
        self._good_reached = self._good_reached if self._good_reached[0] == self.good_state else reached
        assert reached == self._good_reached
        self._looked_at = time.monotonic()

    def _good(self, status: Status) -> tuple[str, str]:
        """The state of `good`, and when it began."""
        rows = (row for row in status["registries"] if row["hostname"] == self.good.hostname)
        return next(((row["state"], row["changed_at"]) for row in rows), ("unknown", ""))

    def _saw(self, code: str, what: str) -> None:
        """Record how long it took since the test broke or fixed something. Only the first time counts."""
        seen = self.seen.setdefault(code, Seen())
        if getattr(seen, what) is None:
            setattr(seen, what, time.monotonic() - self._looked_at)

    # The end

    def close(self) -> None:
        try:
            if self.agent.running:
                assert self.agent.end() == 0, self.agent.log()
        finally:
            self.cleanup.close()

    def has_seen(self, codes: frozenset[str]) -> None:
        assert codes <= self.raised_codes, f"{codes - self.raised_codes} never came"
        assert codes - STAYS <= self.cleared_codes, f"{codes - self.cleared_codes} never went"

    def _new_agent(self, settings: Sections, **env: str) -> Agent:
        names = {*self.defaults, *settings}
        sections = {name: {**self.defaults.get(name, {}), **settings.get(name, {})} for name in names}
        # The rig's agent asks its namespace for `args` and `run` alone.
        here = cast("Namespace", self.here)
        return Agent(here, self.home, sections, {**self.env, **env}, passwords=self.given)


def _quick_aws(directory: Path) -> Path:
    """A directory with an `aws` that prints its version at once. The real one takes a second of CPU time."""
    directory.mkdir(parents=True)
    script(directory / "aws", "echo aws-cli/2.31.0 Python/3.13 Linux/6.1")
    return directory


def holds(status: Status, warning: Warning_, says: str = "") -> None:
    """Check what is promised of each warning."""
    assert warning.keys() >= _FIELDS, warning
    assert warning["severity"] in SEVERITIES[warning["code"]], warning
    assert status["condition"] == _condition(status), status
    assert warning["needs"] in NEEDS, warning
    assert warning["message"], warning
    assert warning["hint"], warning
    assert says in warning["message"], warning
    assert warning["first_seen"] <= warning["last_seen"], warning
    assert warning["count"] >= 1, warning


def _condition(status: Status) -> str:
    severities = {warning["severity"] for warning in status["warnings"]}
    return "error" if "error" in severities else "degraded" if "warning" in severities else "healthy"
