"""The plan: which secret serves a registry, and how the agent gets its password."""

import base64
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.credential import AwsIdentity, AwsKeys, AzureIdentity, Credential, GoogleIdentity, TokenSource
from agent.model.login_source import AwsDefaults
from agent.model.plan import Plan, make_plan
from agent.model.problems.environment import NativeUnsupported, SecretInvalid, SecretShadowed, TokenNotRenewable
from agent.model.registry import Registry
from agent.model.secret import Kind, RegistrySecret, parse_secret
from agent.model.secret_formats import read_document
from agent.model.sensitive import Sensitive

ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
KEY_ID = "AKIAIOSFODNN7EXAMPLE"
NO_KEYS = "username must be runner-native, an AWS access key id (AKIA…, ASIA…), or AWS with a token"
ROLE = "arn:aws:iam::123456789012:role/pull"
DEFAULT_ROLE = "arn:aws:iam::123456789012:role/default"


def secret(name: str = "one", hostname: str = "ghcr.io", **fields: Any) -> RegistrySecret:
    value = {"name": name, "hostname": hostname, "username": "bot", "password": "hunter2", **fields}
    return parse_secret(value, "team.json", "[0]")


def plan_for(*secrets: RegistrySecret, exclude: tuple[str, ...] = (), **defaults: str) -> Plan:
    return make_plan(secrets, exclude, AwsDefaults(**defaults))


def served(plan: Plan) -> list[tuple[str, str]]:
    return [(login.registry.hostname, login.secret.name) for login in plan.logins]


def test_each_registry_is_served_once() -> None:
    """Different names of one registry count as one registry."""
    plan = plan_for(secret("hub-a", "docker.io"), secret("hub-b", "https://index.docker.io/v1/"), secret("ghcr"))
    assert sorted(served(plan)) == [("docker.io", "hub-a"), ("ghcr.io", "ghcr")]


@given(st.permutations(["zzz:user", "bbb:project", "aaa:project", "aaa:organization"]))
def test_user_beats_project_beats_organization_then_the_lower_name(order: list[str]) -> None:
    """The order of the secrets does not matter. Each secret that is not used gets its own notice."""
    plan = plan_for(*(secret(name, scope=scope) for name, scope in (each.split(":") for each in order)))
    assert served(plan) == [("ghcr.io", "zzz")]
    assert [type(problem) for problem in plan.problems] == [SecretShadowed] * 3
    without_user = plan_for(
        *(secret(*each.split(":")[:1], scope=each.split(":")[1]) for each in order if "user" not in each)
    )
    assert [login.secret.scope for login in without_user.logins] == ["project"]
    assert served(without_user) == [("ghcr.io", "aaa")]


def test_messages_name_the_file_of_a_secret_if_two_have_its_name() -> None:
    """Such as a copy of a file: the name alone does not show which of them is used."""
    old, new = (replace(secret("team"), origin=f"/s/{file}.json") for file in ("team-old", "team"))
    other = replace(secret("unlike"), origin="/s/unlike.json")
    plan = plan_for(new, other, old)
    assert [login.secret_label for login in plan.logins] == ["team of /s/team-old.json"]
    assert {problem.subject: problem.message for problem in plan.problems} == {
        "/s/team.json#team": "secret team (project) is not used: team of /s/team-old.json (project) also serves "
        "ghcr.io and takes precedence",
        "/s/unlike.json#unlike": "secret unlike (project) is not used: team of /s/team-old.json (project) also serves "
        "ghcr.io and takes precedence",
    }
    assert [login.secret_label for login in plan_for(new, other).logins] == ["team"]


def test_a_second_key_for_a_registry_in_a_docker_file_is_reported() -> None:
    """Docker uses one of the two, and so does the agent. The secrets of both keys have one name."""
    keys = {"H.example/team": {"username": "bot", "password": "old"}, "h.example": {"username": "bot", "password": "p"}}
    plan = plan_for(*read_document(json.dumps({"auths": keys}), "/s/team.json", "team").secrets)
    (login,) = plan.logins
    assert login.source == Credential("bot", Sensitive("p"))
    (notice,) = plan.problems
    assert "not used: another entry of /s/team.json also serves h.example" in notice.message


