"""A registry secret is checked when it is parsed, and never printed."""

import base64
import json
import pickle
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.problem import ProblemError
from agent.model.problems.environment import SecretInvalid
from agent.model.registry import Registry
from agent.model.secret import Kind, RegistrySecret, Scope, parse_secret
from agent.model.secret_formats import read_document
from agent.model.sensitive import Sensitive
from tests.problems import raises_problem

PASSWORD = "hunter2-hunter2"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
ROLE = "arn:aws:iam::123456789012:role/team/pull"


def secret(**fields: Any) -> dict[str, Any]:
    return {"name": "team-ghcr", "hostname": "ghcr.io", "username": "bot", "password": PASSWORD, **fields}


def fault(value: object) -> SecretInvalid:
    with raises_problem(SecretInvalid) as caught:
        parse_secret(value, "team.json", "[2]")
    return caught.value


def test_every_field_is_read() -> None:
    """Missing fields get their defaults."""
    full = secret(
        hostname=ECR,
        username="ASIAIOSFODNN7EXAMPLE",
        scope="user",
        enabled=False,
        kind="ecr",
        region="eu-west-1",
        role_arn=ROLE,
        external_id="x-1",
        session_token="token",
        profile="team",
    )
    assert parse_secret(full, "team.json", "[2]") == RegistrySecret(
        name="team-ghcr",
        registry=Registry(ECR),
        origin="team.json",
        username="ASIAIOSFODNN7EXAMPLE",
        password=Sensitive(PASSWORD),
        scope=Scope.USER,
        enabled=False,
        kind=Kind.ECR,
        region="eu-west-1",
        role_arn=ROLE,
        external_id="x-1",
        session_token=Sensitive("token"),
        profile="team",
    )
    plain = parse_secret(secret(unknown=1), "team.json", "[2]")
    assert (plain.scope, plain.enabled, plain.kind, plain.region) == (Scope.PROJECT, True, Kind.AUTO, None)


def test_a_secret_never_prints() -> None:
    """Not by repr, format or JSON. It cannot be pickled either."""
    parsed = parse_secret(secret(session_token=PASSWORD), "team.json", "[2]")
    assert PASSWORD not in f"{parsed} {parsed!r} {parsed.password}"
    with pytest.raises(TypeError):
        json.dumps(parsed.password)
    with pytest.raises(TypeError):
        pickle.dumps(parsed.password)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("text", "must be a JSON object"),
        (secret(hostname=None), "hostname is missing"),
        (secret(hostname=f"https://bot:{PASSWORD}@ghcr.io"), "user name"),
        (secret(hostname=["ghcr.io"]), "hostname must be a string"),
        (secret(name=""), "name is missing"),
        (secret(name="ab"), "3 to 127"),
        (secret(name="a" * 128), "3 to 127"),
        (secret(name="a.b.c"), "3 to 127"),
        (secret(name="a\tbc"), "control character"),
        (secret(username=None), "username is missing"),
        (secret(username="bob:x"), "colon"),
        (secret(username=7), "username must be a string"),
        (secret(password=""), "password is missing or empty"),
        (secret(password="\r\n"), "password is missing or empty"),
        (secret(password="   "), "password is missing or empty"),
        (secret(password=f"{PASSWORD}\0x"), "password contains a NUL character"),
        (secret(password=f"{PASSWORD}\ud800"), "not valid Unicode"),
        (secret(password=PASSWORD * 10_000), "longer than"),
        (secret(scope="team"), "scope must be one of user, project, organization"),
        (secret(kind="gcr"), "kind must be one of auto, basic, ecr, ecr-public"),
        (secret(enabled="maybe"), "enabled must be true or false"),
        (secret(region="Ireland"), "region must be an AWS region"),
        (secret(role_arn="pull"), "role_arn must be a role's ARN"),
        (secret(username=None, password=None, role_arn=ROLE), "username is missing"),
    ],
)
def test_a_problem_shows_the_file_and_the_name_but_no_value(value: object, words: str) -> None:
    """Whatever is wrong, the message contains no password."""
    problem = fault(value)
    assert words in problem.message
    assert "team.json" in problem.message
    assert problem.subject.startswith("team.json#")
    assert PASSWORD not in f"{problem.message} {problem.subject} {problem!r}"


def test_without_a_name_the_problem_shows_the_position() -> None:
    """`[2]` is the third item of a list."""
    assert fault({"hostname": "ghcr.io"}).subject == "team.json#[2]"
    assert fault(secret(hostname="")).subject == "team.json#team-ghcr"


