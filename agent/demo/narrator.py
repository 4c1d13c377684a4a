"""Reads the events in the agent's log, and describes in plain words what they mean for the demo."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from agent.demo.printer import Remark

Event = Mapping[str, Any]


class Milestone(StrEnum):
    """What the demo shows, in this order."""

    BASIC = "a login with user name and password"
    TOKEN = "a login with a token"
    ECR = "a login to ECR"
    WRONG_PASSWORD = "the wrong password as a warning"
    OUTAGE = "the outage as a warning"
    RECOVERY = "the recovery from the outage"
    RENEWAL = "the renewal of the ECR login"


_FIRST_LOGINS: Final = {"basic-auth": Milestone.BASIC, "token-auth": Milestone.TOKEN, "ecr": Milestone.ECR}
_ON_PURPOSE: Final = {"wrong-password": Milestone.WRONG_PASSWORD, "outage": Milestone.OUTAGE}


class Narrator:
    """Describes one event after the other.

    Args:
        names: the name of each registry's secret (`basic-auth`, `ecr`, …), by host name.

    Attributes:
        reached: the milestones that the events show.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names: Final = names
        # When each login ends, or None if it does not, by host name.
        self._ends: Final[dict[str, str | None]] = {}
        self.reached: Final[set[Milestone]] = set()

    @property
    def missing(self) -> list[Milestone]:
        return [milestone for milestone in Milestone if milestone not in self.reached]

    def read(self, event: Event) -> Remark | None:
        """Return what the next event means, or None if it does not matter to the demo."""
        match event.get("event"):
            case "login.succeeded":
                return self._login(event)
            case "token.obtained":
                owner = str(event["identity"]).rpartition(":")[2]
                return Remark("token", f"AWS issued a token to {owner}{_life(event)}")
            case "warning.raised":
                return self._raised(event)
            case "warning.cleared":
                return Remark("fixed", f"{event['subject']}: {event['code']} is cleared")
        return None

    def _login(self, event: Event) -> Remark:
        hostname, ends = event["registry"], event["expires_at"]
        name, before = self._names.get(hostname, ""), self._ends.get(hostname)
        self._ends[hostname] = ends
        if name == "outage" and Milestone.OUTAGE in self.reached:
            self.reached.add(Milestone.RECOVERY)
        login = f"{hostname} ({event['secret']})"
        if before is None or before == ends:
            if name in _FIRST_LOGINS:
                self.reached.add(_FIRST_LOGINS[name])
            return Remark("logged in", login + _life(event))
        if name == "ecr":
            self.reached.add(Milestone.RENEWAL)
        return Remark("renewed", f"{login}, {_seconds(event['time'], before):.0f} s before its old token expires")

    def _raised(self, event: Event) -> Remark:
        name, code = self._names.get(event["subject"], ""), event["code"]
        if code.startswith(("login_rejected", "registry_")) and name in _ON_PURPOSE:
            self.reached.add(_ON_PURPOSE[name])
        purpose = " (on purpose)" if name in _ON_PURPOSE or event["subject"] == "engine" else ""
        label = "notice" if event["level"] == "info" else event["level"]
        return Remark(label, f"{code}: {event['message']}{purpose}", event["hint"])


def _life(event: Event) -> str:
    """Return when the token of an event ends, and when the agent renews it. A login with a password has no end."""
    if event["expires_at"] is None:
        return ""
    renewal = f", renewal in {_seconds(event['time'], event['renew_at']):.0f} s" if event["renew_at"] else ""
    return f"; the token expires in {_seconds(event['time'], event['expires_at']):.0f} s{renewal}"


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
