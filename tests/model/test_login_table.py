"""The table of a login's states: what each event leads to, out of each state. All other events do nothing."""

from datetime import timedelta
from itertools import product
from typing import Any, Final, NamedTuple

import pytest

from agent.model.deadline import Deadline
from agent.model.login_events import (
    Action,
    Attempt,
    Check,
    Checked,
    Event,
    Failed,
    LoginState,
    Refused,
    RemovalFailed,
    Remove,
    Removed,
    Report,
    Requested,
    Skip,
    Stage,
    Succeeded,
    Verified,
    Woken,
)
from agent.model.status import State
from tests.fakes import EPOCH
from tests.model.login_states import (
    DOWN,
    ENDED,
    FAILING,
    HOST,
    HOUR,
    MINUTE,
    NO_DOCKER,
    STATES,
    STUCK,
    UNUSABLE,
    URGENT,
    WRONG,
    give,
    hours,
    moment,
    past_its_end,
)


class Row(NamedTuple):
    """`wakes` is seconds from the event; None if only an event wakes the login."""

    state: str
    event: Event
    stage: Stage
    status: State
    actions: tuple[Action, ...] = ()
    wakes: float | None = None
    at: float = 0


FORCED: Final = Attempt(renew=False, force=True, take_over=False)
RETRY: Final = Attempt(renew=False, force=False, take_over=False)
RENEWAL: Final = Attempt(renew=True, force=False, take_over=False)
ASKED: Final = Attempt(renew=True, force=True, take_over=True)
AGAIN: Final = Attempt(renew=True, force=False, take_over=True)
OVER: Final = Report((past_its_end("2025-12-31 22:00"),))
JUST_OVER: Final = Report((past_its_end("2026-01-01 00:00"),))
ATTEMPTING, RETRYING, LOGGED_IN = Stage.ATTEMPTING, Stage.RETRYING, Stage.LOGGED_IN
TABLE: Final = (
    Row("starting", Verified(holds_login=True), Stage.DUE, State.PENDING, wakes=0),
    Row("starting", Verified(holds_login=False), Stage.DUE, State.PENDING, wakes=0),
    Row("starting", Verified(False, (WRONG, hours(1))), RETRYING, State.REJECTED, (Report((WRONG,)),), wakes=HOUR),
    Row(
        "starting",
        Verified(True, (WRONG, hours(1)), UNUSABLE),
        RETRYING,
        State.RETRYING,
        (Report((WRONG,)),),
        wakes=HOUR,
    ),
    Row("starting", Requested("r"), Stage.STARTING, State.PENDING),
    Row("due", Woken("b"), ATTEMPTING, State.PENDING, (FORCED,)),
    Row("due", Woken("b", NO_DOCKER), Stage.NO_DOCKER, State.SKIPPED, (Skip(NO_DOCKER),)),
    Row("due", Requested("r"), ATTEMPTING, State.PENDING, (ASKED,)),
    Row("due", Requested("r", NO_DOCKER), Stage.NO_DOCKER, State.SKIPPED, (Skip(NO_DOCKER),)),
    Row("no docker", Woken("b"), ATTEMPTING, State.PENDING, (FORCED,)),
    Row("no docker", Requested("r"), ATTEMPTING, State.PENDING, (ASKED,)),
    Row("no docker", Requested("r", NO_DOCKER), Stage.NO_DOCKER, State.SKIPPED),
    Row("attempting", Requested("r"), ATTEMPTING, State.PENDING),
    Row("attempting", Succeeded(), LOGGED_IN, State.LOGGED_IN, (Report(()),)),
    Row("attempting", Succeeded(check_in=hours(6)), LOGGED_IN, State.LOGGED_IN, (Report(()),), wakes=6 * HOUR),
    Row("attempting", Succeeded(EPOCH + hours(2)), LOGGED_IN, State.LOGGED_IN, (Report(()),), wakes=2 * HOUR),
    Row("attempting", Succeeded(EPOCH - hours(2)), LOGGED_IN, State.LOGGED_IN, (OVER,), wakes=5 * MINUTE),
    Row("attempting", Succeeded(EPOCH), LOGGED_IN, State.LOGGED_IN, (JUST_OVER,), wakes=1),
    Row("attempting", Failed(DOWN, hours(1)), RETRYING, State.RETRYING, (Report((DOWN,)),), wakes=HOUR),
    Row("attempting", Failed(DOWN, None), RETRYING, State.RETRYING, (Report((DOWN,)),)),
    Row("attempting", Failed(WRONG, hours(1)), RETRYING, State.REJECTED, (Report((WRONG,)),), wakes=HOUR),
    Row("requested", Succeeded(), LOGGED_IN, State.LOGGED_IN, (Report(()),)),
    Row("requested", Failed(DOWN, hours(1)), RETRYING, State.RETRYING, (Report((DOWN,)),), wakes=HOUR),
    Row("retrying", Woken("b"), ATTEMPTING, State.RETRYING, (RETRY,), at=MINUTE),
    Row("retrying", Woken("b", source_changed=True), ATTEMPTING, State.RETRYING, (RETRY,)),
    Row("retrying", Woken("b", NO_DOCKER), Stage.NO_DOCKER, State.SKIPPED, (Skip(NO_DOCKER),), at=MINUTE),
    Row("retrying", Requested("r"), ATTEMPTING, State.RETRYING, (ASKED,)),
    Row("retrying a request", Woken("b"), ATTEMPTING, State.RETRYING, (AGAIN,), at=MINUTE),
    Row("rejected", Requested("r"), ATTEMPTING, State.REJECTED, (ASKED,)),
    Row("rejected", Woken("b"), ATTEMPTING, State.REJECTED, (RETRY,), at=30 * MINUTE),
    Row("without docker", Woken("b"), ATTEMPTING, State.RETRYING, (RETRY,)),
    Row("with podman", Woken("b"), ATTEMPTING, State.RETRYING, (RETRY,)),
    Row("password", Woken("b"), LOGGED_IN, State.LOGGED_IN, (Check(),), at=6 * HOUR),
    Row("password", Woken("b", unusable=UNUSABLE), LOGGED_IN, State.RETRYING, wakes=6 * HOUR),
    Row("password", Requested("r", NO_DOCKER), ATTEMPTING, State.LOGGED_IN, (ASKED,)),
    Row("asking", Checked(hours(6)), LOGGED_IN, State.LOGGED_IN, wakes=6 * HOUR, at=7 * HOUR),
    Row("asking", Checked(None), LOGGED_IN, State.LOGGED_IN, at=7 * HOUR),
    Row("asking", Checked(hours(6), log_in_again=True), Stage.DUE, State.LOGGED_IN, wakes=0, at=7 * HOUR),
    Row("asking", Refused(WRONG, hours(1)), RETRYING, State.REJECTED, (Report((WRONG,)),), wakes=HOUR, at=7 * HOUR),
    Row("asking", Refused(DOWN, hours(1)), RETRYING, State.LOGGED_IN, (Report((DOWN,)),), wakes=HOUR, at=7 * HOUR),
    Row("asking", Requested("r"), ATTEMPTING, State.LOGGED_IN, (ASKED,), at=7 * HOUR),
    Row("unusable", Woken("b"), LOGGED_IN, State.LOGGED_IN, wakes=6 * HOUR),
    Row("unusable", Woken("b", unusable=UNUSABLE), LOGGED_IN, State.RETRYING, wakes=6 * HOUR),
    Row("unusable", Requested("r"), ATTEMPTING, State.RETRYING, (ASKED,)),
    Row("token", Woken("b"), LOGGED_IN, State.LOGGED_IN, wakes=HOUR, at=5 * HOUR),
    Row("token", Woken("b"), ATTEMPTING, State.LOGGED_IN, (RENEWAL,), at=6 * HOUR),
    Row("token", Woken("b", NO_DOCKER), ATTEMPTING, State.LOGGED_IN, (RENEWAL,), at=6 * HOUR),
    Row("token", Woken("b", NO_DOCKER), ATTEMPTING, State.LOGGED_IN, (RENEWAL,), at=12 * HOUR),
    Row("token", Requested("r"), ATTEMPTING, State.LOGGED_IN, (ASKED,)),
    Row("skewed", Woken("b"), ATTEMPTING, State.LOGGED_IN, (RETRY,)),
    Row("renewing", Failed(DOWN, hours(1)), RETRYING, State.LOGGED_IN, (Report((DOWN, FAILING)),), HOUR, at=6 * HOUR),
    Row("renewing", Failed(WRONG, None), RETRYING, State.LOGGED_IN, (Report((WRONG, FAILING)),), 5 * HOUR, at=6 * HOUR),
    Row("renewing", Failed(DOWN, None), RETRYING, State.LOGGED_IN, (Report((DOWN, URGENT)),), HOUR, at=11 * HOUR),
    Row("renewing", Failed(DOWN, None), RETRYING, State.EXPIRED, (Report((DOWN, ENDED)), Remove()), 0, at=12 * HOUR),
    Row("failing", Woken("b"), RETRYING, State.LOGGED_IN, wakes=HOUR, at=10 * HOUR),
    Row("failing", Woken("b"), RETRYING, State.LOGGED_IN, (Report((DOWN, URGENT)),), HOUR, at=11 * HOUR),
    Row("failing", Woken("b"), RETRYING, State.EXPIRED, (Report((DOWN, ENDED)), Remove()), 0, at=12 * HOUR),
    Row("failing", Woken("b", unusable=UNUSABLE), RETRYING, State.RETRYING, (Report((DOWN,)),), 5 * HOUR, at=6 * HOUR),
    Row("foreign", Woken("b", foreign=True), ATTEMPTING, State.LOGGED_IN, (RENEWAL,), at=6 * HOUR),
    Row("foreign, failing", Woken("b", foreign=True), RETRYING, State.LOGGED_IN, wakes=17 * HOUR, at=13 * HOUR),
    Row("foreign, failing", Woken("b"), RETRYING, State.LOGGED_IN, (Report((DOWN, FAILING)),), 5 * HOUR, at=6 * HOUR),
    Row("foreign, failing", Woken("b"), RETRYING, State.EXPIRED, (Report((DOWN, ENDED)), Remove()), 0, at=12 * HOUR),
    Row("failing", Woken("b", foreign=True), RETRYING, State.LOGGED_IN, (Report((DOWN,)),), 24 * HOUR, at=6 * HOUR),
    Row("unstored", Woken("b", unstored=True), RETRYING, State.LOGGED_IN, wakes=HOUR, at=6 * HOUR),
    Row("unstored", Woken("b"), ATTEMPTING, State.LOGGED_IN, (RENEWAL,), at=6 * HOUR),
    Row("failing", Woken("b", gone=True), RETRYING, State.RETRYING, (Report((DOWN,)),), 24 * HOUR, at=6 * HOUR),
    Row("failing", Woken("b", NO_DOCKER), ATTEMPTING, State.LOGGED_IN, (RENEWAL,), at=30 * HOUR),
    Row("failing", Requested("r", NO_DOCKER), ATTEMPTING, State.LOGGED_IN, (ASKED,), at=6 * HOUR),
    Row("asked meanwhile", Succeeded(check_in=hours(6)), LOGGED_IN, State.LOGGED_IN, (Report(()),), wakes=0),
    Row("asked meanwhile", Failed(DOWN, hours(1)), RETRYING, State.RETRYING, (Report((DOWN,)),), wakes=0),
    Row("asked, logged in", Woken("b"), ATTEMPTING, State.LOGGED_IN, (ASKED,)),
    Row("asked, retrying", Woken("b"), ATTEMPTING, State.RETRYING, (ASKED,)),
    Row("failing", Requested("r"), ATTEMPTING, State.LOGGED_IN, (ASKED,), at=6 * HOUR),
    Row("removing", Removed(was_ours=True), RETRYING, State.EXPIRED, wakes=0, at=12 * HOUR),
    Row("removing", RemovalFailed(STUCK), RETRYING, State.EXPIRED, (Report((DOWN, ENDED, STUCK)),), 300, at=12 * HOUR),
    Row("removed", Woken("b"), ATTEMPTING, State.EXPIRED, (RENEWAL,), at=36 * HOUR),
    Row("removed", RemovalFailed(STUCK), RETRYING, State.EXPIRED, (Report((DOWN, ENDED, STUCK)),), 300, at=12 * HOUR),
)


