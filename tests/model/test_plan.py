"""From secrets to logins: which secret serves a registry, and how its password comes about."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.credential import AwsIdentity, AwsKeys, Credential
from agent.model.plan import AwsDefaults, Plan, make_plan
from agent.model.problems.environment import NativeUnsupported, SecretInvalid, SecretShadowed, TokenNotRenewable
from agent.model.secret import Kind, RegistrySecret, parse_secret
from agent.model.sensitive import Sensitive

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
ROLE = "arn:aws:iam::123456789012:role/pull"
DEFAULT_ROLE = "arn:aws:iam::123456789012:role/default"


def secret(name: str = "one", hostname: str = "ghcr.io", **fields: Any) -> RegistrySecret:
    value = {"name": name, "hostname": hostname, "username": "bot", "password": "hunter2", **fields}
    return parse_secret(value, "team.json", "[0]")


def plan(*secrets: RegistrySecret, exclude: tuple[str, ...] = (), **defaults: str) -> Plan:
    return make_plan(secrets, exclude, AwsDefaults(**defaults))


def served(given: Plan) -> list[tuple[str, str]]:
    return [(login.registry.hostname, login.secret.name) for login in given.logins]


def test_each_registry_is_served_once() -> None:
    """Names that mean one registry are one registry."""
    given = plan(secret("hub-a", "docker.io"), secret("hub-b", "https://index.docker.io/v1/"), secret("ghcr"))
    assert sorted(served(given)) == [("docker.io", "hub-a"), ("ghcr.io", "ghcr")]


@given(st.permutations(["zzz:user", "bbb:project", "aaa:project", "aaa:organization"]))
def test_user_beats_project_beats_organization_then_the_lower_name(order: list[str]) -> None:
    """In whatever order they come; each of the others gets a notice of its own."""
    given = plan(*(secret(name, scope=scope) for name, scope in (each.split(":") for each in order)))
    assert served(given) == [("ghcr.io", "zzz")]
    assert [type(problem) for problem in given.problems] == [SecretShadowed] * 3
    without_user = plan(
        *(secret(*each.split(":")[:1], scope=each.split(":")[1]) for each in order if "user" not in each)
    )
    assert [login.secret.scope for login in without_user.logins] == ["project"]
    assert served(without_user) == [("ghcr.io", "aaa")]


def test_a_disabled_secret_is_shown_and_hides_no_other() -> None:
    """It is skipped on a person's wish; an enabled one of lower rank serves, without a notice."""
    off = secret("off", scope="user", enabled=False)
    (skipped,) = plan(off).skipped
    assert (skipped.secret.name, skipped.wanted) == ("off", False)
    both = plan(off, secret("low", scope="organization"))
    assert (served(both), both.skipped, both.problems) == ([("ghcr.io", "low")], (), ())


def test_an_excluded_registry_is_left_alone() -> None:
    """By any of its names, and without a complaint about its secrets."""
    given = plan(secret("aaa", "docker.io"), secret("bbb", "docker.io"), exclude=("https://Hub.Docker.com/",))
    assert (given.logins, given.problems) == ((), ())
    assert [skip.wanted for skip in given.skipped] == [False]


def test_a_secret_that_cannot_be_used_gives_way_to_the_next() -> None:
    """It is told why, and is not called shadowed beside."""
    native = secret("native", scope="user", username="runner-native")
    given = plan(native, secret("low", scope="organization"))
    assert served(given) == [("ghcr.io", "low")]
    assert [type(problem) for problem in given.problems] == [NativeUnsupported]


def test_secrets_that_all_cannot_be_used_are_one_skipped_registry() -> None:
    """Each has its own problem, none is called shadowed."""
    given = plan(secret("aaa", username="runner-native"), secret("bbb", username=KEY_ID))
    assert (given.logins, [skip.secret.name for skip in given.skipped]) == ((), ["aaa"])
    assert [type(problem) for problem in given.problems] == [NativeUnsupported, SecretInvalid]


def test_a_password_is_used_as_it_is() -> None:
    """On ECR too, where the user name is none of AWS's."""
    for hostname in ("ghcr.io", ECR):
        (login,) = plan(secret(hostname=hostname)).logins
        assert (login.kind, login.source) == (Kind.BASIC, Credential("bot", Sensitive("hunter2")))


KEYS = AwsKeys(KEY_ID, Sensitive("hunter2"))
NO_LOGIN: dict[str, Any] = {"username": None, "password": None}


