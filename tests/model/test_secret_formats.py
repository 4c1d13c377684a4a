"""The formats of secrets."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.document_text import DocumentError
from agent.model.problems.environment import SecretInvalid
from agent.model.secret import RegistrySecret
from agent.model.secret_formats import (
    FIELDS,
    ParseResult,
    after_change,
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
def test_a_list_may_be_the_document_or_under_the_key_secrets(value: object) -> None:
    """Both have the same result."""
    assert [login(secret)[:2] for secret in read(value).secrets] == [("one", "ghcr.io"), ("two", "quay.io")]
    assert read(value).problems == ()


def test_a_document_may_be_a_single_secret() -> None:
    """Its origin is the file."""
    (secret,) = read(ONE).secrets
    assert login(secret) == ("one", "ghcr.io", "bot", PASSWORD)
    assert secret.subject == "/s/team.json#one"


def test_a_document_without_secrets_is_valid() -> None:
    """An empty list says that there are none."""
    for text in ("[]", '{"secrets": []}', '{"secrets": [], "auths": {}}'):
        assert read(text) == ParseResult()


def test_a_docker_file_without_logins_is_reported() -> None:
    """It is not broken, so a login that it held before is gone."""
    result = read({"auths": {}})
    (problem,) = result.problems
    assert (problem.subject, "without logins" in problem.message) == ("/s/team.json", True)
    assert after_change(read({"auths": {"ghcr.io": {"auth": auth("bot:p")}}}), result).secrets == ()


def test_an_item_of_a_list_may_be_a_document() -> None:
    """Each that a file may contain. A bad one affects no other."""
    manifest = {"apiVersion": "v1", "kind": "Secret", "stringData": {"config.json": '{"auths": {"b.io": "u:p"}}'}}
    helper = {"ServerURL": "c.io", "Username": "bot", "Secret": PASSWORD}
    items = [{"auths": {"a.io": {"auth": auth("bot:p")}}}, manifest, helper, [ONE]]
    bad = [{"apiVersion": "v1", "kind": "Pod"}, {"username": "bot"}, {"auths": 7}]
    for value in ([*items, *bad], {"secrets": [*items, *bad]}):
        result = read(value)
        assert [secret.registry.hostname for secret in result.secrets] == ["a.io", "b.io", "c.io", "ghcr.io"]
        assert [problem.subject for problem in result.problems] == [f"/s/team.json#[{n}]" for n in (4, 5, 6)]
        assert not result.failed


def test_a_bad_item_affects_no_other_item() -> None:
    """If it has no name, the problem shows its position in the list."""
    result = read([ONE, {"hostname": "x.io"}, 7, TWO])
    assert [secret.name for secret in result.secrets] == ["one", "two"]
    assert [problem.subject for problem in result.problems] == ["/s/team.json#[1]", "/s/team.json#[2]"]
    assert not result.failed


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
def test_dockers_own_format_is_read(entry: object, expected: tuple[str, str]) -> None:
    """`auth` takes precedence over the other fields, as in Docker. The name is made of the file and the host."""
    (secret,) = read({"auths": {"https://Registry.example.com:5000/v2/": entry}}).secrets
    assert login(secret) == ("team-registry.example.com:5000", "registry.example.com:5000", *expected)


@pytest.mark.parametrize(
    ("host", "key", "other"),
    [
        ("docker.io", "https://index.docker.io/v1/", "docker.io"),
        ("docker.io", "https://index.docker.io/v1/", "registry-1.docker.io"),
        ("ghcr.io", "ghcr.io", "https://ghcr.io/v2/"),
        ("ghcr.io", "ghcr.io", "ghcr.io/team"),
    ],
)
@pytest.mark.parametrize("exact_first", [True, False])
def test_the_exact_key_of_a_registry_comes_first(host: str, key: str, other: str, exact_first: bool) -> None:
    """As in Docker. The other key is often left over from long ago."""
    entries = [(key, {"auth": auth("bot:good")}), (other, {"auth": auth("bot:stale")})]
    auths = dict(entries if exact_first else entries[::-1])
    for value in (auths, {"auths": auths}):
        assert [login(secret)[1:] for secret in read(value).secrets] == [(host, "bot", "good"), (host, "bot", "stale")]


def test_a_docker_hub_login_keeps_only_its_real_entry() -> None:
    """A browser login leaves two tokens next to it, which are not passwords."""
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
        ({"auth": base64.b64encode(b"\xff:\xff").decode()}, "base64 of user:password in UTF-8"),
        ({"username": "bot"}, "password is missing"),
        ({"username": 1, "password": PASSWORD}, "username must be a string"),
        (PASSWORD, "not an object, and not user:password"),
        (7, "not an object"),
        ({"user": "bot", "pass": PASSWORD}, "the key user is not one of the agent's fields"),
    ],
)
def test_a_docker_entry_without_a_login_is_reported(entry: object, words: str) -> None:
    """Valid entries next to it work."""
    result = read({"auths": {"ghcr.io": entry, "quay.io": {"auth": auth("bot:p")}}})
    (problem,) = result.problems
    assert [secret.registry.hostname for secret in result.secrets] == ["quay.io"]
    assert problem.subject == "/s/team.json#team-ghcr.io"
    assert words in problem.message
    assert PASSWORD not in problem.message


def test_a_docker_key_that_contains_a_password_is_not_shown() -> None:
    """A key that is not a host name may contain anything."""
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
        (f'{{"secrets": "{PASSWORD}"}}', "secrets that is not a list"),
        (f'{{"auths": ["{PASSWORD}"]}}', "auths that is not an object"),
    ],
)
def test_an_unusable_document_is_one_problem_that_quotes_nothing(text: str, words: str) -> None:
    """The subject of the problem is the file."""
    result = read(text)
    (problem,) = result.problems
    assert (result.failed, result.secrets, problem.subject) == (True, (), "/s/team.json")
    assert words in problem.message
    assert PASSWORD not in f"{problem!r}"


@pytest.mark.parametrize("text", [f'"{PASSWORD}"', "null", "{}", '{"hostname": 1}'])
def test_json_that_is_not_a_secret_is_a_problem_of_the_secret(text: str) -> None:
    """The secret's name is then the stem of the file."""
    (problem,) = read(text).problems
    assert problem.subject == "/s/team.json#team"
    assert PASSWORD not in problem.message