def test_a_disabled_secret_is_shown_but_does_not_hide_another() -> None:
    """It is skipped because a person chose so. An enabled secret of lower rank is used, without a notice."""
    off = secret("off", scope="user", enabled=False)
    (skipped,) = plan_for(off).skipped
    assert (skipped.secret.name, skipped.wanted) == ("off", False)
    both = plan_for(off, secret("low", scope="organization"))
    assert (served(both), both.skipped, both.problems) == ([("ghcr.io", "low")], (), ())


@pytest.mark.parametrize("host", ["ghcr.io", "registry.example.com", "[::1]", ECR])
def test_a_login_with_the_default_port_serves_images_without_it(host: str) -> None:
    """Docker compares names, and images of both names occur. A notice shows it."""
    plan = plan_for(secret("one", f"https://{host}:443/team"))
    assert sorted(served(plan)) == [(host, "one"), (f"{host}:443", "one")]
    (notice,) = plan.problems
    assert (notice.code, notice.severity, notice.subject) == ("secret_hostname", "notice", "team.json#one")
    assert f"{host}:443" in notice.message


@pytest.mark.parametrize(
    ("hostname", "name"), [("harbor", "harbor"), ("https://harbor/", "harbor"), ("org/app", "org")]
)
def test_a_name_that_docker_takes_for_a_part_of_docker_hub_is_logged_in_with_its_port(hostname: str, name: str) -> None:
    """No image uses a login under the name alone. The notice names the images that do, and Docker Hub."""
    plan = plan_for(secret("one", hostname))
    assert sorted(served(plan)) == [(name, "one"), (f"{name}:443", "one")]
    (notice,) = plan.problems
    assert (notice.code, notice.severity, notice.subject) == ("secret_hostname", "notice", "team.json#one")
    assert f"names {name}, but docker takes images that begin with {name}/ for images of Docker Hub" in notice.message
    assert f"begin with {name}:443/" in notice.hint
    assert "docker.io" in notice.hint


@pytest.mark.parametrize("hostname", ["localhost", "harbor:443", "harbor:5000", "ghcr.io", "[::1]"])
def test_a_name_that_images_have_is_logged_in_once(hostname: str) -> None:
    """Docker finds the registry in it: it has a dot or a port, or is localhost."""
    plan = plan_for(secret("one", hostname))
    assert (served(plan), plan.problems) == ([(hostname, "one")], ())


def test_the_best_secret_serves_both_names() -> None:
    """Not the one that was read last."""
    plan = plan_for(secret("aaa", "ghcr.io:443"), secret("bbb", "ghcr.io:443"))
    assert sorted(served(plan)) == [("ghcr.io", "aaa"), ("ghcr.io:443", "aaa")]


def test_a_default_port_adds_nothing_that_is_not_wanted() -> None:
    """Another secret serves the short name, one of the names is excluded, the secret is off, or the port is another."""
    port = secret("one", "ghcr.io:443")
    assert sorted(served(plan_for(port, secret("two")))) == [("ghcr.io", "two"), ("ghcr.io:443", "one")]
    assert served(plan_for(port, secret("two", enabled=False))) == [("ghcr.io:443", "one")]
    assert served(plan_for(port, exclude=("ghcr.io",))) == [("ghcr.io:443", "one")]
    assert served(plan_for(port, exclude=("ghcr.io:443",))) == []
    assert served(plan_for(secret("one", "ghcr.io:443", enabled=False))) == []
    assert served(plan_for(secret("one", "ghcr.io:8443"))) == [("ghcr.io:8443", "one")]
    assert served(plan_for(secret("one", "docker.io:443"))) == [("docker.io", "one")]


