"""All events that the agent logs, with the question that each answers. A test compares them with docs/logs.md."""

from collections.abc import Mapping
from typing import Final

FIXED_FIELDS: Final = frozenset({"time", "level", "event", "code", "needs"})
"""The fields whose values are the agent's own names. They are never redacted: a password may be such a word."""

EVENTS: Final[Mapping[str, str]] = {
    "agent.starting": "Which version started, as which user, with which directories?",
    "agent.ready": "When did the status endpoint start to answer?",
    "agent.locked_out": "Which Docker configuration does another agent already manage?",
    "agent.stopping": "What made the agent stop?",
    "agent.stopped": "Did the agent stop cleanly?",
    "agent.crashed": "Which internal error stopped the agent?",
    "state.unusable": "Why can the agent not read or save its state?",
    "sandbox.lost": "Which directory disappeared, so that systemd must restart the agent to let it write there?",
    "settings.reloaded": "Did SIGHUP apply the new settings, or which faults kept the old ones?",
    "status.listening": "At which address does the status endpoint listen?",
    "status.request_failed": "Which request could the agent not answer, and why?",
    "clock.jumped": "Did the machine sleep, or was its clock changed?",
    "log.dropped": "How many lines were lost because nothing read them?",
    "library.warned": "What did a library complain about, and where?",
    "secrets.changed": "Which secrets were added, removed or changed?",
    "plan.changed": "Which registries does the agent log in to now, and which does it skip?",
    "tools.changed": "Which docker and aws are installed, and does an engine answer?",
    "warning.raised": "What went wrong, and who needs to act?",
    "warning.cleared": "When was the problem resolved?",
    "login.started": "When did the attempt start?",
    "login.succeeded": "When did the login succeed, how long is it valid, and where is it stored?",
    "login.failed": "Why did the login fail, how often in a row, and when is the next attempt?",
    "login.deferred": "Why does the agent not try this login yet?",
    "login.skipped": "Why does the agent skip this registry?",
    "login.expired": "When did the agent remove an expired login from Docker's configuration?",
    "login.removed": "When did the agent remove a login because its secret is gone?",
    "login.crashed": "Which internal error interrupted a login?",
    "token.obtained": "Which identity got a token from AWS, and how long is it valid?",
    "token.failed": "Why did AWS give no token, and when is the next attempt?",
    "report.sent": "Which revision of the status did the receiver accept?",
    "report.failed": "Why was a report not accepted?",
    "login.stored": "Where was a login stored?",
    "login.restored": "Which login did the agent put back after another program removed it?",
    "login.check_crashed": "Which internal error interrupted the check of a stored login?",
}
