"""What a login does next: a pure state machine. `services/login.py` carries out its actions and feeds it events.

`decide` lists which event counts in which stage. docs/ARCHITECTURE.md draws it, and a test holds the whole table.

While Docker holds a login that works, or one that has ended and is not removed yet, an attempt starts even if docker is
missing, and its failure says so. Otherwise an attempt that is due leads to NO_DOCKER. An event that does not belong to
a stage changes nothing. A request is kept.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from agent.model.deadline import Deadline
from agent.model.hints import PUT_NEW_TOKEN
from agent.model.login_events import (
    Action,
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
from agent.model.problem import Problem, RetryClass
from agent.model.problems.environment import DockerCliMissing, NotDockersCli
from agent.model.problems.stored_login import RenewalFailing, TokenExpired
from agent.model.renewal import expired, severity_of_failing
from agent.model.status import State
from agent.model.stored_state import StoredLogin


class Decision(NamedTuple):
    """The new state, what to do in this order, and when to wake the login at the latest; None: an event wakes it."""

    state: LoginState
    actions: tuple[Action, ...] = ()
    wake_at: Deadline | None = None


def decide(state: LoginState, event: Event, now: Now, rules: Rules) -> Decision:
    """The one decision: pure, and defined for every state and event."""
    match event, state.stage:
        case Requested(), _:
            decision = _requested(state, event, now)
        case Verified(), Stage.STARTING:
            decision = _verified(state, event, now, rules)
        case Woken(), Stage.DUE | Stage.NO_DOCKER | Stage.RETRYING | Stage.LOGGED_IN:
            decision = _woken(state, event, now, rules)
        case Succeeded(), Stage.ATTEMPTING:
            decision = _succeeded(state, event, now, rules)
        case Checked(), Stage.LOGGED_IN:
            asked = replace(state, check=now.after(event.check_in) if event.check_in is not None else None)
            refused = replace(asked, stage=Stage.DUE, has_logged_in=False)
            decision = _wait(refused if event.log_in_again else asked, (), now)
        case Refused(), Stage.LOGGED_IN:
            refused = replace(state, failures=state.failures + 1, retry=now.after(event.retry_in))
            decision = _fail(refused, event.problem, now, rules)
        case Failed(), Stage.ATTEMPTING:
            retry = now.after(event.retry_in) if event.retry_in is not None else None
            failures = state.failures + 1
            failed = replace(state, failures=failures, retry=retry, unusable=event.unusable, unstored=event.unstored)
            decision = _fail(_with_end_of(event.held, failed, now), event.problem, now, rules)
        case Removed(), Stage.RETRYING:
            decision = _wait(replace(state, removed=True), (), now)
        case RemovalFailed(), Stage.RETRYING:
            # Meanwhile a server may have shown that the login has not ended yet.
            again = replace(state, status=_status(state, now), next_change=now.after(rules.max_wait))
            decision = _wait(again, (Report((*_problems(again, now, rules), event.problem)),), now)
        case _:
            decision = _wait(state, (), now)
    return decision


def _verified(state: LoginState, event: Verified, now: Now, rules: Rules) -> Decision:
    state = _with_end_of(event.held, replace(state, unusable=event.unusable), now)
    if not event.holds_login:
        state = replace(state, expiry=None, has_logged_in=False)
    # A person's request does not wait, whichever secret it was made for.
    if event.rejection is None or state.requested_id is not None:
        return _wait(replace(state, stage=Stage.DUE), (), now)
    problem, wait = event.rejection
    return _fail(replace(state, retry=now.after(wait)), problem, now, rules)


def _requested(state: LoginState, event: Requested, now: Now) -> Decision:
    state = replace(state, requested_id=event.attempt_id)
    if state.stage in (Stage.STARTING, Stage.ATTEMPTING):
        return _wait(state, (), now)
    return _start(state, event.docker_problem, now)


def _woken(state: LoginState, event: Woken, now: Now, rules: Rules) -> Decision:
    store_is_back = state.unstored and not event.unstored
    before, state = state, replace(state, unusable=event.unusable, foreign=event.foreign)
    state = _with_end_of(event.held, state, now, new=store_is_back)
    if event.gone:
        state = replace(state, expiry=None, has_logged_in=False)
    if event.unusable != before.unusable and state.stage is Stage.LOGGED_IN:
        state = _logged_in_or_unusable(state)
    if state.stage in (Stage.DUE, Stage.LOGGED_IN):
        wanted = state.stage is Stage.DUE or state.requested_id is not None or state.clock_is_off
        due = wanted or event.source_changed or _is_past(state.renewal, now) or _is_past(state.reattempt, now)
        if due or event.needed:
            return _start(replace(state, attempt_id=event.new_id), event.docker_problem, now, needed=event.needed)
        ask = (Check(),) if _is_past(state.check, now) else ()
        return _wait(replace(state, check=None) if ask else state, ask, now)
    docker_is_back = event.docker_problem is None and isinstance(state.problem, DockerCliMissing | NotDockersCli)
    if (
        state.stage is Stage.NO_DOCKER
        or state.requested_id is not None
        or docker_is_back
        or store_is_back
        or event.source_changed
        or _is_past(state.retry, now)
    ):
        return _start(state, event.docker_problem, now)
    # The status differs if the clock was set, or is believed again.
    status_differs = _status(state, now) is not state.status
    news = (state.unusable, state.foreign, state.expiry) != (before.unusable, before.foreign, before.expiry)
    changed = event.gone or news or status_differs or _is_past(state.next_change, now)
    return _refresh(state, now, rules) if changed else _wait(state, (), now)


def _with_end_of(held: StoredLogin | None, state: LoginState, now: Now, *, new: bool = False) -> LoginState:
    """Take over when the login that Docker holds ends. The reconciler may have stored another one than it held before.

    `new`: that has just happened. Otherwise, the end of a login that is gone or removed is no news.
    """
    holds = (state.expiry is not None or state.has_logged_in) and not state.removed
    if held is None or not (holds or new):
        return state
    unchanged = state.expiry is not None and state.expiry.at == held.expires_at
    return replace(state, expiry=state.expiry if unchanged else _deadline(held.expires_at, now), removed=False)


def _logged_in_or_unusable(state: LoginState) -> LoginState:
    """The store is repaired by the reconciler, so there is no attempt. Only the status must not promise a pull."""
    status, error = (_failed(state.unusable), state.unusable.message) if state.unusable else (State.LOGGED_IN, None)
    return replace(state, status=status, last_error=error)


def _start(state: LoginState, docker_problem: str | None, now: Now, *, needed: bool = False) -> Decision:
    attempt_id = state.requested_id or state.attempt_id
    state, requested = replace(state, attempt_id=attempt_id, requested_id=None, retry=None), state.requested_id
    if needed:
        # The retries must get another token too: with the stored one, they would seem to succeed.
        state = replace(state, renewal=now.after(timedelta()))
    # A login that has ended is reported and removed like any other: nothing else would do so until docker is back.
    has_ended = state.end is not None and not state.removed
    if docker_problem is not None and not state.holds_login(now) and not has_ended:
        skipped = replace(state, stage=Stage.NO_DOCKER, status=State.SKIPPED, last_error=docker_problem)
        actions = () if state.status is State.SKIPPED else (Skip(docker_problem),)
        return _wait(replace(skipped, first_attempt_done=True), actions, now)
    take_over = state.take_over or requested is not None
    action = Attempt(
        renew=take_over or _is_past(state.renewal, now),
        # A person's request and a secret's first use do not wait for earlier failures.
        force=requested is not None or state.attempts == 0,
        take_over=take_over,
    )
    status = State.PENDING if state.status is State.SKIPPED else state.status
    attempts = state.attempts + 1
    return Decision(
        replace(state, stage=Stage.ATTEMPTING, status=status, take_over=take_over, attempts=attempts), (action,)
    )


def _succeeded(state: LoginState, event: Succeeded, now: Now, rules: Rules) -> Decision:
    ends = event.expires_at
    due = event.renew_at if event.renew_at is not None or expired(ends, now.wall) else ends
    reattempt_in = _reattempt_in(event, now, rules)
    fresh = LoginState(
        state.hostname,
        stage=Stage.LOGGED_IN,
        status=State.LOGGED_IN,
        attempt_id=state.attempt_id,
        requested_id=state.requested_id,
        attempts=state.attempts,
        has_logged_in=True,
        expiry=_deadline(ends, now),
        renewal=_deadline(due, now),
        reattempt=now.after(reattempt_in) if reattempt_in is not None else None,
        check=now.after(event.check_in) if event.check_in is not None else None,
        clock_is_off=bool(event.problems),
        first_attempt_done=True,
        unusable=event.unusable,
        foreign=event.foreign,
    )
    return _wait(_logged_in_or_unusable(fresh), (Report((*event.problems, *_past_its_end(fresh, event, now))),), now)


def _past_its_end(state: LoginState, event: Succeeded, now: Now) -> tuple[Problem, ...]:
    """A token that cannot be renewed has ended. A registry may accept it all the same, but pulls can fail any time."""
    if event.renew_at is not None or state.end is None or now.left(state.end) > 0:
        return ()
    host = state.hostname
    message = f"the token for {host} expired at {state.end.at:%Y-%m-%d %H:%M} UTC, although {host} still accepts it"
    return (TokenExpired(host, message, hint=PUT_NEW_TOKEN),)


def _reattempt_in(event: Succeeded, now: Now, rules: Rules) -> timedelta | None:
    """When to try a login again that works: while the clock is off, or if its token works past its end."""
    if event.renew_at is None and event.expires_at is not None and event.expires_at <= now.wall:
        # The registry's clock may be a little behind ours: check often soon after the end, then less often.
        return min(max(now.wall - event.expires_at, rules.first_wait), rules.max_wait)
    return rules.max_wait if event.problems else None


def _fail(state: LoginState, problem: Problem, now: Now, rules: Rules) -> Decision:
    # The next failure may have another cause. It must not make a refused password look like a login that works.
    refused = problem.retry_class is RetryClass.REJECTED and state.expiry is None
    state = replace(state, has_logged_in=state.has_logged_in and not refused, first_attempt_done=True)
    failed = replace(state, stage=Stage.RETRYING, problem=problem, last_error=problem.message)
    return _refresh(failed, now, rules)


def _refresh(state: LoginState, now: Now, rules: Rules) -> Decision:
    """Report what the failure means for the login that Docker holds: valid, about to expire, or expired."""
    state = replace(state, status=_status(state, now), next_change=state.change_ahead(now, rules))
    # The status follows the clock that there is. A login is removed only if its end is proven: it may still work.
    remove = (Remove(),) if state.end and now.proves(state.end.at) and not state.removed else ()
    return _wait(state, (Report(_problems(state, now, rules)), *remove), now)


def _status(state: LoginState, now: Now) -> State:
    if state.end is not None and not state.is_valid(now):
        return State.EXPIRED
    if state.unusable is not None:
        return _failed(state.unusable)
    if state.end is not None:
        return State.LOGGED_IN
    if state.expiry is None and state.problem is not None and _failed(state.problem) is State.REJECTED:
        return State.REJECTED
    return State.LOGGED_IN if state.has_logged_in else State.RETRYING


def _failed(cause: Problem) -> State:
    return State.REJECTED if cause.retry_class is RetryClass.REJECTED else State.RETRYING


def _problems(state: LoginState, now: Now, rules: Rules) -> tuple[Problem, ...]:
    host, problem = state.hostname, state.problem
    shown = problem if problem is None or state.holds_login(now) else problem.without_login()
    cause = (shown,) if shown is not None else ()
    if state.end is None:
        return cause
    if not state.is_valid(now):
        return (*cause, TokenExpired(host, f"the login for {host} has expired and could not be renewed"))
    if state.unusable is not None:
        return cause  # RenewalFailing would promise that pulls still work
    ends = state.end.at
    message = f"the login for {host} works until {ends:%Y-%m-%d %H:%M} UTC, but its renewal fails"
    known = now.proven if now.clock_is_off and now.proven else now.wall
    severity = severity_of_failing(ends, known, state.urgent_window(rules))
    return (*cause, RenewalFailing(host, message, severity=severity))


def _wait(state: LoginState, actions: tuple[Action, ...], now: Now) -> Decision:
    """Stay, until the earliest of the moments that matter in this stage."""
    at_once = now.after(timedelta())
    moments: tuple[Deadline | None, ...] = ()
    if state.stage is Stage.DUE or (
        state.requested_id is not None and state.stage in (Stage.RETRYING, Stage.LOGGED_IN)
    ):
        moments = (at_once,)
    elif state.stage is Stage.RETRYING:
        moments = (state.retry, state.next_change)
    elif state.stage is Stage.LOGGED_IN:
        moments = (state.renewal, state.reattempt, state.check)
    known = [moment for moment in moments if moment is not None]
    return Decision(state, actions, min(known, key=now.until, default=None))


def _deadline(moment: datetime | None, now: Now) -> Deadline | None:
    return Deadline.when(moment, now.wall, now.monotonic) if moment is not None else None


def _is_past(deadline: Deadline | None, now: Now) -> bool:
    return deadline is not None and now.until(deadline) <= 0
