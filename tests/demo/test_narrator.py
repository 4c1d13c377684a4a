"""What the demo prints for the events in the agent's log."""

from datetime import timedelta

import pytest

from agent.demo.narrator import Event, Milestone, Narrator
from agent.demo.printer import Remark, render
from tests.fakes import EPOCH

ECR, REJECTING, OUTAGE = "localhost:3", "localhost:4", "localhost:5"


@pytest.fixture
def narrator() -> Narrator:
    return Narrator({ECR: "ecr", REJECTING: "wrong-password", OUTAGE: "outage"})


def after(seconds: float) -> str:
    return (EPOCH + timedelta(seconds=seconds)).isoformat()


def login(hostname: str, at: float = 0, ends: float | None = None) -> Event:
    return {
        "event": "login.succeeded",
        "time": after(at),
        "registry": hostname,
        "secret": "name-" + hostname[-1],
        "expires_at": None if ends is None else after(ends),
        "renew_at": None,
    }


def raised(hostname: str, code: str, level: str = "warning") -> Event:
    words = {"message": f"{hostname} refused it", "hint": "fix it"}
    return {"event": "warning.raised", "level": level, "code": code, "subject": hostname, **words}


def cleared(hostname: str, code: str) -> Event:
    return {"event": "warning.cleared", "code": code, "subject": hostname}


def test_reports_a_login_and_a_new_expiry_as_a_renewal(narrator: Narrator) -> None:
    """The renewal shows how long the old token would still be valid."""
    text = "localhost:3 (name-3); the token expires in 60 s"
    assert narrator.read(login(ECR, ends=60)) == Remark("logged in", text)
    text = "localhost:3 (name-3), 29 s before its old token expires"
    assert narrator.read(login(ECR, at=31, ends=91)) == Remark("renewed", text)
    assert narrator.reached == {Milestone.ECR, Milestone.RENEWAL}


def test_reports_a_warning_with_its_hint_and_when_it_is_cleared(narrator: Narrator) -> None:
    """A fault that belongs to the demo is marked."""
    text = "login_rejected: localhost:4 refused it (on purpose)"
    assert narrator.read(raised(REJECTING, "login_rejected", "error")) == Remark("error", text, "fix it")
    text = "localhost:4: login_rejected is cleared"
    assert narrator.read(cleared(REJECTING, "login_rejected")) == Remark("fixed", text)
    assert narrator.reached == {Milestone.WRONG_PASSWORD}


def test_a_recovery_is_a_login_after_the_outage(narrator: Narrator) -> None:
    """A warning that another warning replaces is not a recovery, nor is a login before the outage."""
    narrator.read(login(OUTAGE))
    assert narrator.reached == set()
    narrator.read(raised(OUTAGE, "registry_unreachable"))
    narrator.read(raised(OUTAGE, "registry_timeout"))
    narrator.read(cleared(OUTAGE, "registry_unreachable"))
    assert narrator.reached == {Milestone.OUTAGE}
    narrator.read(login(OUTAGE))
    assert narrator.reached == {Milestone.OUTAGE, Milestone.RECOVERY}
    assert narrator.missing == [
        Milestone.BASIC,
        Milestone.TOKEN,
        Milestone.ECR,
        Milestone.WRONG_PASSWORD,
        Milestone.RENEWAL,
    ]


def test_other_events_are_not_reported(narrator: Narrator) -> None:
    """The log has more than the demo explains."""
    assert narrator.read({"event": "login.started", "registry": ECR}) is None
    assert narrator.reached == set()


def test_lines_fit_80_columns_but_long_words_stay_whole() -> None:
    """A command that is split over two lines cannot be copied."""
    words = "a" * 90
    lines = render(123.4, Remark("warning", f"{'some words ' * 20}{words}", "do this and that " * 9)).splitlines()
    assert lines[0].startswith(" 123.4 s  warning    some words")
    assert [line for line in lines if len(line) > 80] == [" " * 21 + words]
    assert sum("-> " in line for line in lines) == 1
