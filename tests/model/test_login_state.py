"""The state machine of a login, driven with arbitrary events on two clocks that may part."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.model.deadline import Deadline
from agent.model.login_events import (
    Attempt,
    Check,
    Checked,
    Event,
    Failed,
    LoginState,
    Now,
    Refused,
    RemovalFailed,
    Remove,
    Removed,
    Report,
    Requested,
    Rules,
    Skip,
    Stage,
    Succeeded,
    Verified,
    Woken,
)
from agent.model.login_state import Decision, decide
from agent.model.problem import Problem, RetryClass, Severity
from agent.model.problems.aws import ClockSkew
from agent.model.problems.environment import DockerCliMissing
from agent.model.problems.registry import LoginRejected, RegistryUnreachable
from agent.model.problems.stored_login import ConfigInvalid, CredentialStoreFailed
from agent.model.status import State
from tests.fakes import EPOCH

HOST: Final = "ghcr.io"
RULES: Final = Rules(timedelta(hours=1), timedelta(seconds=1), timedelta(minutes=5))
REJECTED_WAIT: Final = timedelta(minutes=30)
PROBLEMS: Final = (
    LoginRejected(HOST, "wrong password"),
    RegistryUnreachable(HOST, "down"),
    DockerCliMissing("docker", "there is no docker"),
    ClockSkew("aws", "the clock is off", retry_class=RetryClass.SOON),
)
NO_DOCKER: Final = "there is no docker"

spans = st.timedeltas(timedelta(), timedelta(hours=14))
docker = st.sampled_from([None, None, None, NO_DOCKER])
UNUSABLE: Final = (CredentialStoreFailed(HOST, "it cannot store"), LoginRejected(HOST, "a login that is refused"))
unusables = st.sampled_from([None, None, None, *UNUSABLE])


class Login(RuleBasedStateMachine):
    """What the loop does with the machine: one event at a time, an outcome for each attempt and each removal."""

    def __init__(self) -> None:
        super().__init__()
        self.clocks = (EPOCH, 0.0)
        self.confirmed: tuple[datetime, float] | None = None
        self.clock_is_off = False
        self.decision = Decision(LoginState(HOST))
        self.numbers = 0
        self.removing = False
        self.rejected_until: Deadline | None = None
        self.waits_for: str | None = None
        self.asked = self.pending = False
        """Whether somebody has asked since the last success, and whether no attempt has started since."""

    @property
    def now(self) -> Now:
        proven = None
        if self.confirmed is not None:
            proven = self.confirmed[0] + timedelta(seconds=self.clocks[1] - self.confirmed[1])
        return Now(*self.clocks, proven, self.clock_is_off)

    @property
    def state(self) -> LoginState:
        return self.decision.state

    @property
    def idle(self) -> bool:
        return self.state.stage not in (Stage.STARTING, Stage.ATTEMPTING) and not self.removing

    @property
    def shown(self) -> list[Report]:
        return [action for action in self.decision.actions if isinstance(action, Report)]

    def new_id(self) -> str:
        self.numbers += 1
        return f"id-{self.numbers}"

    def give(self, event: Event) -> None:
        """Let the machine decide, and hold what must be true of every decision."""
        if self.rejected_until is not None and self.rejected_until.left(*self.clocks) <= 0:
            self.rejected_until = None
        before, self.decision = self.state, decide(self.state, event, self.now, RULES)
        for action in self.decision.actions:
            if isinstance(action, Attempt):
                assert self.rejected_until is None, "a rejected password was sent again"
                self.asked = self.asked or self.pending
                assert action.take_over is self.asked, "only what was asked for takes over, until it succeeds"
                assert action.force is (self.pending or before.attempts == 0)
                due = before.renewal is not None and before.renewal.left(*self.clocks) <= 0
                assert action.renew is (self.asked or due)
                self.pending = False
            if isinstance(action, Remove):
                assert before.expiry is not None
                assert self.now.proves(before.expiry.at), "a login was removed that may be valid"
                self.removing = True
        if self.state.stage is Stage.NO_DOCKER:
            self.pending = False  # the status answers it: the registry is skipped
        self.every_wait_ends()
        self.a_valid_login_is_never_called_failed()
        if self.waits_for is not None and self.state.attempt_id == self.waits_for:
            answered = self.state.stage in (Stage.ATTEMPTING, Stage.NO_DOCKER)
            self.waits_for = None if answered else self.waits_for

    def every_wait_ends(self) -> None:
        """Told by the clocks at the moment of the decision: a clock that is set wakes the login."""
        state, wake_at = self.state, self.decision.wake_at
        if state.stage in (Stage.DUE, Stage.RETRYING) and not self.removing:
            assert wake_at is not None
            assert state.retry is None or wake_at.left(*self.clocks) <= max(0.0, state.retry.left(*self.clocks))
        if state.stage is Stage.LOGGED_IN and state.renewal is not None:
            assert wake_at is not None
            assert wake_at.left(*self.clocks) <= max(0.0, state.renewal.left(*self.clocks))

    def a_valid_login_is_never_called_failed(self) -> None:
        """Told by the clocks at the moment of the decision: later, a server may say that the clock is off."""
        if self.state.is_valid(self.now) and self.state.stage is Stage.RETRYING:
            assert (self.state.status is State.LOGGED_IN) is (self.state.unusable is None)
            assert not any(problem.code == "token_expired" for each in self.shown for problem in each.problems)

    def move(self, span: timedelta) -> None:
        self.clocks = (self.clocks[0] + span, self.clocks[1] + span.total_seconds())

    @initialize(ends_in=st.none() | spans, holds=st.booleans(), rejected=st.booleans(), ahead=spans)
    def begin(self, ends_in: timedelta | None, holds: bool, rejected: bool, ahead: timedelta) -> None:
        expiry = Deadline.after(ends_in, *self.clocks) if ends_in is not None else None
        self.decision = Decision(LoginState(HOST, expiry=expiry))
        if rejected:
            self.rejected_until = Deadline.after(ahead, *self.clocks)
        self.give(Verified(holds, (PROBLEMS[0], ahead) if rejected else None))

    @rule(span=spans)
    def time_passes(self, span: timedelta) -> None:
        self.move(span)

    @rule(span=st.timedeltas(timedelta(days=-400), timedelta(days=400)))
    def the_wall_clock_is_set(self, span: timedelta) -> None:
        self.clocks = (self.clocks[0] + span, self.clocks[1])

    @rule(agrees=st.booleans())
    def a_server_tells_the_time(self, agrees: bool) -> None:
        self.clock_is_off = not agrees
        if agrees:
            self.confirmed = self.clocks

    @precondition(lambda self: self.idle)
    @rule(problem=docker, unusable=unusables)
    def something_changes(self, problem: str | None, unusable: Problem | None) -> None:
        self.give(Woken(self.new_id(), problem, unusable=unusable))
        renewal_fails = [p for each in self.shown for p in each.problems if p.code == "renewal_failing"]
        assert unusable is None or not renewal_fails, "that would promise that pulls still work"

    @precondition(lambda self: self.idle)
    @rule(problem=docker)
    def the_wake_up_comes(self, problem: str | None) -> None:
        if self.decision.wake_at is not None:
            self.move(timedelta(seconds=max(0.0, self.decision.wake_at.left(*self.clocks))))
            self.give(Woken(self.new_id(), problem, unusable=self.state.unusable))
            following = self.decision
            next_wake = following.wake_at
            assert next_wake is None or next_wake.left(*self.clocks) > 0 or self.removing, "it wakes without end"

    @rule(problem=docker)
    def somebody_requests_an_attempt(self, problem: str | None) -> None:
        self.waits_for, self.pending = self.new_id(), True
        self.rejected_until = None  # a person may send a rejected password again
        self.give(Requested(self.waits_for, problem))

    @precondition(lambda self: self.state.stage is Stage.ATTEMPTING)
    @rule(life=st.none() | spans, renewable=st.booleans(), clock_is_off=st.booleans(), unusable=unusables)
    def the_attempt_succeeds(
        self, life: timedelta | None, renewable: bool, clock_is_off: bool, unusable: Problem | None
    ) -> None:
        ends = self.now.wall + life if life is not None else None
        renew = ends and life and renewable and self.now.wall + life / 2
        check_in = timedelta(hours=6) if life is None else None
        problems = PROBLEMS[3:] if clock_is_off else ()
        event = Succeeded(ends, renew or None, problems=problems, check_in=check_in, unusable=unusable)
        without_history = decide(started_like(self.state), event, self.now, RULES)
        self.give(event)
        assert self.decision == without_history
        self.asked = False
        assert (self.state.status is State.LOGGED_IN) is (unusable is None)

    @precondition(lambda self: self.state.stage is Stage.ATTEMPTING)
    @rule(problem=st.sampled_from(PROBLEMS), wait=st.timedeltas(timedelta(), timedelta(minutes=5)), unusable=unusables)
    def the_attempt_fails(self, problem: Problem, wait: timedelta, unusable: Problem | None) -> None:
        if problem.retry_class is RetryClass.REJECTED:
            wait = REJECTED_WAIT
            self.rejected_until = Deadline.after(wait, *self.clocks) if self.state.requested_id is None else None
        self.give(Failed(problem, wait, unusable=unusable))

    @precondition(lambda self: any(isinstance(action, Check) for action in self.decision.actions))
    @rule(check_in=st.none() | spans, log_in_again=st.booleans())
    def the_registry_is_asked(self, check_in: timedelta | None, log_in_again: bool) -> None:
        self.give(Checked(check_in, log_in_again))
        assert (self.state.status is State.LOGGED_IN) is (self.state.unusable is None)

    @precondition(lambda self: any(isinstance(action, Check) for action in self.decision.actions))
    @rule()
    def the_registry_refuses_the_stored_login(self) -> None:
        self.rejected_until = Deadline.after(REJECTED_WAIT, *self.clocks)
        self.give(Refused(PROBLEMS[0], REJECTED_WAIT))

    @precondition(lambda self: self.removing)
    @rule(fails=st.booleans())
    def the_removal_ends(self, fails: bool) -> None:
        self.removing = False
        self.give(RemovalFailed(CredentialStoreFailed(HOST, "it hangs")) if fails else Removed(was_ours=True))

    @rule(
        event=st.sampled_from(
            [
                *(Verified(holds_login=True), Succeeded(), Failed(PROBLEMS[1], None), Removed(True)),
                *(Checked(None), Refused(PROBLEMS[0], REJECTED_WAIT)),
            ]
        )
    )
    def an_event_comes_at_the_wrong_time(self, event: Event) -> None:
        belongs: dict[type[Any], bool] = {
            Checked: self.state.stage is Stage.LOGGED_IN,
            Refused: self.state.stage is Stage.LOGGED_IN,
            Verified: self.state.stage is Stage.STARTING,
            Removed: self.state.stage is Stage.RETRYING,
        }
        if not belongs.get(type(event), self.state.stage is Stage.ATTEMPTING):
            before = self.decision.state
            assert decide(before, event, self.now, RULES).state == before

    @invariant()
    def a_requested_attempt_is_answered_or_kept(self) -> None:
        assert self.waits_for in (None, self.state.requested_id)
        if self.waits_for is not None and self.idle:
            assert self.decision.wake_at is not None
            assert self.decision.wake_at.left(*self.clocks) <= 0


TestLogin = Login.TestCase


def started_like(state: LoginState) -> LoginState:
    """The same attempt, without anything that happened before it."""
    fresh = LoginState(HOST, Stage.ATTEMPTING, attempts=state.attempts)
    return replace(fresh, attempt_id=state.attempt_id, requested_id=state.requested_id)


def ends(state: LoginState, event: Event, seconds: float = 0.0) -> Decision:
    wall = EPOCH + timedelta(seconds=seconds)
    return decide(state, event, Now(wall, seconds, proven=wall), RULES)


def test_a_login_from_secret_to_renewal() -> None:
    """Verified, attempted, logged in, renewed at the time that AWS's token asks for."""
    due = ends(LoginState(HOST), Verified(holds_login=False))
    assert due.state.stage is Stage.DUE
    started = ends(due.state, Woken("a"))
    assert started.actions == (Attempt(renew=False, force=True, take_over=False),)
    good = ends(started.state, Succeeded(EPOCH + timedelta(hours=12), EPOCH + timedelta(hours=6)))
    assert (good.state.status, good.actions) == (State.LOGGED_IN, (Report(()),))
    assert good.wake_at == Deadline.when(EPOCH + timedelta(hours=6), EPOCH, 0.0)
    again = ends(good.state, Woken("b"), 6 * 3600)
    assert (again.state.attempt_id, again.actions) == ("b", (Attempt(renew=True, force=False, take_over=False),))