def test_a_skipped_registry_shows_the_reason_of_its_first_secret() -> None:
    """A person's choice, or the problem. A secret that is off comes last, whatever its scope is."""
    invalid = {"username": KEY_ID, "scope": "user"}
    plan = plan_for(
        *(secret("aaa", "excluded.example", **invalid), secret("bbb", "excluded.example")),
        *(secret("off", "off.example", enabled=False), secret("off-too", "off.example", **invalid, enabled=False)),
        *(secret("bad", "bad.example", **invalid), secret("worse", "bad.example", username="runner-native")),
        secret("off-bad", "bad.example", scope="user", enabled=False),
        exclude=("excluded.example",),
    )
    shown = {skip.registry.hostname: (skip.secret.name, skip.reason, skip.wanted) for skip in plan.skipped}
    assert shown["excluded.example"] == ("aaa", "listed in secrets.exclude", False)
    assert shown["off.example"] == ("off-too", "disabled in the secret", False)
    assert shown["bad.example"] == ("bad", next(each.message for each in plan.problems if "bad" in each.message), True)
    assert [type(problem) for problem in plan.problems] == [SecretInvalid, NativeUnsupported]
    assert all(skip.registry == skip.secret.registry for skip in plan.skipped)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [({}, Kind.BASIC), ({"username": KEY_ID}, Kind.BASIC), ({"hostname": ECR, "username": KEY_ID}, Kind.ECR)],
)
def test_a_skipped_registry_shows_its_kind(fields: dict[str, Any], kind: Kind) -> None:
    """As if it were enabled. A secret that cannot work counts as a password."""
    (skipped,) = plan_for(secret(enabled=False, **fields)).skipped
    assert skipped.kind is kind


hosts = st.sampled_from(["ghcr.io", "quay.io", "docker.io", ECR, "public.ecr.aws", "excluded.example"])
users = st.sampled_from(["bot", "runner-native", KEY_ID, "AWS"])
scopes = st.sampled_from(["user", "project", "organization"])
any_secret = st.builds(secret, st.text("abc", min_size=3), hosts, username=users, scope=scopes, enabled=st.booleans())


@given(st.lists(any_secret, max_size=8))
def test_each_registry_is_planned_as_if_it_were_the_only_one(secrets: list[RegistrySecret]) -> None:
    """What is wrong with one registry changes nothing for the others, and none is forgotten."""
    alone = [
        plan_for(*(each for each in secrets if each.registry == registry), exclude=("excluded.example",))
        for registry in {each.registry for each in secrets}
    ]
    together = plan_for(*secrets, exclude=("excluded.example",))
    for part in ("logins", "skipped", "problems"):
        assert Counter(getattr(together, part)) == Counter(each for one in alone for each in getattr(one, part))
    assert len(together.logins) + len(together.skipped) == len(alone)


def test_an_excluded_registry_is_skipped() -> None:
    """Any of its names works in the list, and its secrets get no warnings."""
    plan = plan_for(secret("aaa", "docker.io"), secret("bbb", "docker.io"), exclude=("https://Hub.Docker.com/",))
    assert (plan.logins, plan.problems) == ((), ())
    assert [skip.wanted for skip in plan.skipped] == [False]


def test_if_a_secret_cannot_be_used_the_next_one_is() -> None:
    """The first one gets a problem with the reason, and no notice that it is shadowed."""
    native = secret("native", scope="user", username="runner-native")
    plan = plan_for(native, secret("low", scope="organization"))
    assert served(plan) == [("ghcr.io", "low")]
    assert [type(problem) for problem in plan.problems] == [NativeUnsupported]


def test_if_no_secret_can_be_used_the_registry_is_skipped() -> None:
    """Each secret has its own problem, and none is reported as shadowed."""
    plan = plan_for(secret("aaa", username="runner-native"), secret("bbb", username=KEY_ID))
    assert (plan.logins, [skip.secret.name for skip in plan.skipped]) == ((), ["aaa"])
    assert [type(problem) for problem in plan.problems] == [NativeUnsupported, SecretInvalid]