def test_the_files_of_a_subdirectory_are_one_secret() -> None:
    """One trailing newline is removed. The name is in a file, or made of the directory and the host."""
    contents = {"hostname": "ghcr.io\n", "username": "bot\r\n", "password": f"{PASSWORD}\n", "enabled": "true\n"}
    (secret,) = read_fields(contents, "/s/team", "team").secrets
    assert login(secret) == ("team-ghcr.io", "ghcr.io", "bot", PASSWORD)
    (named,) = read_fields({**contents, "name": "mine\n"}, "/s/team", "team").secrets
    assert named.name == "mine"


def test_a_subdirectory_without_a_password_has_failed() -> None:
    """A program may still be writing it."""
    result = read_fields({"hostname": "ghcr.io", "username": "bot", "password": ""}, "/s/team", "team")
    assert result.failed
    assert [problem.subject for problem in result.problems] == ["/s/team#team-ghcr.io"]


def test_an_answer_has_one_form() -> None:
    """Anything but `{"secrets": [...]}` is a fault of the source, not of a secret."""
    assert [secret.name for secret in read_answer(json.dumps({"secrets": [ONE]}), "https://s").secrets] == ["one"]
    for text in ("[]", "{}", '{"secrets": {}}', "null", "<html>"):
        with pytest.raises(DocumentError):
            read_answer(text, "https://s")


def test_every_field_may_be_a_file() -> None:
    """The fields are those of the interface."""
    assert {
        *("name", "hostname", "username", "password", "scope", "enabled", "kind", "region"),
        *("role_arn", "external_id", "session_token", "profile", "google_service_account", "azure_client_id"),
        *("password_command", "password_file", "credential_helper", "expires_in_s"),
    } == FIELDS


@given(st.text(max_size=80) | st.text(alphabet='{}[]":,\\ \nabc019-', max_size=80))
def test_any_text_becomes_secrets_or_problems(text: str) -> None:
    """No exception is raised."""
    result = read(text)
    assert all(isinstance(problem, SecretInvalid) for problem in result.problems)
    assert all(isinstance(secret.password, Sensitive | None) for secret in result.secrets)


