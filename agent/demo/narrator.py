"""Compares the agent's status documents, and describes in plain words what changed from one to the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from agent.demo.printer import Remark

Row = Mapping[str, Any]


class Milestone(StrEnum):
    """What the demo shows, in this order."""

    BASIC = "a login with user name and password"
    TOKEN = "a login with a token"
    ECR = "a login to ECR"
    WRONG_PASSWORD = "the wrong password as a warning"
    OUTAGE = "the outage as a warning"
    RECOVERY = "the recovery from the outage"
    RENEWAL = "the renewal of the ECR login"


@dataclass(frozen=True, slots=True)
class Roles:
    """The host name of the registry in each role."""

    basic: str
    token: str
    ecr: str
    rejecting: str
    outage: str


class Narrator:
    """Keeps the content of the last status document. `reached` collects the milestones that the documents show."""

    def __init__(self, roles: Roles) -> None:
        self._roles: Final = roles
        self._phase = "starting"
        self._registries: dict[str, Row] = {}
        self._warnings: dict[tuple[str, str], Row] = {}
        self.reached: Final[set[Milestone]] = set()

    @property
    def missing(self) -> list[Milestone]:
        return [milestone for milestone in Milestone if milestone not in self.reached]

    def read(self, document: Mapping[str, Any]) -> list[Remark]:
        """Read the next status document. Returns what is new in it."""
        remarks = [*self._logins(document), *self._changes(document), *self._first_pass(document)]
        if Milestone.OUTAGE in self.reached and self._is_healthy(self._roles.outage):
            self.reached.add(Milestone.RECOVERY)
        return remarks

    def _logins(self, document: Mapping[str, Any]) -> list[Remark]:
        remarks = []
        for row in document["registries"]:
            previous = self._registries.get(row["hostname"])
            self._registries[row["hostname"]] = row
            if row["state"] == "logged_in" and (previous is None or previous["logged_in_at"] != row["logged_in_at"]):
                remarks.append(self._login(previous, row, document["now"]))
        return remarks

    def _login(self, previous: Row | None, row: Row, now: str) -> Remark:
        hostname = row["hostname"]
        login = f"{hostname} ({row['secret']})"
        if previous is None or previous["state"] != "logged_in":
            milestones = {
                self._roles.basic: Milestone.BASIC,
                self._roles.token: Milestone.TOKEN,
                self._roles.ecr: Milestone.ECR,
            }
            self.reached.update({milestones[hostname]} if hostname in milestones else ())
            return Remark("logged in", login + _token_details(row, now))
        if previous["expires_at"] is None or previous["expires_at"] == row["expires_at"]:
            return Remark("logged in", f"{login} again")
        if hostname == self._roles.ecr:
            self.reached.add(Milestone.RENEWAL)
        return Remark("renewed", f"{login}, {_seconds(now, previous['expires_at']):.0f} s before its old token expires")

    def _changes(self, document: Mapping[str, Any]) -> list[Remark]:
        previous = self._warnings
        self._warnings = {(warning["code"], warning["subject"]): warning for warning in document["warnings"]}
        raised = [
            self._raised(warning)
            for key, warning in self._warnings.items()
            if key not in previous or previous[key]["severity"] != warning["severity"]
        ]
        return raised + [
            Remark("fixed", f"{subject}: {code} is cleared")
            for code, subject in previous
            if (code, subject) not in self._warnings
        ]

    def _raised(self, warning: Row) -> Remark:
        subject, code = warning["subject"], warning["code"]
        if subject == self._roles.rejecting and code == "login_rejected":
            self.reached.add(Milestone.WRONG_PASSWORD)
        if subject == self._roles.outage and code.startswith("registry_"):
            self.reached.add(Milestone.OUTAGE)
        purpose = " (on purpose)" if subject in (self._roles.rejecting, self._roles.outage, "engine") else ""
        return Remark(warning["severity"], f"{code}: {warning['message']}{purpose}", warning["hint"])

    def _first_pass(self, document: Mapping[str, Any]) -> list[Remark]:
        previous, self._phase = self._phase, document["phase"]
        if (previous, self._phase) != ("starting", "running"):
            return []
        return [Remark("agent", f"every registry was tried once: {document['summary']}")]

    def _is_healthy(self, hostname: str) -> bool:
        row = self._registries.get(hostname)
        warned = any(subject == hostname for _, subject in self._warnings)
        return row is not None and row["state"] == "logged_in" and not warned


def _token_details(row: Row, now: str) -> str:
    """The identity and expiry of a login with a token; a login with a password has neither."""
    identity = f", as {row['identity'].rpartition(':')[2]}" if row["identity"] else ""
    if row["expires_at"] is None:
        return identity
    renewal = f", renewal in {_seconds(now, row['renew_at']):.0f} s" if row["renew_at"] else ""
    return f"{identity}; its token expires in {_seconds(now, row['expires_at']):.0f} s{renewal}"


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
