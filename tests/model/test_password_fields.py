"""The fields that name the source of a password: what they accept, and from whom."""

import json
from dataclasses import replace
from typing import Any

import pytest

from agent.model.login_source import AwsDefaults
from agent.model.password_source import PasswordField, PasswordOrigin, PasswordSource, Trust
from agent.model.plan import make_plan
from agent.model.problem import ProblemError
from agent.model.registry import Registry
from agent.model.secret import Kind, RegistrySecret, parse_secret
from agent.model.secret_environment import read_environment
from agent.model.secret_formats import read_answer, read_fields
from agent.model.sensitive import Sensitive

HOST = "registry.example.com"
BASE = {"name": "team", "hostname": HOST, "username": "ada"}
COMMAND = {"password_command": ["vault", "read", "hunter2-secret"]}


def secret(**fields: Any) -> RegistrySecret:
    return parse_secret({**BASE, **fields}, "test", "[0]")


def refused(**fields: Any) -> tuple[str, str]:
    with pytest.raises(ProblemError) as caught:
        secret(**fields)
    return caught.value.problem.message, caught.value.problem.hint


@pytest.mark.parametrize(
    ("fields", "origin"),
    [
        (COMMAND, PasswordOrigin(PasswordField.COMMAND, ("vault", "read", "hunter2-secret"))),
        ({"password_command": '["pass", "show"]'}, PasswordOrigin(PasswordField.COMMAND, ("pass", "show"))),
        ({"password_file": " /run/token\n"}, PasswordOrigin(PasswordField.FILE, ("/run/token",))),
        ({"credential_helper": "pass"}, PasswordOrigin(PasswordField.HELPER, ("pass",))),
        ({"credential_helper": "docker-credential-pass"}, PasswordOrigin(PasswordField.HELPER, ("pass",))),
        ({"password_command": ["a"], "expires_in_s": 60}, PasswordOrigin(PasswordField.COMMAND, ("a",), 60)),
        ({"password_file": "/t", "expires_in_s": "60"}, PasswordOrigin(PasswordField.FILE, ("/t",), 60)),
        ({"password_file": "/t", "password_command": [], "password": ""}, PasswordOrigin(PasswordField.FILE, ("/t",))),
    ],
)
def test_a_secret_may_name_where_its_password_is(fields: dict[str, Any], origin: PasswordOrigin) -> None:
    """Empty fields count as not set. In a directory with one file for each field, values are text."""
    found = secret(**fields)
    assert found.password_origin == origin
    (login,) = make_plan([found], (), AwsDefaults()).logins
    assert (login.kind, login.source) == (Kind.BASIC, PasswordSource(origin, Registry(HOST), "ada"))
    assert login.password_may_change