def test_a_secret_without_a_name_gets_a_default_name() -> None:
    """A name in the secret takes precedence. A file name with control characters is made printable."""
    nameless = secret(name=None, hostname="https://index.docker.io/v1/")
    assert parse_secret(nameless, "f", "x", "gitpod").name == "gitpod-docker.io"
    assert parse_secret(nameless, "f", "x", "a\x1b\udc80b").name == "a b-docker.io"
    assert parse_secret(secret(), "f", "x", "gitpod").name == "team-ghcr"


KEY: Final = f"-----BEGIN-----\n{PASSWORD}\n-----END-----\n"
GOOGLE: Final = {"type": "service_account", "project_id": "x", "private_key": KEY}
LINES: Final = json.dumps(GOOGLE, indent=2)


@pytest.mark.parametrize("password", [LINES, LINES.replace("\n", "\r\n"), "a\tb", "a\x01b", "a\nb", "\x1b[0m"])
def test_a_password_is_whatever_docker_accepts(password: str) -> None:
    """Also a Google key over many lines, exactly as it is."""
    assert parse_secret(secret(password=f"{password}\n"), "f", "x").password == Sensitive(password)
    assert parse_secret(secret(username="_json_key", password=password), "f", "x").password == Sensitive(password)


@pytest.mark.parametrize(
    "password",
    [GOOGLE, json.dumps(LINES), f"'{LINES}'", LINES.replace('"', '\\"'), base64.b64encode(LINES.encode()).decode()],
    ids=["an object", "encoded twice", "in quotes", "with backslashes", "base64"],
)
def test_a_google_key_is_found_in_what_is_around_it(password: object) -> None:
    """The registry accepts only the key itself."""
    parsed = parse_secret(secret(hostname="gcr.io", username="_json_key", password=password), "f", "x").password
    assert parsed is not None
    assert json.loads(parsed.reveal()) == GOOGLE


TOKEN: Final = base64.b64encode(json.dumps({"payload": "x" * 90, "datakey": "y", "expiration": 1}).encode()).decode()
PASTED: Final = {
    "as it is": TOKEN,
    "with AWS: in front": f"AWS:{TOKEN}",
    "the authorizationToken": base64.b64encode(f"AWS:{TOKEN}".encode()).decode(),
    "the authorizationToken with a line end": base64.b64encode(f"AWS:{TOKEN}\n".encode()).decode(),
    "in lines": "\n".join(TOKEN[n : n + 60] for n in range(0, len(TOKEN), 60)),
    "the authorizationToken in lines": base64.encodebytes(f"AWS:{TOKEN}".encode()).decode(),
}


@pytest.mark.parametrize("user", ["AWS", "aws", " Aws\n", None, "ada"], ids=["AWS", "aws", "blanks", "none", "ada"])
@pytest.mark.parametrize("form", PASTED)
@pytest.mark.parametrize("host", [ECR, f"{ECR}:443", "public.ecr.aws", "vpce.example"])
def test_an_ecr_token_is_used_in_each_form(form: str, user: str | None, host: str) -> None:
    """ECR accepts only the user name AWS and the bare token."""
    kind = "ecr" if host == "vpce.example" else "auto"
    parsed = parse_secret(secret(hostname=host, username=user, password=PASTED[form], kind=kind), "f", "x")
    assert (parsed.username, parsed.password) == ("AWS", Sensitive(TOKEN))


def test_only_ecr_gets_an_ecr_login() -> None:
    """Elsewhere a user may be called aws, and a password may begin with AWS:."""
    parsed = parse_secret(secret(username="aws", password="AWS:x"), "f", "x")
    assert (parsed.username, parsed.password) == ("aws", Sensitive("AWS:x"))


def test_an_auth_of_docker_is_a_login() -> None:
    """If the secret has no user name and password of its own."""
    auth = base64.b64encode(f"bot:{PASSWORD}".encode()).decode()
    parsed = parse_secret(secret(username=None, password=None, auth=auth), "f", "x")
    assert (parsed.username, parsed.password) == ("bot", Sensitive(PASSWORD))
    assert parse_secret(secret(password="own", auth=auth), "f", "x").password == Sensitive("own")
    assert "auth is not the base64" in fault(secret(username=None, password=None, auth=PASSWORD)).message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"bot:{PASSWORD}\n", ("bot", PASSWORD)),
        (f" bot :{PASSWORD}\r\n", ("bot", PASSWORD)),
        (f"bot:{PASSWORD}\0x", "password contains a NUL character"),
        (f"b\not:{PASSWORD}", "username contains a control character"),
        ("bot:\n", "password is missing or empty"),
        (f":{PASSWORD}", "username is missing"),
    ],
)
def test_an_auth_obeys_the_rules_of_its_two_fields(text: str, expected: tuple[str, str] | str) -> None:
    """`echo bot:p | base64` ends with a line end. A Docker file with this `auth` gives the same login."""
    auth = base64.b64encode(text.encode()).decode()
    fields = secret(username=None, password=None, auth=auth)
    docker = read_document(json.dumps({"auths": {"ghcr.io": {"auth": auth}}}), "f", "x")
    if isinstance(expected, str):
        assert expected in fault(fields).message
        assert docker.secrets == ()
    else:
        parsed = parse_secret(fields, "f", "x")
        assert (parsed.username, parsed.password) == (expected[0], Sensitive(expected[1]))
        assert (docker.secrets[0].username, docker.secrets[0].password) == (parsed.username, parsed.password)


