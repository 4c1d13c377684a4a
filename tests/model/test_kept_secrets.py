"""What stays of the last secrets if a document breaks in which secrets have no names of their own."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from agent.model.problems.environment import SecretInvalid
from agent.model.secret_formats import ParseResult, after_change
from tests.model.test_secret_formats import ONE, auth, in_a_list, in_an_answer, names, read
from tests.rig.growth import assert_linear

ENTRY: dict[str, Any] = {"auth": auth("bot:p")}
OTHER: dict[str, Any] = {"auths": {"quay.io": ENTRY}}
USER_AND_PASSWORD = {"username": "bot", "password": "p"}


def a_secret(**contents: object) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "stringData": contents}


WITHOUT_NAMES: dict[str, Callable[[str], Any]] = {
    "Docker's file": lambda host: {"auths": {host: ENTRY, "quay.io": ENTRY}},
    "Docker's old file": lambda host: {host: ENTRY, "quay.io": ENTRY},
    "logins by host": lambda host: {host: USER_AND_PASSWORD, "quay.io": USER_AND_PASSWORD},
    "fields of another program": lambda host: {
        "auths": {host: {"login": "bot", **USER_AND_PASSWORD}, **OTHER["auths"]}
    },
    "a credential helper": lambda host: [{"ServerURL": host, "Username": "bot", "Secret": "p"}, OTHER],
    "fields of a Secret": lambda host: [a_secret(hostname=host, **USER_AND_PASSWORD), OTHER],
    "a file in a Secret": lambda host: a_secret(
        **{"a.json": json.dumps({"auths": {host: ENTRY}}), "b": json.dumps(OTHER)}
    ),
}


@pytest.mark.parametrize("host", ["gh cr.io", "ghcr.io:99999"])
@pytest.mark.parametrize("form", WITHOUT_NAMES)
def test_a_typo_in_a_host_name_keeps_the_secret_that_is_named_after_it(form: str, host: str) -> None:
    """In each format without names. Nothing that the warning shows instead of the name is taken for one."""
    last = read(WITHOUT_NAMES[form]("ghcr.io"))
    kept = after_change(last, read(WITHOUT_NAMES[form](host)))
    assert (names(kept), len(names(last)), len(kept.problems)) == (names(last), 2, 1)


def answer_of_vault(content: object) -> dict[str, Any]:
    return {"request_id": "1", "data": {"data": content, "metadata": {}}}


IN_ANOTHER: dict[str, Callable[..., ParseResult]] = {
    "one Secret": lambda *texts: read(a_secret(**dict(zip(("a.json", "b.json"), texts, strict=True)))),
    "Secrets in a list": lambda *texts: in_a_list(*(a_secret(**{".dockerconfigjson": text}) for text in texts)),
    "Secrets in an answer": lambda *texts: in_an_answer(*(a_secret(pull=text) for text in texts)),
    "a List": lambda *texts: read(
        {"apiVersion": "v1", "kind": "List", "items": [a_secret(pull=text) for text in texts]}
    ),
    "answers of Vault": lambda *texts: in_a_list(*map(answer_of_vault, texts)),
}


@pytest.mark.parametrize("content", ["", "{", '{"auths": 7}', '{"apiVersion": "v1", "kind": "Pod"}'])
@pytest.mark.parametrize("form", IN_ANOTHER)
def test_a_document_in_another_one_that_breaks_keeps_all_its_secrets(form: str, content: str) -> None:
    """However many it held. The documents next to it are still read."""
    three = {"auths": dict.fromkeys(("a.io", "b.io", "c.io"), ENTRY)}
    last = IN_ANOTHER[form](json.dumps(three), json.dumps(ONE))
    kept = after_change(last, IN_ANOTHER[form](content, json.dumps({**ONE, "password": "new"})))
    assert (names(kept), len(names(last)), len(kept.problems)) == (names(last), 4, 1)
    assert "new" in [secret.password.reveal() for secret in kept.secrets if secret.password]


def test_a_typo_in_very_many_secrets_takes_no_quadratic_time() -> None:
    """Lists in a list hold more than the limit of one. The agent would do nothing else for minutes."""
    (one,) = read(ONE).secrets
    many = tuple(replace(one, name=f"team-{number}") for number in range(32_000))
    problems = tuple(SecretInvalid(secret.subject, "password is missing") for secret in many)

    def change(size: int) -> None:
        kept = after_change(ParseResult(many[:size]), ParseResult(problems=problems[:size]))
        assert len(kept.secrets) == size

    assert_linear(change)
