"""How many secrets one document may hold, what stays while a directory cannot be read, and what warnings say."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from agent.model.document_text import DocumentError
from agent.model.problems.environment import SecretInvalid
from agent.model.secret_formats import (
    MOST_SECRETS,
    ParseResult,
    after_change,
    after_reading,
    read_answer,
    read_document,
)
from agent.model.text import escaped
from agent.model.used_files import without_files

PASSWORD: Final = "hunter2-hunter2"
LOGIN: Final = {"username": "bot", "password": PASSWORD}
FILE: Final = "/s/team.json"


def read(value: Any, origin: str = FILE) -> ParseResult:
    return read_document(json.dumps(value), origin, "team")


def secrets(number: int) -> list[dict[str, str]]:
    return [{"name": f"s-{n}", "hostname": f"r{n}.example", **LOGIN} for n in range(number)]


def auths(number: int) -> dict[str, Any]:
    return {"auths": {f"r{n}.example": LOGIN for n in range(number)}}


def manifest(number: int) -> dict[str, Any]:
    contents = {f"{n}.json": json.dumps(secret) for n, secret in enumerate(secrets(number))}
    return {"apiVersion": "v1", "kind": "Secret", "stringData": contents}


@pytest.mark.parametrize("document", [secrets, auths, manifest, lambda number: {"secrets": secrets(number)}])
def test_a_document_may_hold_a_thousand_secrets(document: Callable[[int], Any]) -> None:
    """All others are left out, with one warning for all of them."""
    full = read(document(MOST_SECRETS))
    assert (len(full.secrets), full.problems, full.failed) == (MOST_SECRETS, (), False)
    over = read(document(MOST_SECRETS + 2))
    assert {secret.registry for secret in over.secrets} == {secret.registry for secret in full.secrets}
    message = f"{FILE} contains {MOST_SECRETS + 2} secrets; the agent uses only the first {MOST_SECRETS}"
    assert over.problems == (SecretInvalid(f"{FILE}#[{MOST_SECRETS}]", message),)


def test_only_secrets_of_a_list_of_objects_are_read() -> None:
    """The first thousand objects count. Without a Secret among them, the first object shows what is wrong."""
    secret = {"apiVersion": "v1", "kind": "Secret", "stringData": {"hostname": "ghcr.io", **LOGIN}}
    other = {"apiVersion": "v1", "kind": "ConfigMap", "data": {}}
    listed = {"apiVersion": "v1", "kind": "List"}
    found = read({**listed, "items": [other, "text", *[other] * (MOST_SECRETS - 3), secret]})
    assert (len(found.secrets), found.problems) == (1, ())
    assert read({**listed, "items": [*[other] * MOST_SECRETS, secret]}).secrets == ()
    assert len(read({**listed, "items": [other, other]}).problems) == 1
    assert read({**listed, "items": []}) == ParseResult()


@pytest.mark.parametrize(
    ("value", "fault", "hint"),
    [
        (
            *({"secrets": {}}, "has a key secrets that is not a list"),
            "put the secrets in square brackets",
        ),
        (
            *({"auths": []}, "has a key auths that is not an object"),
            "write one key for each registry under auths",
        ),
    ],
)
def test_a_document_of_another_shape_says_what_to_write(value: Any, fault: str, hint: str) -> None:
    """The hint is for this fault."""
    assert read(value) == ParseResult(problems=(SecretInvalid(FILE, f"{FILE} {fault}", hint=hint),), failed=True)


def test_a_document_that_is_nested_too_deeply_says_so() -> None:
    """It has no other fault that could be named."""
    (problem,) = read_document("[" * 100_000, FILE, "team").problems
    assert problem.message == f"{FILE} is nested too deeply"


def test_an_answer_of_another_form_says_which_is_expected() -> None:
    """`secrets.url` has only one."""
    for text in ("[]", '{"secrets": {}}'):
        with pytest.raises(DocumentError) as caught:
            read_answer(text, "https://s")
        assert str(caught.value) == 'is not of the form {"secrets": [...]}'


def test_a_part_that_cannot_be_used_is_named() -> None:
    """The others are used. Only if there are none, the document has failed."""
    good = {"pull.json": json.dumps({"hostname": "ghcr.io", "name": "pull", **LOGIN})}
    broken = {"broken.json": "{"}
    both = read({"apiVersion": "v1", "kind": "Secret", "stringData": {**broken, **good}})
    assert ([secret.name for secret in both.secrets], both.failed) == (["pull"], False)
    (problem,) = both.problems
    assert problem.subject == f"{FILE}#broken.json"
    assert problem.message.startswith(f"broken.json in {FILE} is not JSON")
    alone = read({"apiVersion": "v1", "kind": "Secret", "stringData": broken})
    assert (alone.problems, alone.failed) == ((problem,), True)


ONE: Final = read({"name": "one", "hostname": "ghcr.io", **LOGIN}, "/s/d/one")
TWO: Final = read({"name": "two", "hostname": "quay.io", **LOGIN}, "/s/d/two")
FAILED: Final = ParseResult.failure("/s/d", "cannot be read")


def test_what_a_subdirectory_held_stays_while_it_cannot_be_read() -> None:
    """Its files are not gone. A file that is gone from a directory that can be read is."""
    last = {"/s/d/one": ONE, "/s/d/two": TWO, "/s/three": ONE}
    assert after_reading(last, {"/s/d": FAILED}) == {"/s/d/one": ONE, "/s/d/two": TWO, "/s/d": FAILED}
    assert after_reading(last, {"/s/d": ParseResult(), "/s/d/two": TWO}) == {"/s/d": ParseResult(), "/s/d/two": TWO}
    broken = ParseResult.failure("/s/d/one", "is not JSON")
    assert after_reading({"/s/d/one": ONE}, {"/s/d/one": broken})["/s/d/one"].secrets == ONE.secrets


def test_a_result_that_stays_the_same_holds_the_same_problems() -> None:
    """The board compares them by identity, and a secret is kept only once."""
    first = after_change(ONE, FAILED)
    assert (first.secrets, first.problems, first.failed) == (ONE.secrets, FAILED.problems, True)
    again = after_change(first, ParseResult.failure("/s/d", "cannot be read"))
    assert again.problems is first.problems
    assert after_change(first, ParseResult.failure("/s/d", "is gone")).problems != first.problems
    assert after_change(None, FAILED) is FAILED
    assert after_change(first, TWO) == TWO


def test_results_are_joined_without_repeating_anything() -> None:
    """One secret in two places counts once, and so does one problem. One failure is one of the whole."""
    joined = ParseResult.joined(iter([ONE, TWO, ONE, FAILED, FAILED]))
    assert joined == ParseResult((*ONE.secrets, *TWO.secrets), FAILED.problems, failed=True)
    assert ParseResult.joined([ONE]) == ONE
    assert ParseResult.joined([]) == ParseResult()


def test_a_file_with_another_use_is_not_reported_as_a_secret() -> None:
    """Such as a token file next to the secrets. Its name may contain anything."""
    problems = [SecretInvalid(escaped(path), "is not JSON") for path in ("/s/token", "/s/a\x1bb", "/s/other")]
    assert without_files(problems, ["/s/token", "/s/a\x1bb"]) == (problems[2],)
    assert without_files(problems, []) == tuple(problems)


@pytest.mark.parametrize("path", ["/s/token.json", "/s/token#2.json"])
def test_a_file_with_another_use_may_hold_json(path: str) -> None:
    """Then its warning is about the secret that the file does not hold."""
    (problem,) = read({"token": PASSWORD}, path).problems
    (other,) = read({"token": PASSWORD}, "/s/token").problems
    assert (problem.subject, without_files([problem, other], [path])) == (f"{path}#team", (other,))


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"username": "bob:x"}, "username contains a colon, which a registry login cannot have"),
        ({"username": None}, "username is missing"),
        ({"password": None}, "password is missing or empty"),
        ({"region": "Ireland"}, "region must be an AWS region such as eu-west-1"),
        ({"role_arn": "pull"}, "role_arn must be a role's ARN such as arn:aws:iam::123456789012:role/pull"),
        ({"google_service_account": "pull"}, "google_service_account must be the e-mail address of a service account"),
        ({"azure_client_id": "pull"}, "azure_client_id must be the client ID of a managed identity"),
        ({"kind": "ecrr"}, "kind must be one of auto, basic, ecr, ecr-public, gar, acr"),
    ],
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], fault: str) -> None:
    """With what it must be. The value is not shown."""
    (problem,) = read({"name": "one", "hostname": "ghcr.io", **LOGIN, **fields}).problems
    assert problem.message == f"secret one of {FILE}: {fault}"