def test_a_password_is_used_as_it_is() -> None:
    """Also on ECR, if the user name is not one that AWS uses."""
    for hostname in ("ghcr.io", ECR):
        (login,) = plan_for(secret(hostname=hostname)).logins
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
        ({**NO_LOGIN, "profile": "team"}, Kind.ECR, AwsIdentity("eu-west-1", profile="team")),
        ({"username": KEY_ID, "profile": "team"}, Kind.ECR, AwsIdentity("eu-west-1", keys=KEYS)),
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
            {"username": KEY_ID, "hostname": "vpce.example", "kind": "ecr-public", "region": "eu-west-3"},
            Kind.ECR_PUBLIC,
            AwsIdentity("us-east-1", public=True, keys=KEYS),
        ),
        ({"username": KEY_ID, "external_id": "for a role"}, Kind.ECR, AwsIdentity("eu-west-1", keys=KEYS)),
        (
            {"username": "runner-native", "hostname": "cname.example", "kind": "ecr"},
            Kind.ECR,
            AwsIdentity("eu-north-1", role_arn=DEFAULT_ROLE),
        ),
    ],
)
def test_which_identity_requests_the_token(fields: dict[str, Any], kind: Kind, identity: AwsIdentity) -> None:
    """The region comes from the host name, else the secret, else aws.region. aws.role_arn is only for runner-native."""
    plan = plan_for(secret(**{"hostname": ECR, **fields}), region="eu-north-1", role_arn=DEFAULT_ROLE)
    (login,) = plan.logins
    assert (login.kind, login.source, plan.problems) == (kind, identity, ())
    assert login.registry == login.secret.registry


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (
            {"username": KEY_ID},
            (
                "AWS keys for ghcr.io, which is not an ECR host name: set kind to ecr and set the region "
                "(or to basic, to send the keys there as a password)"
            ),
        ),
        (
            {"username": KEY_ID, "hostname": f"{ECR}.evil.example"},
            (
                f"AWS keys for {ECR}.evil.example, which is not an ECR host name: set kind to ecr and set the region "
                "(or to basic, to send the keys there as a password)"
            ),
        ),
        (
            {"username": KEY_ID, "hostname": "vpce.example", "kind": "ecr"},
            "region is missing: vpce.example does not contain it, and aws.region is not set",
        ),
        ({"hostname": ECR, "kind": "ecr"}, NO_KEYS),
        ({"hostname": ECR, "role_arn": ROLE}, NO_KEYS),
    ],
)
def test_an_aws_secret_that_cannot_work_gets_a_reason(fields: dict[str, Any], fault: str) -> None:
    """It is skipped, and nothing from it is sent to that registry. The message never contains the password."""
    plan = plan_for(secret(**fields))
    assert plan.problems == (SecretInvalid("team.json#one", f"secret one of team.json: {fault}"),)
    assert (plan.logins, [skip.wanted for skip in plan.skipped]) == ((), [True])


@pytest.mark.parametrize("login", [{}, {"username": "bot"}, {"password": Sensitive("hunter2")}])
def test_a_password_login_needs_user_name_and_password(login: dict[str, Any]) -> None:
    """The parser refuses such a secret of a person. The plan does not rely on it."""
    plan = plan_for(RegistrySecret("one", Registry("ghcr.io"), "team.json", kind=Kind.BASIC, **login))
    fault = "secret one of team.json: username and password are required"
    assert plan.problems == (SecretInvalid("team.json#one", fault),)


@pytest.mark.parametrize("login", [{"username": KEY_ID}, {"username": "bot", "password": Sensitive("hunter2")}])
def test_an_aws_login_needs_both_parts_of_the_keys(login: dict[str, Any]) -> None:
    """A password that does not belong to AWS keys is never sent to AWS."""
    plan = plan_for(RegistrySecret("one", Registry(ECR), "team.json", kind=Kind.ECR, **login))
    assert plan.problems == (SecretInvalid("team.json#one", f"secret one of team.json: {NO_KEYS}"),)


