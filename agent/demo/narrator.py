"""Reads the agent's status documents and says in plain words what happened between two of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from agent.demo.printer import Remark

Row = Mapping[str, Any]


class Milestone(StrEnum):
    """What the demo sets out to show, in the order in which it comes."""

    BASIC = "a login with user name and password"
    TOKEN = "a login by token"
    ECR = "a login at ECR"
    WRONG_PASSWORD = "the wrong password as a warning"
    OUTAGE = "the outage as a warning"
    RECOVERY = "the recovery from the outage"
    RENEWAL = "the renewal of the ECR login"


@dataclass(frozen=True, slots=True)
class Roles:
    """Which registry, by host name, plays which part."""

    basic: str
    token: str
    ecr: str
    rejecting: str
    outage: str


class Narrator:
    """Keeps what the last document (INTERFACE, section 6) said; `seen` grows with each that is read."""

    def __init__(self, cast: Roles) -> None:
        self._cast: Final = cast
        self._phase = "starting"
        self._registries: dict[str, Row] = {}
        self._warnings: dict[tuple[str, str], Row] = {}
        self.seen: Final[set[Milestone]] = set()

    @property
    def missing(self) -> list[Milestone]:
        return [scene for scene in Milestone if scene not in self.seen]

    def read(self, document: Mapping[str, Any]) -> list[Remark]:
        """What is new in `document`."""
        remarks = [*self._logins(document), *self._changes(document), *self._first_pass(document)]
        if Milestone.OUTAGE in self.seen and self._is_well(self._cast.outage):
            self.seen.add(Milestone.RECOVERY)
        return remarks

    def _logins(self, document: Mapping[str, Any]) -> list[Remark]:
        remarks = []
        for row in document["registries"]:
            former = self._registries.get(row["hostname"])
            self._registries[row["hostname"]] = row
            if row["state"] == "logged_in" and (former is None or former["logged_in_at"] != row["logged_in_at"]):
                remarks.append(self._login(former, row, document["now"]))
        return remarks

    def _login(self, former: Row | None, row: Row, now: str) -> Remark:
        hostname = row["hostname"]
        who = f"{hostname} ({row['secret']})"
        if former is None or former["state"] != "logged_in":
            scenes = {
                self._cast.basic: Milestone.BASIC,
                self._cast.token: Milestone.TOKEN,
                self._cast.ecr: Milestone.ECR,
            }
            self.seen.update({scenes[hostname]} if hostname in scenes else ())
            return Remark("logged in", who + _particulars(row, now))
        if former["expires_at"] is None or former["expires_at"] == row["expires_at"]:
            return Remark("logged in", f"{who} once more")
        if hostname == self._cast.ecr:
            self.seen.add(Milestone.RENEWAL)
        return Remark(
            "renewed", f"{who}, {_seconds(now, former['expires_at']):.0f} s before its token would have ended"
        )

    def _changes(self, document: Mapping[str, Any]) -> list[Remark]:
        former = self._warnings
        self._warnings = {(warning["code"], warning["subject"]): warning for warning in document["warnings"]}
        raised = [
            self._raised(warning)
            for key, warning in self._warnings.items()
            if key not in former or former[key]["severity"] != warning["severity"]
        ]
        return raised + [
            Remark("mended", f"{subject}: {code} is gone")
            for code, subject in former
            if (code, subject) not in self._warnings
        ]

    def _raised(self, warning: Row) -> Remark:
        subject, code = warning["subject"], warning["code"]
        if subject == self._cast.rejecting and code == "login_rejected":
            self.seen.add(Milestone.WRONG_PASSWORD)
        if subject == self._cast.outage and code.startswith("registry_"):
            self.seen.add(Milestone.OUTAGE)
        purpose = " (on purpose)" if subject in (self._cast.rejecting, self._cast.outage, "engine") else ""
        return Remark(warning["severity"], f"{code}: {warning['message']}{purpose}", warning["hint"])

    def _first_pass(self, document: Mapping[str, Any]) -> list[Remark]:
        former, self._phase = self._phase, document["phase"]
        if (former, self._phase) != ("starting", "running"):
            return []
        return [Remark("agent", f"every registry was tried once: {document['summary']}")]

    def _is_well(self, hostname: str) -> bool:
        row = self._registries.get(hostname)
        warned = any(subject == hostname for _, subject in self._warnings)
        return row is not None and row["state"] == "logged_in" and not warned


def _particulars(row: Row, now: str) -> str:
    """What a token's login has and a password's has not."""
    identity = f", as {row['identity'].rpartition(':')[2]}" if row["identity"] else ""
    if row["expires_at"] is None:
        return identity
    renewal = f", to be renewed in {_seconds(now, row['renew_at']):.0f} s" if row["renew_at"] else ""
    return f"{identity}; its token ends in {_seconds(now, row['expires_at']):.0f} s{renewal}"


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
