"""The formats in which secrets are written down."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.problems.environment import SecretInvalid
from agent.model.secret import RegistrySecret
from agent.model.secret_formats import (
    FIELDS,
    DocumentError,
    ParseResult,
    read_answer,
    read_document,
    read_fields,
)
from agent.model.sensitive import Sensitive

PASSWORD = "hunter2-hunter2"
ONE = {"name": "one", "hostname": "ghcr.io", "username": "bot", "password": PASSWORD}
TWO = {**ONE, "name": "two", "hostname": "quay.io"}


def read(value: Any) -> ParseResult:
    return read_document(value if isinstance(value, str) else json.dumps(value), "/s/team.json", "team")


def login(secret: RegistrySecret) -> tuple[str, str, str | None, str | None]:
    password = secret.password.reveal() if secret.password else None
    return (secret.name, secret.registry.hostname, secret.username, password)


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("value", [[ONE, TWO], {"secrets": [ONE, TWO]}, {"secrets": [ONE, TWO], "version": 1}])
def test_a_list_may_stand_alone_or_under_secrets(value: object) -> None:
    """Both give the same."""
    assert [login(secret)[:2] for secret in read(value).secrets] == [("one", "ghcr.io"), ("two", "quay.io")]
    assert read(value).problems == ()


def test_one_secret_may_stand_alone() -> None:
    """It comes from its file."""
    (secret,) = read(ONE).secrets
    assert login(secret) == ("one", "ghcr.io", "bot", PASSWORD)
    assert secret.subject == "/s/team.json#one"


def test_nothing_is_not_a_fault() -> None:
    """An empty list, and Docker's file without logins."""
    for text in ("[]", '{"secrets": []}', '{"auths": {}}'):
        assert read(text) == ParseResult()


def test_a_bad_item_costs_only_itself() -> None:
    """Its place in the list stands for the name that it does not tell."""
    reading = read([ONE, {"hostname": "x.io"}, 7, TWO])
    assert [secret.name for secret in reading.secrets] == ["one", "two"]
    assert [problem.subject for problem in reading.problems] == ["/s/team.json#[1]", "/s/team.json#[2]"]
    assert not reading.failed


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": auth("bot:pass:word")}, ("bot", "pass:word")),
        ({"auth": auth("bot:p").rstrip("=") + "\n"}, ("bot", "p")),
        ({"username": "bot", "password": PASSWORD, "email": "x"}, ("bot", PASSWORD)),
        ({"auth": auth("new:p"), "username": "old", "password": "old"}, ("new", "p")),
        ({"auth": auth("bot:p"), "identitytoken": "t"}, ("bot", "p")),
    ],
)
def test_docker_s_own_format_is_read(entry: object, expected: tuple[str, str]) -> None:
    """`auth` beats the rest, as it does in Docker; the name is made of file and host."""
    (secret,) = read({"auths": {"https://Registry.example.com:5000/v2/": entry}}).secrets
    assert login(secret) == ("team-registry.example.com:5000", "registry.example.com:5000", *expected)


def test_a_docker_hub_login_keeps_only_its_real_entry() -> None:
    """The two tokens that a browser login leaves beside it are no passwords."""
    entries = {f"https://index.docker.io/v1/{end}": {"auth": auth(f"bot:{end}x")} for end in ("", "access-token")}
    (secret,) = read({"auths": entries}).secrets
    assert login(secret) == ("team-docker.io", "docker.io", "bot", "x")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"identitytoken": PASSWORD}, "only a token"),
        ({"auth": auth("bot:"), "identitytoken": PASSWORD}, "only a token"),
        ({}, "credential helper"),
        ({"auth": "%%%"}, "base64"),
        ({"auth": auth(PASSWORD)}, "base64 of user:password"),
        ({"auth": base64.b64encode(b"\xff:\xff").decode()}, "base64 of user:password"),
        ({"username": "bot"}, "password is missing"),
        ({"username": 1, "password": PASSWORD}, "username must be a text"),
        (PASSWORD, "not an object"),
    ],
)
def test_a_docker_entry_without_a_login_is_told(entry: object, words: str) -> None:
    """The good ones beside it work."""
    reading = read({"auths": {"ghcr.io": entry, "quay.io": {"auth": auth("bot:p")}}})
    (problem,) = reading.problems
    assert [secret.registry.hostname for secret in reading.secrets] == ["quay.io"]
    assert problem.subject == "/s/team.json#team-ghcr.io"
    assert words in problem.message
    assert PASSWORD not in problem.message