@pytest.mark.parametrize(
    ("fields", "kind", "identity"),
    [
        ({"username": KEY_ID}, Kind.ECR, AwsIdentity("eu-west-1", keys=KEYS)),
        (
            {"username": "ASIAIOSFODNN7EXAMPLE", "session_token": "token"},
            Kind.ECR,
            AwsIdentity("eu-west-1", keys=AwsKeys("ASIAIOSFODNN7EXAMPLE", Sensitive("hunter2"), Sensitive("token"))),
        ),
        (
            {"username": KEY_ID, "role_arn": ROLE, "external_id": "x"},
            Kind.ECR,
            AwsIdentity("eu-west-1", keys=KEYS, role_arn=ROLE, external_id="x"),
        ),
        ({**NO_LOGIN, "role_arn": ROLE}, Kind.ECR, AwsIdentity("eu-west-1", role_arn=ROLE)),
        ({"username": "runner-native"}, Kind.ECR, AwsIdentity("eu-west-1", role_arn=DEFAULT_ROLE)),
        ({"username": "runner-native", "role_arn": ROLE}, Kind.ECR, AwsIdentity("eu-west-1", role_arn=ROLE)),
        ({"username": KEY_ID, "region": "us-east-2"}, Kind.ECR, AwsIdentity("eu-west-1", keys=KEYS)),
        (
            {"username": KEY_ID, "hostname": "public.ecr.aws"},
            Kind.ECR_PUBLIC,
            AwsIdentity("us-east-1", public=True, keys=KEYS),
        ),
        (
            {"username": KEY_ID, "hostname": "ecr-public.aws.com", "kind": "ecr", "region": "eu-west-1"},
            Kind.ECR_PUBLIC,
            AwsIdentity("us-east-1", public=True, keys=KEYS),
        ),
        (
            {"username": KEY_ID, "hostname": "vpce.example:5000", "kind": "ecr", "region": "eu-west-3"},
            Kind.ECR,
            AwsIdentity("eu-west-3", keys=KEYS),
        ),
        (
            {"username": "runner-native", "hostname": "cname.example", "kind": "ecr"},
            Kind.ECR,
            AwsIdentity("eu-north-1", role_arn=DEFAULT_ROLE),
        ),
    ],
)
def test_whose_identity_asks_for_the_token(fields: dict[str, Any], kind: Kind, identity: AwsIdentity) -> None:
    """The host name tells the region, else the secret, else aws.region; aws.role_arn is for runner-native alone."""
    given = plan(secret(**{"hostname": ECR, **fields}), region="eu-north-1", role_arn=DEFAULT_ROLE)
    (login,) = given.logins
    assert (login.kind, login.source, given.problems) == (kind, identity, ())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"username": KEY_ID}, "not an ECR host name"),
        ({"username": KEY_ID, "hostname": f"{ECR}.evil.example"}, "not an ECR host name"),
        ({"username": KEY_ID, "hostname": "vpce.example", "kind": "ecr"}, "region is missing"),
        ({"hostname": ECR, "kind": "ecr"}, "username must be runner-native"),
        ({"hostname": ECR, "role_arn": ROLE}, "username must be runner-native"),
    ],
)
def test_an_aws_secret_that_cannot_work_is_told_why(fields: dict[str, Any], words: str) -> None:
    """It is skipped, and nothing of it goes to that registry."""
    given = plan(secret(**fields))
    (problem,) = given.problems
    assert isinstance(problem, SecretInvalid)
    assert words in problem.message
    assert "hunter2" not in problem.message
    assert (given.logins, [skip.wanted for skip in given.skipped]) == ((), [True])


def test_runner_native_elsewhere_is_not_supported() -> None:
    """Its subject is the registry."""
    (problem,) = plan(secret(username="runner-native")).problems
    assert problem.key == ("native_unsupported", "ghcr.io")


def ecr_token(**fields: Any) -> str:
    return base64.b64encode(json.dumps({"payload": "p", "version": "2", **fields}).encode()).decode()


@pytest.mark.parametrize("fields", [{"hostname": ECR}, {"hostname": "public.ecr.aws"}, {"kind": "ecr"}])
def test_a_ready_token_is_used_with_a_notice(fields: dict[str, Any]) -> None:
    """When it ends is read from the token itself."""
    given = plan(secret(username="AWS", password=ecr_token(expiration=1767225600), **fields))
    (login,) = given.logins
    assert isinstance(login.source, Credential)
    assert login.source.username == "AWS"
    assert login.source.expires_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert login.source.renew_at is None
    assert [type(problem) for problem in given.problems] == [TokenNotRenewable]


@pytest.mark.parametrize(
    "token",
    ["opaque", "=", ecr_token(), ecr_token(expiration="soon"), ecr_token(expiration=10**30), "bnVsbA==", "W10="],
)
def test_a_ready_token_that_tells_no_end_has_none(token: str) -> None:
    """It is used all the same."""
    (login,) = plan(secret(hostname=ECR, username="AWS", password=token)).logins
    assert isinstance(login.source, Credential)
    assert login.source.expires_at is None
