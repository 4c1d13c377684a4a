"""Every event that the agent logs, and the question that it answers. A test holds the list and docs/logs.md to it."""

from collections.abc import Mapping
from typing import Final

EVENTS: Final[Mapping[str, str]] = {
    "agent.starting": "which version began, as whom, with which directories?",
    "agent.ready": "when did the status endpoint answer?",
    "agent.locked_out": "which Docker configuration has another agent already?",
    "agent.stopping": "who asked it to stop?",
    "agent.stopped": "did it end cleanly?",
    "agent.crashed": "which fault of its own ended it?",
    "state.unusable": "why does it remember nothing from before, or nothing for later?",
    "sandbox.lost": "which directory went, so that systemd must start it anew to let it write there?",
    "settings.reloaded": "did SIGHUP take the settings, or which faults kept the old ones?",
    "status.listening": "at which address does the status answer?",
    "status.request_failed": "which request did it fail to answer, and why?",
    "clock.jumped": "did the machine sleep, or was its clock set?",
    "log.dropped": "how many lines were lost because nobody read them?",
    "secrets.changed": "which secrets came, went, or hold something else now?",
    "plan.changed": "which registries are served now, and which are not?",
    "tools.changed": "which docker and aws are there, does an engine answer?",
    "warning.raised": "what went wrong, whose turn is it?",
    "warning.cleared": "since when is it well again?",
    "login.started": "when did an attempt begin?",
    "login.succeeded": "when did it work, until when is it good, where is it kept?",
    "login.failed": "why did it not work, how often in a row, and when is it tried again?",
    "login.held_back": "why is a refused login not tried yet?",
    "login.skipped": "why is this registry left alone?",
    "login.expired": "when was a dead login taken out of Docker's configuration?",
    "login.removed": "when was the login of a secret that went taken out?",
    "login.crashed": "which fault of the agent's own kept a login from going on?",
    "token.obtained": "whose token did AWS give, and until when is it good?",
    "token.failed": "why did AWS give no token, and when is it asked again?",
    "custody.stored": "where was a login written?",
    "custody.restored": "which login did another program drop, so that it was put back?",
    "custody.crashed": "which fault of the agent's own kept a login from being looked after?",
    "custody.released": "which login was taken out?",
}