def test_a_renewal_that_fails_until_the_token_ends() -> None:
    """A warning, an error in the last hour, and at the end the login is removed."""
    good = LoginState(HOST, Stage.ATTEMPTING, State.LOGGED_IN, expiry=Deadline.after(timedelta(hours=2), EPOCH, 0.0))
    unreachable = PROBLEMS[1]
    failing = ends(good, Failed(unreachable, timedelta(days=1)))
    assert [problem.severity for problem in reported(failing)] == [Severity.WARNING, Severity.WARNING]
    urgent = ends(failing.state, Woken("x"), 3600)
    assert [problem.severity for problem in reported(urgent)] == [Severity.WARNING, Severity.ERROR]
    over = ends(urgent.state, Woken("x"), 7200)
    assert [problem.code for problem in reported(over)] == ["registry_unreachable", "token_expired"]
    assert (over.state.status, over.actions[-1]) == (State.EXPIRED, Remove())


def test_a_failing_renewal_of_an_hourly_token_is_a_warning_at_first() -> None:
    """Although the token ends within the last hour that `renewal.urgent_window_s` means."""
    started = LoginState(HOST, Stage.ATTEMPTING)
    good = ends(started, Succeeded(EPOCH + timedelta(hours=1), EPOCH + timedelta(minutes=30)))
    due = ends(good.state, Woken("a"), 1800)
    failing = ends(due.state, Failed(PROBLEMS[1], timedelta(days=1)), 1800)
    assert [problem.severity for problem in reported(failing)] == [Severity.WARNING, Severity.WARNING]
    assert failing.wake_at == Deadline.when(EPOCH + timedelta(minutes=45), EPOCH + timedelta(minutes=30), 1800)
    urgent = ends(failing.state, Woken("x"), 2700)
    assert [problem.severity for problem in reported(urgent)] == [Severity.WARNING, Severity.ERROR]


