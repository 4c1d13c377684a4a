"""Every event that the agent logs, and the question that it answers. A test holds the list and docs/logs.md to it."""

from collections.abc import Mapping
from typing import Final

EVENTS: Final[Mapping[str, str]] = {
    "agent.starting": "which version began, as whom, with which directories?",
    "agent.ready": "when did the status endpoint answer?",
    "agent.stopping": "who asked it to stop?",
    "agent.stopped": "did it end cleanly?",
    "agent.crashed": "which fault of its own ended it?",
    "settings.reloaded": "did SIGHUP take the settings, or which faults kept the old ones?",
    "plan.changed": "which registries are served now, which are not, and why?",
    "login.started": "when was this login tried, and for which reason?",
    "login.succeeded": "when did it work, until when is it good, where is it kept?",
    "login.failed": "why did it not work, and when is it tried again?",
    "login.held_back": "why is a refused login not tried yet?",
    "login.skipped": "why is this registry left alone?",
    "login.expired": "when was a dead login taken out of Docker's configuration?",
    "login.removed": "when was the login of a secret that went taken out?",
    "login.crashed": "which fault of the agent's own kept a login from going on?",
    "warning.raised": "what went wrong, whose turn is it?",
    "warning.cleared": "since when is it well again?",
    "tools.changed": "which docker and aws are there, does an engine answer?",
    "clock.jumped": "did the machine sleep, or was its clock set?",
    "log.dropped": "how many lines were lost because nobody read them?",
}