def test_a_docker_key_with_a_password_in_it_is_not_repeated() -> None:
    """What is not a host name may be anything."""
    (problem,) = read({"auths": {f"https://bot:{PASSWORD}@ghcr.io": {"auth": auth("bot:p")}}}).problems
    assert PASSWORD not in problem.message + problem.subject


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (f'{{"password": "{PASSWORD}", \n oops', "line 2, column 2"),
        (f'{{"password": "{PASSWORD}\\x"}}', "not JSON"),
        (f"[] {PASSWORD}", "column 4"),
        ("[" * 100_000, "nested too deeply"),
        ("[" + "9" * 5000 + "]", "too long"),
        ("[NaN]", "NaN"),
        (f'{{"password": "{PASSWORD}", "password": "other"}}', "same key twice"),
        (f'{{"secrets": "{PASSWORD}"}}', "secrets that are not a list"),
        (f'{{"auths": ["{PASSWORD}"]}}', "auths that are not an object"),
    ],
)
def test_a_document_of_no_use_is_one_fault_that_quotes_nothing(text: str, words: str) -> None:
    """Its subject is the file."""
    reading = read(text)
    (problem,) = reading.problems
    assert (reading.failed, reading.secrets, problem.subject) == (True, (), "/s/team.json")
    assert words in problem.message
    assert PASSWORD not in f"{problem!r}"


@pytest.mark.parametrize("text", [f'"{PASSWORD}"', "null", "{}", '{"hostname": 1}'])
def test_json_that_is_no_secret_is_a_fault_of_the_secret(text: str) -> None:
    """With the file's stem for its name."""
    (problem,) = read(text).problems
    assert problem.subject == "/s/team.json#team"
    assert PASSWORD not in problem.message


def test_a_subdirectory_s_files_are_one_secret() -> None:
    """One trailing newline is cut; its name is its own, or made of directory and host."""
    contents = {"hostname": "ghcr.io\n", "username": "bot\r\n", "password": f"{PASSWORD}\n", "enabled": "true\n"}
    (secret,) = read_fields(contents, "/s/team", "team").secrets
    assert login(secret) == ("team-ghcr.io", "ghcr.io", "bot", PASSWORD)
    (named,) = read_fields({**contents, "name": "mine\n"}, "/s/team", "team").secrets
    assert named.name == "mine"


def test_a_subdirectory_without_a_password_failed() -> None:
    """It may be half written."""
    reading = read_fields({"hostname": "ghcr.io", "username": "bot", "password": ""}, "/s/team", "team")
    assert reading.failed
    assert [problem.subject for problem in reading.problems] == ["/s/team#team-ghcr.io"]


def test_an_answer_has_one_form() -> None:
    """Anything but `{"secrets": [...]}` is the source's fault, not a secret's."""
    assert [secret.name for secret in read_answer(json.dumps({"secrets": [ONE]}), "https://s").secrets] == ["one"]
    for text in ("[]", "{}", '{"secrets": {}}', "null", "<html>"):
        with pytest.raises(DocumentError):
            read_answer(text, "https://s")


def test_every_field_may_be_a_file() -> None:
    """The interface's table."""
    assert {
        *("name", "hostname", "username", "password", "scope", "enabled", "kind", "region"),
        *("role_arn", "external_id", "session_token"),
    } == FIELDS


@given(st.text(max_size=80) | st.text(alphabet='{}[]":,\\ \nabc019-', max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing is raised."""
    reading = read(text)
    assert all(isinstance(problem, SecretInvalid) for problem in reading.problems)
    assert all(isinstance(secret.password, Sensitive | None) for secret in reading.secrets)
