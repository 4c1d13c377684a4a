"""What a password source may give: text, one JSON object, or a kubelet's response. No message quotes it."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.credential_output import LONGEST, OutputError, parse_output
from agent.model.kubelet_response import parse_duration, request_for
from agent.model.registry import Registry

HOST = Registry("registry.example.com")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = "hunter2-secret"


def token(**claims: object) -> str:
    """A JSON Web Token."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims)]
    return f"{parts[0]}.{parts[1]}.signature"


def parsed(output: str | dict[str, Any], registry: Registry = HOST) -> tuple[str | None, str, datetime | None]:
    text = output if isinstance(output, str) else json.dumps(output)
    found = parse_output(text.encode(), registry, NOW)
    return found.username, found.password.reveal(), found.expires_at


@pytest.mark.parametrize(
    ("text", "password"),
    [
        (SECRET, SECRET),
        (f"{SECRET}\n", SECRET),
        (f"{SECRET}\r\n", SECRET),
        (f"{SECRET}\n\n", f"{SECRET}\n"),
        (f" {SECRET} ", f" {SECRET} "),
        ("two\nlines\n", "two\nlines"),
        ('"quoted"', '"quoted"'),
        ("pässwörd\n", "pässwörd"),
    ],
)
def test_text_is_the_password_without_one_line_break(text: str, password: str) -> None:
    """As it is. Only the line break that every program prints at the end is removed."""
    assert parsed(text) == (None, password, None)


@pytest.mark.parametrize("key", ["password", "Secret", "token", "access_token", "refresh_token", "accessToken"])
@pytest.mark.parametrize("user", ["username", "Username"])
def test_each_known_key_holds_the_password(key: str, user: str) -> None:
    """Of a helper, of OAuth, of Azure's CLI and of others. Other keys are ignored, and so are empty ones."""
    assert parsed({key: SECRET, user: "ada", "token_type": "Bearer", "id_token": ""}) == ("ada", SECRET, None)
    others = {"password", "token"} - {key}
    assert parsed({key: SECRET, **dict.fromkeys(others, "")}) == (None, SECRET, None)


def test_two_passwords_are_an_error_that_names_the_keys() -> None:
    """The same password under two keys, as token servers send it, is one."""
    with pytest.raises(OutputError, match="access_token, refresh_token") as caught:
        parsed({"access_token": SECRET, "refresh_token": "another-secret"})
    assert SECRET not in str(caught.value)
    assert "another" not in str(caught.value)
    assert parsed({"token": SECRET, "access_token": SECRET}) == (None, SECRET, None)


@pytest.mark.parametrize(
    "end",
    [
        {"expires_at": "2026-01-01T01:00:00Z"},
        {"expiration": "2026-01-01T02:00:00+01:00"},
        {"Expiration": "2026-01-01T01:00:00.000000000Z"},
        {"expirationTimestamp": "2026-01-01T01:00:00Z"},
        {"expireTime": "2026-01-01T01:00:00Z"},
        {"expires_on": 1767229200},
        {"expires_on": "1767229200"},
        {"expiration_time": 1767229200.0},
        {"expires_in": 3600},
        {"expires_in": "3600"},
    ],
    ids=lambda end: f"{next(iter(end))} {type(next(iter(end.values()))).__name__}",
)
def test_each_known_key_shows_the_end(end: dict[str, object]) -> None:
    """As a time, in epoch seconds, or in seconds from now."""
    assert parsed({"password": SECRET, **end}) == (None, SECRET, NOW + HOUR)
    assert parsed({"password": token(exp=0), **end})[2] == NOW + HOUR, "the output takes precedence"


@pytest.mark.parametrize(
    ("password", "end"),
    [
        (token(exp=1767229200), NOW + HOUR),
        (token(exp=1767229200.5), NOW + HOUR + timedelta(seconds=0.5)),
        (base64.b64encode(b'{"payload":"x","expiration":1767229200}').decode(), NOW + HOUR),
        (token(), None),
        (token(exp="soon"), None),
        (token(exp=1e300), None),
        (token(exp=[]), None),
        ("a.b.c", None),
        ("a.b", None),
    ],
    ids=["jwt", "fraction", "ecr", "no exp", "a word", "too late", "a list", "no base64", "two parts"],
)
def test_a_token_shows_its_own_end(password: str, end: datetime | None) -> None:
    """A JSON Web Token does, and an ECR token. If the end cannot be read, there is none."""
    assert parsed(password) == (None, password, end)