def test_a_failing_renewal_sleeps_after_each_change_to_the_microsecond() -> None:
    """Where the difference of two clocks is a little off, as floats are, it would wake again and again."""
    started = LoginState(HOST, Stage.ATTEMPTING)
    good = ends(started, Succeeded(EPOCH + timedelta(microseconds=15), EPOCH + timedelta(microseconds=8)))
    yesterday = Now(EPOCH - timedelta(days=1), 0.0)
    failing = decide(replace(good.state, stage=Stage.ATTEMPTING), Failed(PROBLEMS[1], None), yesterday, RULES)
    assert failing.wake_at is not None
    change = failing.wake_at.monotonic
    later = decide(failing.state, Woken("a"), Now(failing.wake_at.at, change), RULES)
    assert later.wake_at is not None
    assert later.wake_at.monotonic > change


def test_a_removal_that_fails_shows_a_login_that_works_again() -> None:
    """A server has shown meanwhile that the wall clock was ahead: the login has not ended."""
    ahead = EPOCH + timedelta(days=1)
    state = LoginState(HOST, Stage.RETRYING, State.EXPIRED, expiry=Deadline(ahead, 86400.0), problem=PROBLEMS[1])
    event = RemovalFailed(CredentialStoreFailed(HOST, "it hangs"))
    assert decide(state, event, Now(EPOCH, 0.0, EPOCH), RULES).state.status is State.LOGGED_IN


