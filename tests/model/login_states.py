"""The states of a login, each reached by real events, and what the tests about them share."""

from datetime import timedelta
from typing import Final

from agent.model.hints import PUT_NEW_TOKEN
from agent.model.login_events import (
    Event,
    Failed,
    LoginState,
    Now,
    Removed,
    Requested,
    Rules,
    Succeeded,
    Verified,
    Woken,
)
from agent.model.login_state import Decision, decide
from agent.model.problem import RetryClass, Severity
from agent.model.problems.aws import ClockSkew
from agent.model.problems.environment import DockerCliMissing, NotDockersCli
from agent.model.problems.registry import LoginRejected, RegistryUnreachable
from agent.model.problems.stored_login import CredentialStoreFailed, RenewalFailing, TokenExpired
from tests.fakes import EPOCH

HOST: Final = "ghcr.io"
MINUTE: Final = 60
HOUR: Final = 3600
RULES: Final = Rules(timedelta(hours=1), timedelta(seconds=1), timedelta(minutes=5))

DOWN: Final = RegistryUnreachable(HOST, "down")
WRONG: Final = LoginRejected(HOST, "wrong password")
NO_CLI: Final = DockerCliMissing("docker", "there is no docker")
PODMAN: Final = NotDockersCli("docker", "this is podman")
SKEW: Final = ClockSkew(HOST, "the clock is off", retry_class=RetryClass.SOON)
STUCK: Final = CredentialStoreFailed(HOST, "it hangs")
UNUSABLE: Final = CredentialStoreFailed(HOST, "docker finds no login")
ENDED: Final = TokenExpired(HOST, "the login for ghcr.io has expired and could not be renewed")
FAILING: Final = RenewalFailing(HOST, "the login for ghcr.io works until 2026-01-01 12:00 UTC, but its renewal fails")
URGENT: Final = RenewalFailing(HOST, FAILING.message, severity=Severity.ERROR)

NO_DOCKER: Final = "there is no docker"


def past_its_end(shown: str) -> TokenExpired:
    """The problem of a token that a registry accepts although it has ended."""
    message = f"the token for {HOST} expired at {shown} UTC, although {HOST} still accepts it"
    return TokenExpired(HOST, message, hint=PUT_NEW_TOKEN)


def moment(seconds: float) -> Now:
    """All clocks agree, and servers have confirmed it."""
    wall = EPOCH + timedelta(seconds=seconds)
    return Now(wall, seconds, proven=wall)


def give(state: LoginState, event: Event, seconds: float = 0) -> Decision:
    return decide(state, event, moment(seconds), RULES)


def after(*events: Event | tuple[float, Event], state: LoginState | None = None) -> LoginState:
    """The state after these events, each at the start or at its own time."""
    state = state or LoginState(HOST)
    for each in events:
        seconds, event = each if isinstance(each, tuple) else (0, each)
        state = give(state, event, seconds).state
    return state


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


FIRST: Final = (Verified(holds_login=False), Woken("a"))
PASSWORD: Final = (*FIRST, Succeeded(check_in=hours(6)))
TOKEN: Final = (*FIRST, Succeeded(EPOCH + hours(12), EPOCH + hours(6)))
RENEWING: Final = (*TOKEN, (6 * HOUR, Woken("b")))
STATES: Final = {
    "starting": after(),
    "due": after(FIRST[0]),
    "no docker": after(FIRST[0], Woken("a", NO_DOCKER)),
    "attempting": after(*FIRST),
    "requested": after(FIRST[0], Requested("r")),
    "retrying": after(*FIRST, Failed(DOWN, timedelta(minutes=1))),
    "trying again": after(*FIRST, Failed(DOWN, timedelta(minutes=1)), (MINUTE, Woken("b"))),
    "asked meanwhile": after(*FIRST, Requested("r")),
    "asked, logged in": after(*FIRST, Requested("r"), Succeeded()),
    "asked, retrying": after(*FIRST, Requested("r"), Failed(DOWN, hours(1))),
    "retrying a request": after(FIRST[0], Requested("r"), Failed(DOWN, timedelta(minutes=1))),
    "rejected": after(*FIRST, Failed(WRONG, timedelta(minutes=30))),
    "without docker": after(*FIRST, Failed(NO_CLI, timedelta(hours=1))),
    "with podman": after(*FIRST, Failed(PODMAN, timedelta(hours=1))),
    "unstored": after(*RENEWING, (6 * HOUR, Failed(DOWN, hours(1), unstored=True))),
    "password": after(*PASSWORD),
    "asking": after(*PASSWORD, (6 * HOUR, Woken("b"))),
    "unusable": after(*PASSWORD, Woken("b", unusable=UNUSABLE)),
    "token": after(*TOKEN),
    "skewed": after(*FIRST, Succeeded(check_in=hours(6), problems=(SKEW,))),
    "foreign": after(*FIRST, Succeeded(EPOCH + hours(12), EPOCH + hours(6), foreign=True)),
    "foreign, failing": after(
        *FIRST,
        Succeeded(EPOCH + hours(12), EPOCH + hours(6), foreign=True),
        (6 * HOUR, Woken("b", foreign=True)),
        (6 * HOUR, Failed(DOWN, hours(24))),
    ),
    "renewing": after(*RENEWING),
    "failing": after(*RENEWING, (6 * HOUR, Failed(DOWN, hours(24)))),
    "removing": after(*RENEWING, (12 * HOUR, Failed(DOWN, hours(24)))),
    "removed": after(*RENEWING, (12 * HOUR, Failed(DOWN, hours(24))), (12 * HOUR, Removed(was_ours=True))),
}