ACR_TOKEN = token(exp=1767236400)
ECR_TOKEN = base64.b64encode(b'{"payload":"x","expiration":1767268800}').decode()


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("ya29.a0AfB_by\n", (None, "ya29.a0AfB_by", None)),
        (
            json.dumps({"accessToken": ACR_TOKEN, "loginServer": "acme.azurecr.io", "username": "0000"}, indent=2),
            ("0000", ACR_TOKEN, NOW + 3 * HOUR),
        ),
        (f"{ECR_TOKEN}\n", (None, ECR_TOKEN, NOW + 12 * HOUR)),
        (SECRET, (None, SECRET, None)),
        ("gho_16C7e42F292c6912E7\n", (None, "gho_16C7e42F292c6912E7", None)),
        (f"{SECRET}\nurl: registry.example.com\n", (None, f"{SECRET}\nurl: registry.example.com", None)),
        (
            '{"access_token":"eyJ.a.b","expires_in":3600,"token_type":"Bearer"}',
            (None, "eyJ.a.b", NOW + HOUR),
        ),
        ('{"ServerURL":"https://x","Username":"ada","Secret":"hunter2-secret"}\n', ("ada", SECRET, None)),
    ],
    ids=["gcloud", "az", "aws", "vault", "gh", "pass", "an OAuth server", "docker-credential-x"],
)
def test_what_real_programs_print(output: str, expected: tuple[str | None, str, datetime | None]) -> None:
    """The output of `gcloud auth print-access-token`, `az acr login --expose-token --output json`, and so on."""
    assert parsed(output) == expected


@pytest.mark.parametrize(
    "output",
    [
        {"request_id": "x", "data": {"data": {"password": SECRET}}},
        {"credential": {"access_token": SECRET, "token_expiry": "2026-01-01T01:00:00Z"}},
        {"kind": "ExecCredential", "status": {"token": SECRET}},
    ],
    ids=["vault -format=json", "gcloud config config-helper", "kubectl's plugins"],
)
def test_a_password_deeper_in_json_is_not_searched_for(output: dict[str, Any]) -> None:
    """The message names the keys that count, so that a person can select one, and shows no value."""
    with pytest.raises(OutputError, match="one of the keys password, Secret, token") as caught:
        parsed(output)
    assert SECRET not in str(caught.value)


def test_a_google_key_is_one_password() -> None:
    """The user name _json_key takes the whole file."""
    key = json.dumps({"type": "service_account", "private_key": SECRET, "token": "x", "password": "y"})
    assert parsed(f"{key}\n") == (None, key, None)


def test_an_identity_token_has_the_user_of_the_secret() -> None:
    """Helpers mark it with the user name <token>, which is no user."""
    assert parsed({"ServerURL": "x", "Username": "<token>", "Secret": SECRET}) == (None, SECRET, None)


def response(auth: dict[str, Any], life: object = "1h0m0s") -> dict[str, Any]:
    kind = "CredentialProviderResponse"
    return {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": kind,
        "cacheKeyType": "Registry",
        "cacheDuration": life,
        "auth": auth,
    }


LOGIN = {"username": "ada", "password": SECRET}


@pytest.mark.parametrize(
    "pattern", ["registry.example.com", "*.example.com", "registry.*.com", "https://reg*.example.com/"]
)
def test_a_kubelet_response_gives_the_login_of_the_registry(pattern: str) -> None:
    """Each label is compared by itself. Of several patterns, the longest counts. It lives for its cacheDuration."""
    found = response({pattern: LOGIN, "*.*.*": {"username": "bob", "password": "other"}, "example.com": {}})
    assert parsed(found) == ("ada", SECRET, NOW + HOUR)
    assert parsed(response({pattern: LOGIN}, "87600000h")) == ("ada", SECRET, None)


def test_a_password_in_a_kubelet_response_lives_until_its_own_end() -> None:
    """The kubelet keeps it for a shorter time: for half of its life, if Amazon's provider gives it."""
    end = NOW + 12 * HOUR
    ecr = base64.b64encode(json.dumps({"payload": "x", "expiration": int(end.timestamp())}).encode()).decode()
    for password in (ecr, token(exp=end.timestamp())):
        found = response({"*.example.com": {"username": "AWS", "password": password}}, "6h0m0s")
        assert parsed(found) == ("AWS", password, end)