@pytest.mark.parametrize("row", TABLE, ids=[f"{row.state}-{type(row.event).__name__}-{row.at}" for row in TABLE])
def test_an_event_leads_out_of_a_state(row: Row) -> None:
    """To the next stage and status, with these actions, and with this wait."""
    decision = give(STATES[row.state], row.event, row.at)
    assert (decision.state.stage, decision.state.status, decision.actions) == (row.stage, row.status, row.actions)
    wakes = decision.wake_at and moment(row.at).until(decision.wake_at)
    assert wakes == row.wakes


ONE_OF_EACH: Final = (
    *(Verified(holds_login=False), Woken("x"), Requested("x"), Succeeded(), Failed(DOWN, None)),
    *(Checked(None), Refused(WRONG, hours(1)), Removed(was_ours=True), RemovalFailed(STUCK)),
)
BELONGS: Final = {
    Stage.STARTING: (Verified, Requested),
    Stage.DUE: (Woken, Requested),
    Stage.NO_DOCKER: (Woken, Requested),
    Stage.ATTEMPTING: (Requested, Succeeded, Failed),
    Stage.RETRYING: (Woken, Requested, Removed, RemovalFailed),
    Stage.LOGGED_IN: (Woken, Requested, Checked, Refused),
}


@pytest.mark.parametrize(("name", "event"), [*product(STATES, ONE_OF_EACH)], ids=str)
def test_an_event_that_does_not_belong_to_a_stage_changes_nothing(name: str, event: Event) -> None:
    """It comes from something that ended meanwhile. All others are in the table."""
    state = STATES[name]
    if isinstance(event, BELONGS[state.stage]):
        assert any(STATES[row.state].stage is state.stage and type(row.event) is type(event) for row in TABLE)
    else:
        decision = give(state, event, 6 * HOUR)
        assert (decision.state, decision.actions) == (state, ())


