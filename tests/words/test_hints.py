"""What a hint must tell, whichever code it belongs to: what to do, and who can do it."""

from datetime import UTC, datetime
from typing import Final

import pytest

from agent.model import hints
from agent.model.aws_errors import AwsRefusal, problem_of
from agent.model.docker_errors import CliOutput, Fault, ProbeResult, explain
from agent.model.problem import Needs, Problem
from agent.model.problems import codes
from agent.model.problems.aws import AwsAccessDenied, AwsKeysRefused
from agent.model.problems.registry import NotARegistry, RegistryTls

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
HOST: Final = "registry.example.com"
TOKEN: Final = "ecr:GetAuthorizationToken"
LONGEST: Final = 165
"""Two lines of a wide terminal, three of one with 80 columns."""


@pytest.mark.parametrize("code", codes())
def test_a_hint_is_short_and_says_whose_turn_it_is(code: str) -> None:
    """At most two sentences; an administrator is named as one, and who need not act is told so."""
    kind = codes()[code]
    assert kind.hint.count("; ") <= 1
    assert ". " not in kind.hint
    assert len(kind.hint) <= LONGEST
    if kind.needs is Needs.ADMIN:
        assert "administrator" in kind.hint or "whoever" in kind.hint, kind.hint
    if kind.needs is Needs.NOBODY:
        assert kind.hint.startswith(("nothing to do", "pulls still work")), kind.hint


def test_a_hint_names_the_host() -> None:
    """HOST stands for it in what the classes say, and nobody has to put it in."""
    problem = explain(CliOutput("", fault=Fault.TIMEOUT), None, HOST, "team")
    assert f"https://{HOST}/v2/" in problem.hint
    assert "HOST" not in problem.hint


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("x509: certificate signed by unknown authority", f"/etc/docker/certs.d/{HOST}/ca.crt"),
        ("certificate verify failed: unable to get local issuer certificate", f"/etc/docker/certs.d/{HOST}/ca.crt"),
        ("x509: certificate has expired or is not yet valid: current time …", "renew"),
        (f"x509: certificate is valid for other.example, not {HOST}", "host name"),
        ("http: server gave HTTP response to HTTPS client", "no TLS"),
    ],
)
def test_a_certificate_is_mended_by_its_fault(said: str, hint: str) -> None:
    """No file of a CA mends a certificate that has expired."""
    problem = explain(CliOutput(said, fault=Fault.TLS), None, HOST, "team")
    assert type(problem) is RegistryTls
    assert hint in problem.hint


def test_a_captive_portal_is_the_persons_turn() -> None:
    """Waiting mends nothing there: somebody must log in."""
    problem = explain(CliOutput("Login Succeeded"), ProbeResult(NOW, status=200, registry=False), HOST, "team")
    assert type(problem) is NotARegistry
    assert (problem.code, problem.needs) == ("registry_error", Needs.USER)
    assert problem.hint == hints.SOMEBODY_ELSE.replace("HOST", HOST)


def denied(who: str, action: str, rest: str = "", *, asked: str = TOKEN) -> Problem:
    message = f"User: {who} is not authorized to perform: {action} on resource: {rest or '*'}"
    return problem_of(AwsRefusal(asked, "AccessDeniedException", message, 400, "the role", NOW))


@pytest.mark.parametrize(
    ("who", "holder"),
    [
        ("arn:aws:iam::123456789012:user/ci", "user ci"),
        ("arn:aws:iam::123456789012:user/teams/ci", "user ci"),
        ("arn:aws-cn:sts::123456789012:assumed-role/dev/i-0abc", "role dev"),
        ("arn:aws:iam::123456789012:root", "this identity"),
    ],
)
def test_a_denial_gives_the_statement_and_whose_policy_it_goes_into(who: str, holder: str) -> None:
    """A developer hands it on as it is."""
    problem = denied(who, TOKEN)
    assert '{"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}' in problem.hint
    assert f"the IAM policy of {holder}" in problem.hint


def test_ecr_public_needs_two_actions() -> None:
    """AWS names one at a time."""
    assert "sts:GetServiceBearerToken" in denied("arn:aws:iam::1:user/ci", "ecr-public:GetAuthorizationToken").hint


def test_a_role_that_may_not_be_assumed_has_two_policies() -> None:
    """The caller's own, and the role's trust policy."""
    role = "arn:aws:iam::123456789012:role/pull"
    hint = denied("arn:aws:iam::123456789012:user/ci", "sts:AssumeRole", role, asked="sts:AssumeRole").hint
    assert f'"Resource": "{role}"' in hint
    assert "trust policy" in hint


def test_an_explicit_deny_is_not_mended_by_an_allow() -> None:
    """It wins over all that allows."""
    hint = denied("arn:aws:iam::1:user/ci", TOKEN, "* with an explicit deny in a service control policy").hint
    assert "Deny" in hint
    assert "Allow" not in hint


def test_keys_in_a_secret_are_its_owners_turn() -> None:
    """Those that the AWS chain found are the administrator's."""
    refusals = [AwsRefusal(TOKEN, "InvalidClientTokenId", "", 403, "x", NOW, own_keys=own) for own in (True, False)]
    problems = [problem_of(refusal) for refusal in refusals]
    assert [type(problem) for problem in problems] == [AwsKeysRefused, AwsAccessDenied]
    assert [problem.needs for problem in problems] == [Needs.USER, Needs.ADMIN]