@pytest.mark.parametrize(
    ("pattern", "hostname"),
    [
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("*.docker.io", "docker.io"),
        ("Registry.Example.com", "registry.example.com"),
        ("HTTPS://*.Example.com/v2/", "registry.example.com"),
    ],
)
def test_a_kubelet_response_may_use_each_name_of_the_registry(pattern: str, hostname: str) -> None:
    """As kubelet does: Docker's key of Docker Hub, a scheme, a version, and capital letters."""
    assert parsed(response({pattern: LOGIN}), Registry(hostname))[1] == SECRET


OTHERS = ["example.com", "*.com", "*", "registry.example.com:5000", "registry.example.com/path", "https://"]


@pytest.mark.parametrize("pattern", OTHERS)
def test_a_kubelet_response_for_another_registry_is_an_error(pattern: str) -> None:
    """Its password is not sent to this registry."""
    with pytest.raises(OutputError, match=r"without a login for registry\.example\.com"):
        parsed(response({pattern: LOGIN}))


@pytest.mark.parametrize(
    ("text", "life"),
    [
        ("12h", 12 * HOUR),
        ("1h30m0.5s", 1.5 * HOUR + timedelta(seconds=0.5)),
        ("250ms", timedelta(milliseconds=250)),
        ("0s", None),
        ("", None),
        ("soon", None),
        ("-1h", None),
        (f"{'9' * 300}h", None),
        (3600, None),
        (None, None),
    ],
)
def test_a_duration_of_go(text: object, life: timedelta | None) -> None:
    """Zero means that kubelet must not keep the login. So the end is not known."""
    assert parse_duration(text) == life


def test_the_request_to_a_provider_is_one_line() -> None:
    """A provider reads it to its end. Its image is the registry."""
    line = request_for(HOST)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert json.loads(line)["image"] == "registry.example.com/"


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        ("", "an empty password"),
        ("\n", "an empty password"),
        (f'{{"password": "{SECRET}"', "not valid JSON"),
        ("{}", "without a password"),
        ('{"password": null}', "without a password"),
        (json.dumps({"password": [SECRET]}), "password is not a string"),
        ('{"password": "a\\u0000b"}', "NUL"),
        ('{"password": "a\\ud800b"}', "Unicode"),
        ('{"password": "x", "username": "a:b"}', "user name"),
        ('{"password": "x", "username": 7}', "user name"),
        ('{"password": "x", "expires_at": "tomorrow"}', "expires_at is not a time in RFC 3339"),
        ('{"password": "x", "expires_at": "2026-01-01T00:00:00"}', "expires_at is not a time in RFC 3339"),
        ('{"password": "x", "expires_at": 7}', "expires_at is not a time in RFC 3339"),
        ('{"password": "x", "expires_on": "NaN"}', "expires_on is not a time in epoch seconds"),
        ('{"password": "x", "expires_on": 1e30}', "expires_on is not a time in epoch seconds"),
        ('{"password": "x", "expires_in": true}', "expires_in is not a number of seconds"),
        ('{"password": "x", "expires_in": 1e300}', "expires_in is not a number of seconds"),
        (f"a\0{SECRET}", "NUL"),
        ('{"a":' * 10_000, "not valid JSON"),
        ("x" * (LONGEST + 1), "more than 64 KiB"),
    ],
)
def test_what_is_no_password_is_named(output: str, fault: str) -> None:
    """The message says what is wrong, and which key, and never quotes a value."""
    with pytest.raises(OutputError, match=fault) as caught:
        parse_output(output.encode("utf-8", "surrogatepass"), HOST, NOW)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("text", ["hunter2\n", '{"password": "hunter2"}'])
def test_a_byte_order_mark_is_no_part_of_the_password(encoding: str, text: str) -> None:
    """PowerShell and Windows editors write it."""
    assert parse_output(text.encode(encoding), HOST, NOW).password.reveal() == "hunter2"


def test_bytes_that_are_no_text_are_no_password() -> None:
    """A registry could not accept them."""
    with pytest.raises(OutputError, match="UTF-8"):
        parse_output(b"\xff", HOST, NOW)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_output_is_a_password_or_an_error(content: bytes) -> None:
    """Nothing else is raised, and what is returned can be written to docker."""
    try:
        found = parse_output(content, HOST, NOW)
    except OutputError:
        return
    assert found.password.reveal().encode().strip()
