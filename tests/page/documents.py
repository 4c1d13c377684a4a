"""Documents for the page to show, from a healthy agent to the worst day."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agent.model.problem import Problem
from agent.model.problems.aws import AwsAccessDenied
from agent.model.problems.environment import AwsCliMissing, SecretInvalid
from agent.model.problems.registry import LoginRejected, RegistryDns
from agent.model.problems.stored_login import LoginRestored, RenewalFailing, TokenExpired
from agent.model.status import Engine, Phase, RegistryStatus, State, Tool, Tools
from tests.fakes import FakeClock, process
from tests.web.serving import Serving, serving

ECR: Final = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
HOSTILE: Final = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
LONG: Final = "a-very-long-name-without-a-break-" * 12


def now() -> datetime:
    """Return the current time without microseconds, as the status has it."""
    return datetime.now(UTC).replace(microsecond=0)


@asynccontextmanager
async def page_server(**options: Any) -> AsyncIterator[Serving]:
    """Start a real server with a real board, over TCP without a token, for an agent that started ten hours ago."""
    began = replace(process(), started_at=now() - timedelta(hours=10), environment_id="ada-dev")
    async with serving(process=began, clock=FakeClock(now()), **options) as rig:
        yield rig


def row(hostname: str, state: State = State.LOGGED_IN, **fields: object) -> RegistryStatus:
    """Return a registry with a password that does not expire."""
    usual = {"secret": f"team-{hostname.partition('.')[0]}", "scope": "project", "kind": "basic", "changed_at": now()}
    if state is State.LOGGED_IN:
        usual |= {"logged_in_at": now() - timedelta(minutes=42), "attempts": 1, "attempt_id": "4606b503"}
    return RegistryStatus(hostname=hostname, state=state, **{**usual, **fields})  # type: ignore[arg-type] # fields of the row


def ecr(state: State = State.LOGGED_IN, *, age_h: float = 2.5, **fields: object) -> RegistryStatus:
    """Return a registry with a twelve-hour token that is `age_h` hours old."""
    began = now() - timedelta(hours=age_h)
    usual = {
        "secret": "team-ecr",
        "kind": "ecr",
        "identity": "arn:aws:sts::123456789012:assumed-role/env/i-0abc123",
        "logged_in_at": began,
        "expires_at": began + timedelta(hours=12),
        "renew_at": began + timedelta(hours=6, minutes=7),
    }
    return row(ECR, state, **{**usual, **fields})


def put(rig: Serving, *rows: RegistryStatus, stored_in: str = "config.json") -> None:
    for registry in rows:
        rig.board.put_registry(registry)
        if registry.state is State.LOGGED_IN:
            rig.board.set_stored_in(registry.hostname, stored_in)
    rig.board.set_tools(Tools(Tool("/usr/bin/docker", "28.2.2"), Tool("/usr/bin/aws", "2.15.0"), Engine.REACHABLE))
    rig.board.set_phase(Phase.RUNNING)


def healthy(rig: Serving) -> None:
    put(rig, ecr(), row("ghcr.io"), row("docker.io", secret="hub", scope="user"))


def worst_day(rig: Serving) -> None:
    """Put every state of a registry on the board, and a warning for each value of `needs`."""
    rejected = LoginRejected("ghcr.io", "ghcr.io refused the user name or password of secret team-ghcr")
    denied = AwsAccessDenied(
        ECR,
        "arn:aws:sts::123456789012:assumed-role/env/i-0abc123 may not do ecr:GetAuthorizationToken in eu-west-1",
    )
    failing = RenewalFailing(ECR, f"the login to {ECR} could not be renewed, and works until it expires")
    dns = RegistryDns("registry.internal.example", "registry.internal.example does not resolve")
    expired = TokenExpired("public.ecr.aws", "the login to public.ecr.aws expired and was taken out")
    invalid = SecretInvalid("a.json#nameless", "secret nameless of a.json has no hostname")
    notices = [
        AwsCliMissing("aws", "there is no aws on PATH"),
        LoginRestored("docker.io", "another program removed the login for docker.io"),
    ]
    put(
        rig,
        ecr(
            age_h=10.9, consecutive_failures=3, last_error=denied.message, next_attempt_at=now() + timedelta(minutes=4)
        ),
        row("docker.io", secret="hub"),
        refused(rejected),
        row(
            "registry.internal.example",
            State.RETRYING,
            consecutive_failures=4,
            last_error=dns.message,
            next_attempt_at=now() + timedelta(seconds=95),
        ),
        row("public.ecr.aws", State.EXPIRED, kind="ecr-public", expires_at=now() - timedelta(minutes=3)),
        row("quay.io", State.PENDING, attempting=True),
        row("old.example.com", State.SKIPPED, last_error="the secret is switched off"),
    )
    rig.board.report("test", [rejected, denied, failing, dns, expired, invalid, *notices])


def refused(problem: Problem) -> RegistryStatus:
    """Return a registry that refused the login."""
    failed = {"consecutive_failures": 1, "last_error": problem.message, "attempts": 1}
    return row(problem.subject, State.REJECTED, **failed, next_attempt_at=now() + timedelta(minutes=29))
