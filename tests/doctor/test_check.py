"""A walk along links, without any world."""

from agent.doctor.check import CheckRun, Outcome, broken, first_broken, from_problem, passed
from agent.model.problems.environment import EngineUnreachable
from agent.model.problems.registry import LoginRejected


def test_what_nobody_reached_is_told_in_its_place() -> None:
    """In the order of the chain, whichever was found first."""
    walk = CheckRun(("dns", "tcp", "login"))
    walk.add(passed("login", "x"))
    walk.add(passed("dns", "x"))
    assert [(link.name, link.outcome.value) for link in walk.checks()] == [
        ("dns", "ok"),
        ("tcp", "not reached"),
        ("login", "ok"),
    ]


def test_a_link_that_took_all_the_time_is_broken() -> None:
    """Or a report in which nothing was found would be a good one."""
    walk = CheckRun(("dns", "tcp", "login"))
    walk.add(passed("dns", "x"))
    assert [link.outcome for link in walk.checks(late=True)] == [Outcome.OK, Outcome.BROKEN, Outcome.NOT_REACHED]


def test_a_notice_breaks_nothing() -> None:
    """It is a remark, with its code and its hint."""
    link = from_problem("engine", EngineUnreachable("engine", "there is none"), notice=Outcome.SKIPPED)
    assert (link.outcome, link.code) == (Outcome.SKIPPED, "engine_unreachable")
    assert link.fix == EngineUnreachable.hint
    assert "DOCKER_HOST" in str(link.fix)


def test_a_cause_comes_before_its_consequence() -> None:
    """What has a code is begun with, even behind a link without one."""
    consequence = broken("in use", "docker has no login", "log in")
    cause = from_problem("login", LoginRejected("ghcr.io", "it said no"))
    assert first_broken([consequence, cause]) is cause
    assert first_broken([consequence]) is consequence
    assert first_broken([passed("dns", "x")]) is None
