"""Every hint shows what to do and who can do it, whichever code it belongs to."""

import errno
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from agent.edge.permission_hints import permission_hint
from agent.model import google_errors, hints
from agent.model.aws_errors import AwsRefusal, problem_of
from agent.model.commands import shown
from agent.model.docker_errors import explain
from agent.model.docker_results import CliOutput, Fault, ProbeResult
from agent.model.hints import helper_hint, runtime_hint, unstartable_helper_hint
from agent.model.problem import Needs, Problem
from agent.model.problems import codes
from agent.model.problems.aws import AwsAccessDenied, AwsKeysRefused
from agent.model.problems.registry import NotARegistry, RegistryTls
from agent.model.problems.stored_login import CredentialStoreFailed
from tests.words.nevers import PLACEHOLDER

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
HOST: Final = "registry.example.com"
TOKEN: Final = "ecr:GetAuthorizationToken"
LONGEST: Final = 165
"""Two lines of a wide terminal, three of one with 80 columns."""


@pytest.mark.parametrize("code", codes())
def test_a_hint_is_short_and_shows_who_must_act(code: str) -> None:
    """It has at most two sentences. It names the administrator to ask, or shows that you only need to wait."""
    kind = codes()[code]
    assert kind.hint.count("; ") <= 1
    assert ". " not in kind.hint
    assert len(kind.hint) <= LONGEST
    if kind.needs is Needs.ADMIN:
        assert "administrator" in kind.hint or "ask your platform team" in kind.hint, kind.hint
    if kind.needs is Needs.NOBODY:
        assert kind.hint.startswith(("wait: ", "no action needed")), kind.hint


def test_a_hint_names_the_host() -> None:
    """The registry replaces HOST, so a person can paste the command."""
    problem = explain(CliOutput("", fault=Fault.TIMEOUT), None, HOST, "team")
    assert f"https://{HOST}/v2/" in problem.hint
    assert "HOST" not in problem.hint


@pytest.mark.parametrize(
    ("hint", "kept"),
    [
        (permission_hint(Path("/srv/HOST/config.json"), errno.EROFS, None), "/srv/HOST is mounted read-only"),
        (helper_hint("HOST"), "remove HOST from credsStore"),
        (f"stop using {shown('HOST')} for HOST", f"stop using HOST for {HOST}"),
    ],
    ids=["path", "helper", "both"],
)
def test_a_hint_leaves_the_word_host_alone_in_names_from_outside(hint: str, kept: str) -> None:
    """Only the hint's own HOST becomes the registry, also when the problem is copied to another subject."""
    problem = CredentialStoreFailed("other.example.com", "it failed", hint=hint).about(HOST)
    assert kept in problem.hint


@pytest.mark.parametrize(
    ("hint", "fix"),
    [
        (permission_hint(Path("/srv/x/config.json"), errno.EMFILE, None), "raise the limit on open files"),
        (permission_hint(Path("/srv/x/config.json"), errno.EAGAIN, None), "raise the limit on open files"),
        (permission_hint(Path("/srv/x/config.json"), errno.EIO, None), "check /srv/x and its file system"),
        (permission_hint(Path("/srv/x/config.json"), errno.ENOTDIR, None), "check /srv/x and its file system"),
        (unstartable_helper_hint("pass", "/usr/bin/docker-credential-pass", errno.EACCES), "execute /usr/bin/docker-"),
        (unstartable_helper_hint("pass", "/usr/bin/docker-credential-pass", errno.ENOENT), "install /usr/bin/docker-"),
        (unstartable_helper_hint("pass", "/usr/bin/docker-credential-pass", errno.ENOMEM), "check /usr/bin/docker-"),
        (helper_hint("pass", "pass not initialized: exit status 1"), "initialize pass with it, or remove pass from"),
        (helper_hint("locked", "it is locked"), "fix what docker-credential-locked reports, or remove locked from"),
        (
            google_errors.pull_hint("ada", ": it has not been used in project 42 before"),
            "enable the API artifactregistry",
        ),
        (google_errors.pull_hint("ada", ": denied"), "grant roles/artifactregistry.reader on the repository to ada"),
        (runtime_hint("Permission denied", "/run/x", writer="the agent"), "the agent may not write to /run/x"),
        (runtime_hint("permission denied", "/run/x", writer="docker"), "may confine docker"),
        (runtime_hint("Input/output error", "/run/x", writer="the agent"), "check the file system of /run/x"),
    ],
)
def test_a_hint_is_the_fix_for_its_cause(hint: str, fix: str) -> None:
    """Space is freed for a full disk only."""
    assert fix in hint
    assert "space" not in hint
    assert not PLACEHOLDER.search(hint.replace("RUNTIME_DIRECTORY", ""))


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ("x509: certificate signed by unknown authority", f"/etc/docker/certs.d/{HOST}/ca.crt"),
        ("certificate verify failed: unable to get local issuer certificate", f"/etc/docker/certs.d/{HOST}/ca.crt"),
        ("x509: certificate has expired or is not yet valid: current time …", "renew"),
        (f"x509: certificate is valid for other.example, not {HOST}", "host name"),
        ("http: server gave HTTP response to HTTPS client", "no TLS"),
    ],
)
def test_the_hint_about_a_certificate_depends_on_its_fault(error: str, hint: str) -> None:
    """For example, a CA file does not fix a certificate that has expired."""
    problem = explain(CliOutput(error, fault=Fault.TLS), None, HOST, "team")
    assert type(problem) is RegistryTls
    assert hint in problem.hint


