"""Logins that Docker reads outside of config.json: a helper's answer, and the variable DOCKER_AUTH_CONFIG."""

import pytest

from agent.model.docker_config import ConfigError, Entry, parse_auth_variable, parse_helper_answer
from agent.model.sensitive import Sensitive

THEIRS = Entry("you", Sensitive("other"))


def test_docker_reads_one_form_of_the_variable() -> None:
    """Docker ignores DOCKER_AUTH_CONFIG if it has any field other than `auth`, or more than one value."""
    login = '{"auths": {"ghcr.io": {"auth": "eW91Om90aGVy"}, %s}}'
    assert parse_auth_variable('{"auths": {"ghcr.io": {"auth": "eW91Om90aGVy"}}}\n') == {"ghcr.io": THEIRS}
    for other in ('"a": {}', '"a": {"auth": ""}', '"a": {"auth": "%"}', '"a": {"username": "u"}', '"a": null'):
        assert parse_auth_variable(login % other) == {}, other
    for text in (
        None,
        "",
        "{",
        "null",
        '{"credsStore": "x"}',
        '{"auths": {}} {}',
        '{"auths": {"a": {"auth": "OmFiYw=="}}}',
    ):
        assert parse_auth_variable(text) == {}, text


@pytest.mark.parametrize(
    ("answer", "login"),
    [
        (b'{"ServerURL": "ghcr.io", "Username": "you", "Secret": "other"}\n', THEIRS),
        (b'{"username": "you", "SECRET": "other", "x": 1} trailing', THEIRS),
        (b'{"Username": "<token>", "Secret": "refresh"}', Entry("<token>", Sensitive("refresh"), identity_token=True)),
        (b'{"Username": "", "Secret": null}', None),
        (b"null", None),
    ],
)
def test_a_helpers_answer_is_read_as_docker_reads_it(answer: bytes, login: Entry | None) -> None:
    assert parse_helper_answer(answer) == login


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b'{"Username": 1}', b'{"ServerURL": [], "Username": "u"}'])
def test_a_helpers_answer_that_docker_cannot_read_is_refused(answer: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_helper_answer(answer)