def test_a_login_that_docker_cannot_use_is_not_logged_in_until_it_can() -> None:
    """A token that is still valid changes nothing, and its renewal is not promised to be in time. Then it is tried."""
    invalid = ConfigInvalid(HOST, "config.json is not valid")
    started = LoginState(HOST, Stage.ATTEMPTING, expiry=Deadline.after(timedelta(hours=2), EPOCH, 0.0))
    failed = ends(started, Failed(invalid, timedelta(minutes=5), unusable=invalid, unstored=True))
    assert (failed.state.status, reported(failed)) == (State.RETRYING, (invalid,))
    assert ends(failed.state, Woken("a", unusable=invalid, unstored=True), 1).actions == ()
    assert ends(failed.state, Woken("a"), 1).actions == (Attempt(renew=False, force=True, take_over=False),)
    elsewhere = ends(started, Failed(PROBLEMS[1], timedelta(minutes=5), unusable=invalid))
    back = ends(elsewhere.state, Woken("a"), 1)
    assert (back.state.status, [problem.code for problem in reported(back)]) == (
        State.LOGGED_IN,
        ["registry_unreachable", "renewal_failing"],
    )


def test_a_token_that_works_past_its_end_is_not_well() -> None:
    """A ready token from 2015, on a registry that does not look at its end. A token that is renewed next is none."""
    started = LoginState(HOST, Stage.ATTEMPTING)
    old = ends(started, Succeeded(EPOCH.replace(year=2015)))
    assert (old.state.status, [problem.code for problem in reported(old)]) == (State.LOGGED_IN, ["token_expired"])
    assert "2015-01-01" in reported(old)[0].message
    assert reported(ends(started, Succeeded(EPOCH + timedelta(hours=1)))) == ()
    assert reported(ends(started, Succeeded(EPOCH.replace(year=2015), EPOCH + timedelta(seconds=5)))) == ()
    unknown = Now(EPOCH, 0.0, clock_is_off=True)
    assert reported(decide(started, Succeeded(EPOCH - timedelta(hours=1)), unknown, RULES)) == ()