@pytest.mark.parametrize("host", ["ghcr.io", "docker.io", "123456789012.dkr.ecr.eu-west-1.amazonaws.com"])
def test_another_authority_of_a_public_registry_is_a_proxys(host: str) -> None:
    """One CA is enough for all registries, so the hint names no file for one registry. It does for a private one."""
    error = "certificate verify failed: unable to get local issuer certificate; the certificate is issued by Proxy"
    hint = explain(CliOutput(error, fault=Fault.TLS), None, host, "team").hint
    assert ("SSL_CERT_FILE" in hint, "certs.d" in hint) == (True, False)
    proxied = f"{error}, seen through the proxy in HTTPS_PROXY"
    assert "certs.d" not in explain(CliOutput(proxied, fault=Fault.TLS), None, HOST, "team").hint
    assert "certs.d" in explain(CliOutput(error, fault=Fault.TLS), None, HOST, "team").hint


def test_a_captive_portal_needs_the_user() -> None:
    """Waiting does not help: a person must log in to the portal."""
    problem = explain(CliOutput("Login Succeeded"), ProbeResult(NOW, status=200, registry=False), HOST, "team")
    assert type(problem) is NotARegistry
    assert (problem.code, problem.needs) == ("registry_error", Needs.USER)
    assert problem.hint == hints.NOT_A_REGISTRY.replace("HOST", HOST)


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
def test_a_denial_shows_the_missing_statement_and_the_policy_it_belongs_to(who: str, holder: str) -> None:
    """A developer can forward the hint unchanged."""
    problem = denied(who, TOKEN)
    assert '{"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}' in problem.hint
    assert f"the IAM policy of {holder}" in problem.hint


def test_ecr_public_needs_two_actions() -> None:
    """AWS names only one of them at a time, so the hint names both."""
    assert "sts:GetServiceBearerToken" in denied("arn:aws:iam::1:user/ci", "ecr-public:GetAuthorizationToken").hint


def test_a_role_that_cannot_be_assumed_needs_two_policies() -> None:
    """The hint names the caller's own policy and the role's trust policy."""
    role = "arn:aws:iam::123456789012:role/pull"
    hint = denied("arn:aws:iam::123456789012:user/ci", "sts:AssumeRole", role, asked="sts:AssumeRole").hint
    assert f'"Resource": "{role}"' in hint
    assert "trust policy" in hint


def test_an_explicit_deny_needs_no_allow_statement() -> None:
    """A Deny overrides every Allow, so the hint is to remove the Deny."""
    hint = denied("arn:aws:iam::1:user/ci", TOKEN, "* with an explicit deny in a service control policy").hint
    assert "Deny" in hint
    assert "Allow" not in hint


def test_refused_keys_in_a_secret_need_the_user() -> None:
    """Keys from the AWS credential chain need the administrator."""
    refusals = [AwsRefusal(TOKEN, "InvalidClientTokenId", "", 403, "x", NOW, own_keys=own) for own in (True, False)]
    problems = [problem_of(refusal) for refusal in refusals]
    assert [type(problem) for problem in problems] == [AwsKeysRefused, AwsAccessDenied]
    assert [problem.needs for problem in problems] == [Needs.USER, Needs.ADMIN]