def in_a_list(*items: object) -> ParseResult:
    return read(list(items))


def in_an_object(*items: object) -> ParseResult:
    return read({"secrets": list(items)})


def in_an_answer(*items: object) -> ParseResult:
    return read_answer(json.dumps({"secrets": list(items)}), "https://s")


def names(result: ParseResult) -> list[str]:
    return sorted(secret.name for secret in result.secrets)


TYPOS: list[dict[str, Any]] = [
    {"hostname": "ghcr .io"},
    {"username": 7},
    {"username": None},
    {"password": ""},
    {"scope": "everybody"},
    {"enabled": "maybe"},
    {"kind": "ecrr"},
    {"region": "europe"},
    {"role_arn": "arn"},
    {"external_id": 1},
    {"session_token": []},
    {"name": "no"},
    {"name": None},
]


@pytest.mark.parametrize("form", [in_a_list, in_an_object, in_an_answer])
@pytest.mark.parametrize("typo", TYPOS, ids=str)
def test_a_secret_that_becomes_invalid_keeps_its_last_value(form: Any, typo: dict[str, Any]) -> None:
    """Whichever field is wrong, also the name. Its neighbour changes, and a secret that is gone is gone."""
    last = form(ONE, TWO)
    now = after_change(last, form({**ONE, **typo}, {**TWO, "password": "new"}))
    assert [login(secret) for secret in now.secrets] == [
        ("two", "quay.io", "bot", "new"),
        ("one", "ghcr.io", "bot", PASSWORD),
    ]
    assert len(now.problems) == 1
    still = after_change(now, form({**ONE, **typo}, {**TWO, "password": "new"}))
    assert (names(still), still.problems) == (["one", "two"], now.problems)
    gone = after_change(still, form({**TWO, "password": "new"}))
    assert (names(gone), gone.problems) == (["two"], ())


@pytest.mark.parametrize("typo", TYPOS, ids=str)
def test_a_file_with_one_secret_keeps_it_too(typo: dict[str, Any]) -> None:
    """As an object or as a subdirectory: both forms behave the same."""
    files = {"hostname": "ghcr.io", "username": "bot", "password": PASSWORD, "kind": "basic"}
    directory = read_fields(files, "/s/t", "t"), read_fields({**files, "kind": "bassic"}, "/s/t", "t")
    for last, now in ((read(ONE), read({**ONE, **typo})), directory):
        kept = after_change(last, now)
        assert (kept.secrets, kept.problems) == (last.secrets, now.problems)
        assert kept.problems


def test_dockers_own_format_keeps_an_entry_that_becomes_invalid() -> None:
    """The entry next to it is still read."""
    last = read({"auths": {"ghcr.io": {"auth": auth("bot:p")}, "quay.io": {"auth": auth("bot:p")}}})
    now = after_change(last, read({"auths": {"ghcr.io": {"auth": "%%%"}, "quay.io": {"auth": auth("bot:new")}}}))
    assert sorted(login(secret)[1:] for secret in now.secrets) == [("ghcr.io", "bot", "p"), ("quay.io", "bot", "new")]


def test_only_as_many_secrets_are_kept_as_items_have_no_readable_name() -> None:
    """Otherwise a list that changes all the time would collect secrets without limit. Another file's are not kept."""
    kept = after_change(in_a_list(ONE, TWO), in_a_list(7, 8))
    assert names(kept) == ["one", "two"]
    assert names(after_change(in_a_list(ONE, TWO), in_a_list(7))) == []
    three = {**ONE, "name": "three"}
    assert names(after_change(after_change(in_a_list(ONE), in_a_list(TWO, 7)), in_a_list(three, 7))) == ["three"]
    assert names(after_change(in_a_list(ONE), in_an_answer(7))) == []


def test_a_new_secret_that_is_invalid_keeps_no_other() -> None:
    """Its name can be read, so it is none of those that are gone."""
    assert names(after_change(in_a_list(ONE), in_a_list({**TWO, "kind": "x"}))) == []