def due(seconds: float) -> Deadline:
    return Deadline(EPOCH + timedelta(seconds=seconds), seconds)


def login(stage: Stage, status: State, attempts: int = 1, **others: Any) -> LoginState:
    """A login that was attempted."""
    fields = {"attempt_id": "a", "first_attempt_done": True, **others}
    return LoginState(HOST, stage, status, attempts=attempts, **fields)


NOT_YET: Final[dict[str, Any]] = {"first_attempt_done": False}
UNREACHABLE: Final[dict[str, Any]] = {"failures": 1, "problem": DOWN, "last_error": "down"}
HELD: Final[dict[str, Any]] = {"has_logged_in": True, "expiry": due(12 * HOUR), "renewal": due(6 * HOUR)}
FAILED: Final[dict[str, Any]] = {**UNREACHABLE, **HELD, "attempts": 2, "attempt_id": "b"}
REMEMBERED: Final = {
    "starting": LoginState(HOST),
    "due": LoginState(HOST, Stage.DUE),
    "no docker": login(Stage.NO_DOCKER, State.SKIPPED, 0, last_error=NO_DOCKER),
    "attempting": login(ATTEMPTING, State.PENDING, **NOT_YET),
    "requested": login(ATTEMPTING, State.PENDING, **NOT_YET, attempt_id="r", take_over=True),
    "retrying": login(RETRYING, State.RETRYING, **UNREACHABLE, retry=due(MINUTE)),
    "trying again": login(ATTEMPTING, State.RETRYING, 2, **UNREACHABLE),
    "asked meanwhile": login(ATTEMPTING, State.PENDING, **NOT_YET, requested_id="r"),
    "asked, logged in": login(LOGGED_IN, State.LOGGED_IN, requested_id="r", has_logged_in=True),
    "asked, retrying": login(RETRYING, State.RETRYING, **UNREACHABLE, requested_id="r", retry=due(HOUR)),
    "retrying a request": login(
        RETRYING, State.RETRYING, **UNREACHABLE, retry=due(MINUTE), attempt_id="r", take_over=True
    ),
    "rejected": login(
        RETRYING, State.REJECTED, failures=1, problem=WRONG, last_error="wrong password", retry=due(30 * MINUTE)
    ),
    "password": login(LOGGED_IN, State.LOGGED_IN, has_logged_in=True, check=due(6 * HOUR)),
    "asking": login(LOGGED_IN, State.LOGGED_IN, has_logged_in=True),
    "unusable": login(
        LOGGED_IN,
        State.RETRYING,
        has_logged_in=True,
        check=due(6 * HOUR),
        unusable=UNUSABLE,
        last_error="docker finds no login",
    ),
    "token": login(LOGGED_IN, State.LOGGED_IN, **HELD),
    "skewed": login(
        LOGGED_IN,
        State.LOGGED_IN,
        has_logged_in=True,
        reattempt=due(5 * MINUTE),
        check=due(6 * HOUR),
        clock_is_off=True,
    ),
    "renewing": login(ATTEMPTING, State.LOGGED_IN, 2, **HELD, attempt_id="b"),
    "failing": login(RETRYING, State.LOGGED_IN, **FAILED, retry=due(30 * HOUR), next_change=due(11 * HOUR)),
    "removing": login(RETRYING, State.EXPIRED, **FAILED, retry=due(36 * HOUR), next_change=due(12 * HOUR)),
    "removed": login(RETRYING, State.EXPIRED, **FAILED, retry=due(36 * HOUR), next_change=due(12 * HOUR), removed=True),
}