def test_a_login_that_docker_uses_and_the_registry_refuses_is_rejected() -> None:
    refused = LoginRejected(HOST, "it refuses the login in DOCKER_AUTH_CONFIG")
    good = ends(LoginState(HOST, Stage.ATTEMPTING), Succeeded(unusable=refused))
    assert (good.state.status, good.state.last_error) == (State.REJECTED, refused.message)
    back = ends(good.state, Woken("a"))
    assert (back.state.status, back.state.last_error, back.actions) == (State.LOGGED_IN, None, ())


def reported(decision: Decision) -> tuple[Problem, ...]:
    report = decision.actions[0]
    assert isinstance(report, Report)
    return report.problems


def test_a_refused_token_does_not_work_because_the_next_login_fails() -> None:
    """The registry gave the token for a password, which may still work. Until it does, nothing is logged in."""
    refused = ends(LoginState(HOST, Stage.LOGGED_IN, has_logged_in=True), Checked(None, log_in_again=True))
    trying = ends(refused.state, Woken("a"))
    assert ends(trying.state, Failed(PROBLEMS[1], timedelta(minutes=1))).state.status is State.RETRYING


def test_a_refused_password_does_not_work_because_the_registry_is_down_later() -> None:
    """As long as the registry has not accepted it, nobody knows that the next pull works."""
    refused = ends(LoginState(HOST, Stage.LOGGED_IN, has_logged_in=True), Refused(PROBLEMS[0], timedelta(minutes=30)))
    assert refused.state.status is State.REJECTED
    trying = replace(refused.state, stage=Stage.ATTEMPTING)
    assert ends(trying, Failed(PROBLEMS[1], timedelta(minutes=1))).state.status is State.RETRYING


def test_a_login_that_ends_while_docker_is_missing_is_removed() -> None:
    """Also if the retry and the end come at the same moment, as after a suspend. Then the registry is skipped."""
    over = Deadline.after(timedelta(hours=-1), EPOCH, 0.0)
    state = LoginState(HOST, Stage.RETRYING, expiry=over, retry=over, has_logged_in=True)
    trying = ends(state, Woken("a", NO_DOCKER)).state
    assert trying.stage is Stage.ATTEMPTING
    failed = ends(trying, Failed(DockerCliMissing(HOST, NO_DOCKER), timedelta()))
    assert failed.actions[-1] == Remove()
    assert [problem.code for problem in reported(failed)] == ["docker_cli_missing", "token_expired"]
    removed = ends(failed.state, Removed(was_ours=True)).state
    assert ends(removed, Woken("b", NO_DOCKER)).state.stage is Stage.NO_DOCKER


def test_without_docker_a_request_is_answered_by_a_skip() -> None:
    """Whoever requested the attempt learns that there is none."""
    waiting = ends(LoginState(HOST, Stage.DUE), Woken("a", NO_DOCKER))
    assert (waiting.state.status, waiting.actions) == (State.SKIPPED, (Skip(NO_DOCKER),))
    answered = ends(waiting.state, Requested("b", NO_DOCKER))
    assert (answered.state.attempt_id, answered.state.requested_id) == ("b", None)
    back = ends(answered.state, Woken("c"))
    assert (back.state.status, back.actions) == (State.PENDING, (Attempt(renew=False, force=True, take_over=False),))


