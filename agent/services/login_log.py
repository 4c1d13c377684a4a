"""The events of a login in the log."""

from collections.abc import Mapping

from agent.model.login_events import Event, Failed, LoginState, Refused, Removed, Stage, Succeeded, Verified
from agent.services.ports import Log


def log_event(log: Log, event: Event, state: LoginState, fields: Mapping[str, str | None]) -> None:
    """Log what has happened to a login, and the attempt that begins now. `state` is the one that follows the event."""
    match event:
        case Succeeded():
            times = {"expires_at": event.expires_at, "renew_at": event.renew_at, "seconds": round(event.seconds, 3)}
            log.info("login.succeeded", **fields, stored_in=event.stored_in, **times)
        case Failed(problem):
            wait_s = round(event.retry_in.total_seconds(), 1) if event.retry_in is not None else None
            said = {"code": problem.code, "message": problem.message, "seconds": round(event.seconds, 3)}
            log.info("login.failed", **fields, **said, failures=state.failures, wait_s=wait_s)
        case Refused(problem, retry_in):
            wait_s = round(retry_in.total_seconds(), 1)
            log.info("login.refused", **fields, code=problem.code, message=problem.message, wait_s=wait_s)
        case Verified(rejection=(problem, _)) if state.retry is not None:
            log.info("login.deferred", **fields, code=problem.code, not_before=state.retry.at)
        case Removed(was_ours):
            log.info("login.expired", **fields, taken_out=was_ours)
    if state.stage is Stage.ATTEMPTING:
        log.debug("login.started", **fields, attempt=state.attempts)
