"""Compares the agent's status documents, and describes in plain words what changed from one to the next."""

from collections.abc import Mapping
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


_FIRST_LOGINS: Final = {"basic-auth": Milestone.BASIC, "token-auth": Milestone.TOKEN, "ecr": Milestone.ECR}


class Narrator:
    """Keeps the content of the last status document.

    Args:
        names: the name of each registry's secret (`basic-auth`, `ecr`, …), by host name.

    Attributes:
        reached: the milestones that the documents show.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names: Final = names
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
        warned = {subject for _, subject in self._warnings}
        recovered = any(
            self._names.get(hostname) == "outage" and row["state"] == "logged_in" and hostname not in warned
            for hostname, row in self._registries.items()
        )
        if Milestone.OUTAGE in self.reached and recovered:
            self.reached.add(Milestone.RECOVERY)
        return remarks

    def _logins(self, document: Mapping[str, Any]) -> list[Remark]:
        previous = self._registries
        self._registries = {row["hostname"]: row for row in document["registries"]}
        return [
            self._login(previous.get(hostname), row, document["now"])
            for hostname, row in self._registries.items()
            if row["state"] == "logged_in"
            and (hostname not in previous or previous[hostname]["logged_in_at"] != row["logged_in_at"])
        ]

    def _login(self, previous: Row | None, row: Row, now: str) -> Remark:
        login = f"{row['hostname']} ({row['secret']})"
        name = self._names.get(row["hostname"], "")
        if previous is None or previous["state"] != "logged_in":
            if name in _FIRST_LOGINS:
                self.reached.add(_FIRST_LOGINS[name])
            return Remark("logged in", login + _token_details(row, now))
        if previous["expires_at"] is None or previous["expires_at"] == row["expires_at"]:
            return Remark("logged in", f"{login} again")
        if name == "ecr":
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
        name, code = self._names.get(warning["subject"], warning["subject"]), warning["code"]
        if name == "wrong-password" and code == "login_rejected":
            self.reached.add(Milestone.WRONG_PASSWORD)
        if name == "outage" and code.startswith("registry_"):
            self.reached.add(Milestone.OUTAGE)
        purpose = " (on purpose)" if name in ("wrong-password", "outage", "engine") else ""
        return Remark(warning["severity"], f"{code}: {warning['message']}{purpose}", warning["hint"])

    def _first_pass(self, document: Mapping[str, Any]) -> list[Remark]:
        previous, self._phase = self._phase, document["phase"]
        if (previous, self._phase) != ("starting", "running"):
            return []
        return [Remark("agent", f"every registry was tried once: {document['summary']}")]


def _token_details(row: Row, now: str) -> str:
    """The identity and expiry of a login with a token; a login with a password has neither."""
    identity = f", as {row['identity'].rpartition(':')[2]}" if row["identity"] else ""
    if row["expires_at"] is None:
        return identity
    renewal = f", renewal in {_seconds(now, row['renew_at']):.0f} s" if row["renew_at"] else ""
    return f"{identity}; its token expires in {_seconds(now, row['expires_at']):.0f} s{renewal}"


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