def test_each_expiry_is_removed_once() -> None:
    """A login that came back after its expiry is valid again, and is removed again when it expires."""
    state, hours = LoginState(HOST, Stage.DUE), 0
    for _ in range(3):
        started = ends(state, Woken("a"), hours * 3600)
        good = ends(started.state, Succeeded(EPOCH + timedelta(hours=hours + 1)), hours * 3600)
        assert good.state.status is State.LOGGED_IN
        trying = ends(good.state, Woken("b"), (hours + 2) * 3600)
        over = ends(trying.state, Failed(PROBLEMS[1], timedelta(seconds=1)), (hours + 2) * 3600)
        assert over.actions[-1] == Remove()
        gone = ends(over.state, Removed(was_ours=True), (hours + 2) * 3600)
        hours += 3
        again = ends(gone.state, Woken("c"), hours * 3600)
        still = ends(again.state, Failed(PROBLEMS[1], timedelta(seconds=1)), hours * 3600)
        assert (still.state.status, Remove() in still.actions) == (State.EXPIRED, False)
        assert still.wake_at == still.state.retry
        state = still.state
        hours += 1


def test_an_end_that_becomes_proven_later_is_noticed() -> None:
    """Even if the next attempt is days away: a suspended machine gets its time confirmed by another registry."""
    good = LoginState(HOST, Stage.ATTEMPTING, State.LOGGED_IN, expiry=Deadline.after(timedelta(hours=2), EPOCH, 0.0))
    late, a_day = EPOCH + timedelta(hours=3), timedelta(days=1)
    unproven = decide(good, Failed(PROBLEMS[1], a_day), Now(late, 60.0), RULES)
    assert (unproven.state.status, Remove() in unproven.actions) == (State.EXPIRED, False)
    assert unproven.wake_at == Deadline.after(RULES.max_wait, late, 60.0)
    later = late + RULES.max_wait
    proven = decide(unproven.state, Woken("a"), Now(later, 360.0, proven=later), RULES)
    assert proven.actions[-1] == Remove()
    lagging = Now(late, 60.0, proven=EPOCH + timedelta(hours=2, seconds=-3))
    soon = decide(good, Failed(PROBLEMS[1], a_day), lagging, RULES)
    assert soon.wake_at == Deadline.after(timedelta(seconds=3), late, 60.0)


def test_a_success_leaves_nothing_of_what_was_before() -> None:
    """A request and its right to take over, failures, an expiry, a removal: the next login starts afresh."""
    requested = ends(LoginState(HOST, Stage.DUE), Requested("a"))
    assert requested.actions == (Attempt(renew=True, force=True, take_over=True),)
    failed = ends(requested.state, Failed(PROBLEMS[1], timedelta(seconds=1)))
    retried = ends(failed.state, Woken("b"), 1)
    assert retried.actions == (Attempt(renew=True, force=False, take_over=True),)
    assert (retried.state.retry, retried.wake_at) == (None, None), "the wait is over while the attempt runs"
    event = Succeeded(EPOCH + timedelta(hours=2), EPOCH + timedelta(hours=1))
    good = ends(retried.state, event, 1)
    assert good == ends(started_like(retried.state), event, 1)
    assert (good.state.failures, good.state.last_error, good.state.attempts) == (0, None, 2)
    renewal = ends(good.state, Woken("c"), 3600)
    assert renewal.actions == (Attempt(renew=True, force=False, take_over=False),)
    assert renewal.state.attempt_id == "c"


def test_a_program_that_needs_a_longer_login_gets_another_token() -> None:
    """Without the rights of a person's request: earlier failures still count, and a person's login stays."""
    good = ends(LoginState(HOST, Stage.ATTEMPTING), Succeeded(EPOCH + timedelta(hours=12), EPOCH + timedelta(hours=6)))
    needed = ends(good.state, Woken("b", needed=True), 60)
    assert needed.actions == (Attempt(renew=True, force=True, take_over=False),)
    failed = ends(needed.state, Failed(PROBLEMS[1], timedelta(seconds=1)), 70)
    retried = ends(failed.state, Woken("c"), 71)
    assert retried.actions == (Attempt(renew=True, force=False, take_over=False),), "its retries get another one, too"


def test_a_program_causes_no_retry_after_a_failure() -> None:
    """Fifty pulls must not become fifty attempts with a wrong password."""
    failing = ends(LoginState(HOST, Stage.ATTEMPTING), Failed(PROBLEMS[1], timedelta(hours=1)))
    assert ends(failing.state, Woken("b", needed=True), 60).actions == ()
