"""Collecting the results of checks."""

import pytest

from agent.doctor.check import CheckRun, Outcome, broken, from_problem, passed, rank
from agent.model.desired_login import CONFIG_FILE, DesiredLogin, StoreResult
from agent.model.docker_config import Entry, parse_config
from agent.model.problems.environment import EngineUnreachable, SecretInvalid
from agent.model.problems.registry import LoginRejected, RegistryDns
from agent.model.registry import parse_hostname
from agent.model.sensitive import Sensitive
from agent.services.overrides import Overrides


def test_shows_checks_that_were_not_reached_in_their_place() -> None:
    """In the order of the chain, not in the order of the results."""
    results = CheckRun(("dns", "tcp", "login"))
    results.add(passed("login", "x"))
    results.add(passed("dns", "x"))
    assert [(check.name, check.outcome.value) for check in results.checks()] == [
        ("dns", "ok"),
        ("tcp", "not reached"),
        ("login", "ok"),
    ]


def test_a_check_that_took_all_the_time_is_broken() -> None:
    """Otherwise a report without any results would count as a success."""
    results = CheckRun(("dns", "tcp", "login"))
    results.add(passed("dns", "x"))
    assert [check.outcome for check in results.checks(late=True)] == [Outcome.OK, Outcome.BROKEN, Outcome.NOT_REACHED]


def test_a_notice_does_not_fail_the_check() -> None:
    """Its code and its hint are shown."""
    check = from_problem("engine", EngineUnreachable("engine", "there is none"), notice=Outcome.SKIPPED)
    assert (check.outcome, check.code) == (Outcome.SKIPPED, "engine_unreachable")
    assert check.fix == EngineUnreachable.hint
    assert "DOCKER_HOST" in str(check.fix)


def test_the_agents_own_reason_comes_first() -> None:
    """The agent has all the facts. Its errors come before its warnings, and consequences come last."""
    own = from_problem("login", LoginRejected("ghcr.io", "it said no"))
    error = from_problem("agent", LoginRejected("ghcr.io", "it said no"))
    warning = from_problem("agent", RegistryDns("ghcr.io", "it does not resolve"))
    elsewhere = from_problem("agent", SecretInvalid("a.json", "it is not JSON"))
    consequence = broken("agent", "it does not answer", "restart it")
    assert sorted([consequence, elsewhere, own, warning, error], key=rank) == [
        error,
        warning,
        own,
        elsewhere,
        consequence,
    ]


@pytest.mark.parametrize("name", ["in use", "agent"])
def test_what_breaks_docker_comes_before_what_breaks_podman(name: str) -> None:
    """Even if it is only a consequence, or about another registry. The same login may break both: then it is first."""
    registry = parse_hostname("ghcr.io")
    desired = DesiredLogin(registry, Entry("robot", Sensitive("new")), None)
    other = Entry("a-person", Sensitive("old"))
    podman = {"/home/ada/auth.json": parse_config(b'{"auths": {"ghcr.io": {"auth": "YTpi"}}}')}
    overrides = Overrides(None)
    (only_podman,) = overrides.of(desired, StoreResult(CONFIG_FILE, desired.entry, ours=True), podman, {})
    (both,) = overrides.of(desired, StoreResult(CONFIG_FILE, other, ours=False), podman, {})
    podmans, docker = from_problem(name, only_podman), from_problem("in use", both)
    rejected = from_problem("login", LoginRejected("ghcr.io", "it said no"))
    missing = broken("in use", "docker has no login", "log in")
    assert max([podmans, docker, rejected, missing], key=rank) == podmans
    assert rank(docker) == rank(rejected)


def test_a_cause_comes_before_its_consequence() -> None:
    """A failed check with a code is fixed first, even if it comes after one without a code."""
    consequence = broken("in use", "docker has no login", "log in")
    cause = from_problem("login", LoginRejected("ghcr.io", "it said no"))
    assert rank(cause) < rank(consequence)