@pytest.mark.parametrize("name", REMEMBERED)
def test_exactly_this_is_remembered(name: str) -> None:
    """Nothing of what was before a success, and nothing of an attempt that has started."""
    assert STATES[name] == REMEMBERED[name]


def test_the_id_of_a_request_is_the_id_of_its_attempt() -> None:
    """Also if it came during another attempt. A retry keeps the ID, a renewal gets a new one."""
    asked = [give(STATES[name], Woken("b")).state for name in ("asked, logged in", "asked, retrying")]
    assert [(state.attempt_id, state.requested_id) for state in asked] == [("r", None), ("r", None)]
    assert give(STATES["retrying"], Woken("b"), MINUTE).state.attempt_id == "a"
    assert give(STATES["token"], Woken("b"), 6 * HOUR).state.attempt_id == "b"
    assert give(STATES["token"], Woken("b"), 5 * HOUR).state.attempt_id == "a"


@pytest.mark.parametrize("name", ["starting", "attempting", "password", "failing"])
def test_a_failure_counts_and_is_remembered(name: str) -> None:
    """Whether it is an attempt, a check, or a refusal from before a restart."""
    events: dict[str, Event] = {"starting": Verified(False, (WRONG, hours(1))), "password": Refused(WRONG, hours(1))}
    state = STATES["renewing"] if name == "failing" else STATES[name]
    failed = give(state, events.get(name, Failed(WRONG, hours(1)))).state
    assert (failed.problem, failed.last_error, failed.first_attempt_done) == (WRONG, "wrong password", True)
    assert (failed.retry, failed.failures) == (due(HOUR), 0 if name == "starting" else 1)
    twice = give(give(failed, Woken("b"), HOUR).state, Failed(DOWN, hours(1)), HOUR).state
    assert (twice.failures, twice.attempts) == (failed.failures + 1, failed.attempts + 1)