def test_the_output_can_contain_the_user_name() -> None:
    """So the secret need not. On ECR, the source gives a ready token."""
    for hostname, kind in ((HOST, Kind.BASIC), ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", Kind.ECR)):
        (login,) = make_plan([secret(hostname=hostname, username=None, **COMMAND)], (), AwsDefaults()).logins
        assert isinstance(login.source, PasswordSource)
        assert (login.kind, login.source.username) == (kind, None)


def test_one_directory_is_one_secret_with_a_file() -> None:
    """The fields are files there."""
    found = read_fields({"hostname": HOST, "username": "ada\n", "password_file": "/run/token\n"}, "test", "team")
    assert [each.password_file for each in found.secrets] == ["/run/token"]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({**COMMAND, "password": "x"}, "password and password_command are both set"),
        ({**COMMAND, "password_file": "/x"}, "password_command and password_file are both set"),
        ({"credential_helper": "pass", "password_file": "/x"}, "password_file and credential_helper are both set"),
        ({"password_command": "vault read hunter2-secret"}, "password_command must be a list of strings"),
        ({"password_command": ["vault", 7]}, "password_command must be a list of strings"),
        ({"password_command": {"a": 1}}, "password_command must be a list of strings"),
        ({"password_command": ["a\0hunter2-secret"]}, "no program accepts"),
        ({"password_command": ["a\ud800"]}, "no program accepts"),
        ({"password_command": ["a" * 70_000]}, "too long"),
        ({"password_command": [" ", "hunter2-secret"]}, "names no program"),
        ({"password_file": "token"}, "must be an absolute path"),
        ({"credential_helper": "a/b"}, "must be a name such as pass"),
        ({"credential_helper": "registry-agent"}, "must not be registry-agent"),
        ({"credential_helper": "docker-credential-registry-agent"}, "must not be registry-agent"),
        ({**COMMAND, "expires_in_s": 0}, "must be a number of seconds above 0"),
        ({**COMMAND, "expires_in_s": "soon"}, "must be a number of seconds above 0"),
        ({**COMMAND, "expires_in_s": True}, "must be a number of seconds above 0"),
        ({**COMMAND, "expires_in_s": "nan"}, "must be a number of seconds above 0"),
        ({**COMMAND, "username": "runner-native"}, "identity of a cloud"),
        ({**COMMAND, "username": "AKIAIOSFODNN7EXAMPLE"}, "identity of a cloud"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_field(fields: dict[str, Any], fault: str) -> None:
    """The message names the field and never shows an argument, which may be a secret."""
    message, hint = refused(**fields)
    assert fault in message
    assert hint
    assert "hunter2" not in message + hint


@pytest.mark.parametrize(
    "fields",
    [
        {"hostname": "europe-west1-docker.pkg.dev", "google_service_account": "pull@acme.iam.gserviceaccount.com"},
        {"hostname": "acmedev.azurecr.io", "azure_client_id": "6b1c2d3e-0000-4000-8000-000000000001"},
        {"kind": "gar"},
        {"kind": "acr"},
    ],
)
def test_a_command_replaces_the_identity_in_a_cloud(fields: dict[str, Any]) -> None:
    """As a password does. Without a user name, the command gives that too."""
    found = secret(**COMMAND, **{**fields, "username": None})
    (login,) = make_plan([found], (), AwsDefaults()).logins
    assert found.password_origin is not None
    assert (login.kind, login.source) == (Kind.BASIC, PasswordSource(found.password_origin, found.registry))


def test_messages_show_the_program_and_none_of_its_arguments() -> None:
    """The log too."""
    (login,) = make_plan([secret(**COMMAND)], (), AwsDefaults()).logins
    assert isinstance(login.source, PasswordSource)
    assert login.source.origin.label == "password_command vault"
    assert "hunter2" not in str(login.source.log_fields)


def test_commands_from_the_environment_are_accepted() -> None:
    """Who sets a variable of the agent could also run programs as its user."""
    document = '{"name": "team", "hostname": "registry.example.com", "password_command": ["pass"]}'
    (found,) = read_environment({"REGISTRY_AGENT_SECRETS": document}).secrets
    assert make_plan([found], (), AwsDefaults()).logins


@pytest.mark.parametrize("fields", [COMMAND, {"password_file": "/etc/shadow"}, {"credential_helper": "pass"}])
def test_a_url_needs_the_setting_for_a_command(fields: dict[str, Any]) -> None:
    """Without it, whoever answers there could run programs, or have any file of the user sent to a registry."""
    document = {"secrets": [{**BASE, **fields}, {**BASE, "name": "plain", "hostname": "ghcr.io", "password": "x"}]}
    secrets = read_answer(json.dumps(document), "https://secrets.example").secrets
    plan = make_plan(secrets, (), AwsDefaults())
    assert [login.secret.name for login in plan.logins] == ["plain"]
    (problem,) = plan.problems
    assert (problem.code, problem.subject) == ("secret_invalid", "https://secrets.example#team")
    assert f"{next(iter(fields))} is not accepted from secrets.url" in problem.message
    assert "secrets.allow_commands" in problem.hint
    disabled = make_plan([replace(each, enabled=False) for each in secrets], (), AwsDefaults())
    assert (disabled.logins, disabled.problems) == ((), ())
    allowed = make_plan(secrets, (), AwsDefaults(), allow_commands=True)
    assert {login.secret.name for login in allowed.logins} == {"plain", "team"}
    assert allowed.problems == ()


def test_a_file_that_others_can_write_needs_another_owner() -> None:
    """The setting for the URL does not change that. Secrets with a password are not affected."""
    written_by_others = [
        parse_secret({**BASE, **fields, "name": name}, "/shared/x.json", "[0]")
        for name, fields in (("command", COMMAND), ("plain", {"hostname": "ghcr.io", "password": "x"}))
    ]
    secrets = [replace(each, trust=Trust.OTHERS) for each in written_by_others]
    plan = make_plan(secrets, (), AwsDefaults(), allow_commands=True)
    assert [login.secret.name for login in plan.logins] == ["plain"]
    (problem,) = plan.problems
    assert problem.subject == "/shared/x.json#command"
    assert "/shared/x.json" in problem.hint


@pytest.mark.parametrize("trust", [Trust.OTHERS, Trust.URL])
def test_a_secret_whose_command_is_not_accepted_is_still_there(trust: Trust) -> None:
    """So its registry stays in the status, and no setting removes its login. The next secret serves the registry."""
    refused = replace(secret(**COMMAND), trust=trust)
    plan = make_plan([refused], (), AwsDefaults())
    (skipped,) = plan.skipped
    assert (skipped.secret, skipped.reason, skipped.wanted) == (refused, plan.problems[0].message, True)
    other = secret(name="zulu", password="x")
    (login,) = make_plan([refused, other], (), AwsDefaults()).logins
    assert login.secret == other


def test_a_registry_that_is_left_alone_has_no_warning_about_a_command() -> None:
    """Nothing would run it."""
    plan = make_plan([replace(secret(**COMMAND), trust=Trust.OTHERS)], [HOST], AwsDefaults())
    assert (plan.problems, [skipped.wanted for skipped in plan.skipped]) == ((), [False])


def test_a_secret_for_two_names_of_its_registry_has_a_fault_once() -> None:
    """The doctor shows each problem of the plan."""
    plan = make_plan([replace(secret(**COMMAND, hostname="ghcr.io:443"), trust=Trust.OTHERS)], (), AwsDefaults())
    assert [problem.code for problem in plan.problems] == ["secret_invalid"]
    assert len(plan.skipped) == 2


@pytest.mark.parametrize("life", [60, "1h", None])
def test_the_life_of_a_password_in_the_secret_refuses_no_login(life: object) -> None:
    """The agent cannot replace that password, so it needs no life. The login works."""
    found = secret(password="x", expires_in_s=life)
    assert (found.password, found.password_origin) == (Sensitive("x"), None)