GAR = "europe-west1-docker.pkg.dev"
ACR = "acmedev.azurecr.io"
NATIVE: dict[str, Any] = {"username": "runner-native", "password": None}
ACCOUNT = "pull@acme.iam.gserviceaccount.com"
CLIENT = "6b1c2d3e-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("fields", "kind", "source"),
    [
        ({"hostname": GAR, **NATIVE}, Kind.GAR, GoogleIdentity()),
        ({"hostname": GAR, **NATIVE, "google_service_account": ACCOUNT}, Kind.GAR, GoogleIdentity(ACCOUNT)),
        ({"hostname": GAR, **NO_LOGIN, "google_service_account": ACCOUNT}, Kind.GAR, GoogleIdentity(ACCOUNT)),
        ({"hostname": "a.example", **NO_LOGIN, "kind": "gar"}, Kind.GAR, GoogleIdentity()),
        ({"hostname": ACR, **NATIVE}, Kind.ACR, AzureIdentity(Registry(ACR))),
        ({"hostname": ACR, **NO_LOGIN, "azure_client_id": CLIENT}, Kind.ACR, AzureIdentity(Registry(ACR), CLIENT)),
        ({"hostname": "a.example", **NATIVE, "kind": "acr"}, Kind.ACR, AzureIdentity(Registry("a.example"))),
    ],
)
def test_google_and_azure_take_the_environments_own_identity(
    fields: dict[str, Any], kind: Kind, source: TokenSource
) -> None:
    """By host name, or by an explicit kind on any other host."""
    plan = plan_for(secret(**fields))
    (login,) = plan.logins
    assert (login.kind, login.source, plan.problems) == (kind, source, ())


@pytest.mark.parametrize("kind", ["auto", "gar", "acr", "basic"])
@pytest.mark.parametrize("hostname", [GAR, ACR, "a.example"])
def test_a_password_for_google_or_azure_is_used_as_it_is(hostname: str, kind: str) -> None:
    """Such as the key of a service account, or the secret of a service principal."""
    (login,) = plan_for(secret(hostname=hostname, kind=kind)).logins
    assert (login.kind, login.source) == (Kind.BASIC, Credential("bot", Sensitive("hunter2")))


@pytest.mark.parametrize("hostname", [f"{GAR}.evil.example", f"{ACR}.evil.example", "europe-west1-npm.pkg.dev"])
@pytest.mark.parametrize("kind", ["auto", "basic"])
def test_no_other_host_gets_a_token_without_an_explicit_kind(hostname: str, kind: str) -> None:
    plan = plan_for(secret(hostname=hostname, kind=kind, **NATIVE))
    assert plan.logins == ()
    assert [type(problem) for problem in plan.problems] == [NativeUnsupported]


def test_runner_native_is_supported_only_on_registries_of_clouds() -> None:
    """The subject of the warning is the registry."""
    message = (
        "secret one is runner-native (this environment's own identity), but ghcr.io is not a registry of AWS, Google "
        "or Azure"
    )
    assert plan_for(secret(username="runner-native")).problems == (NativeUnsupported("ghcr.io", message),)


def ecr_token(**fields: Any) -> str:
    return base64.b64encode(json.dumps({"payload": "p", "version": "2", **fields}).encode()).decode()


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"hostname": ECR}, Kind.ECR),
        ({"hostname": ECR, "kind": "ecr"}, Kind.ECR),
        ({"hostname": ECR, "kind": "ecr-public"}, Kind.ECR),
        ({"hostname": "public.ecr.aws"}, Kind.ECR_PUBLIC),
        ({"hostname": "public.ecr.aws", "kind": "ecr"}, Kind.ECR_PUBLIC),
        ({"kind": "ecr"}, Kind.ECR),
        ({"kind": "ecr-public"}, Kind.ECR_PUBLIC),
    ],
)
def test_a_ready_token_is_used_with_a_notice(fields: dict[str, Any], kind: Kind) -> None:
    """The expiry is read from the token itself."""
    plan = plan_for(secret(username="AWS", password=ecr_token(expiration=1767225600), **fields))
    (login,) = plan.logins
    assert isinstance(login.source, Credential)
    assert (login.source.username, login.source.password) == ("AWS", login.secret.password)
    assert login.source.expires_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert login.source.renew_at is None
    assert (login.registry, login.kind) == (login.secret.registry, kind)
    message = "secret one contains a ready ECR token, which works until it expires and cannot be renewed"
    assert plan.problems == (TokenNotRenewable(login.registry.hostname, message),)


@pytest.mark.parametrize(
    "token",
    ["opaque", "=", ecr_token(), ecr_token(expiration="soon"), ecr_token(expiration=10**30), "bnVsbA==", "W10="],
)
def test_a_ready_token_without_an_expiry_is_used(token: str) -> None:
    """The agent then does not know when it expires."""
    (login,) = plan_for(secret(hostname=ECR, username="AWS", password=token)).logins
    assert isinstance(login.source, Credential)
    assert login.source.expires_at is None