@pytest.mark.parametrize("field", ["hostname", "username", "region", "kind", "scope", "external_id", "session_token"])
def test_blanks_and_line_ends_around_a_field_do_not_count(field: str) -> None:
    """Docker cuts them too."""
    full = secret(region="eu-west-1", kind="ecr", scope="user", external_id="x", session_token="t")
    for blanks in (" \r\n", "\u200b", "\ufeff", "\u00a0", "\u200e \u200f", "\u00ad\n"):
        assert parse_secret({**full, field: f"{blanks}{full[field]}{blanks}"}, "f", "x") == parse_secret(full, "f", "x")


def test_the_line_end_of_a_password_file_is_removed() -> None:
    """Editors add it. Spaces stay."""
    assert parse_secret(secret(password=" pass word \r\n"), "f", "x").password == Sensitive(" pass word ")


@pytest.mark.parametrize(
    "fields",
    [
        {"hostname": ECR, "username": None, "password": None, "role_arn": ROLE},
        {"hostname": ECR, "username": None, "password": None, "profile": "team"},
        {"hostname": "vpce.example", "kind": "ecr", "username": None, "password": None, "role_arn": ROLE},
        {"hostname": ECR, "username": "runner-native", "password": None},
        {"hostname": "ghcr.io", "username": "runner-native", "password": "ignored"},
    ],
)
def test_ecr_needs_no_password_with_a_role_or_the_platforms_identity(fields: dict[str, Any]) -> None:
    """All other logins need a user name and a password."""
    assert parse_secret(secret(**fields), "f", "x").registry.hostname == fields["hostname"]


@pytest.mark.parametrize(("text", "enabled"), [("true", True), (" No ", False), ("", True), (None, True), ("0", False)])
def test_a_flag_may_be_a_string(text: str | None, enabled: bool) -> None:
    """In a subdirectory, every field is a file with text."""
    assert parse_secret(secret(enabled=text), "f", "x").enabled is enabled


any_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
any_secret = st.fixed_dictionaries(
    {"hostname": st.sampled_from(["ghcr.io", ECR, "docker.io"]) | any_json},
    optional=dict.fromkeys(("name", "username", "password", "scope", "enabled", "kind", "region"), any_json),
)


@given(any_json | any_secret, st.none() | st.text(max_size=10))
def test_any_object_is_a_secret_or_a_problem(value: object, default_name: str | None) -> None:
    """Only SecretInvalid is raised, and every accepted value can be encoded."""
    try:
        parsed = parse_secret(value, "f", "x", default_name)
    except ProblemError as error:
        assert isinstance(error.problem, SecretInvalid)  # noqa: PT017 - any other outcome is fine
        error.problem.message.encode()
        return
    parsed.name.encode()
    assert parsed.password is None or parsed.password.reveal().encode()


@pytest.mark.parametrize("username", ["AKIAEXAMPLE", "akiaiosfodnn7example", "ASIA", "AKIA" + 200 * "A"])
@pytest.mark.parametrize("fields", [{"hostname": ECR}, {"hostname": "ecr.example.com", "kind": "ecr"}])
def test_a_mistyped_aws_key_id_is_never_sent_as_a_user_name(fields: dict[str, str], username: str) -> None:
    """The warning names the field. Elsewhere, and with the kind basic, it is a user name like any other."""
    assert "username begins like an AWS access key id" in fault(secret(username=username, **fields)).message
    for other in ({"hostname": "ghcr.io"}, {"hostname": ECR, "kind": "basic"}):
        assert parse_secret(secret(username=username, **other), "team.json", "[2]").username == username


@pytest.mark.parametrize("username", ["Runner-Native", "RUNNER-NATIVE", " runner-native "])
def test_runner_native_may_be_written_in_any_case(username: str) -> None:
    """As `kind` and `scope`. The hint about a missing password would be wrong."""
    assert parse_secret(secret(hostname=ECR, username=username, password=None), "team.json", "[2]").native
