"""Secrets in environment variables: the agent's own, and those of Codespaces and Gitpod."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.secret_environment import read_environment
from agent.model.secret_formats import ParseResult

PASSWORD = "hunter2-hunter2"


def logins(result: ParseResult) -> list[tuple[str, str, str | None]]:
    return [(secret.name, secret.registry.hostname, secret.username) for secret in result.secrets]


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def codespaces(name: str, **values: str) -> dict[str, str]:
    values = {"SERVER": "ghcr.io", "USER": "bot", "PASSWORD": PASSWORD, **values}
    return {f"{name}_CONTAINER_REGISTRY_{part}": value for part, value in values.items()}


def test_the_agents_own_variable_contains_json() -> None:
    """In any form that a secret file may have."""
    secret = {"name": "one", "hostname": "ghcr.io", "username": "bot", "password": PASSWORD}
    for value in (secret, [secret], {"secrets": [secret]}):
        assert logins(read_environment({"REGISTRY_AGENT_SECRETS": json.dumps(value)})) == [("one", "ghcr.io", "bot")]
    docker = {"auths": {"ghcr.io": {"auth": auth(f"bot:{PASSWORD}")}}}
    result = read_environment({"REGISTRY_AGENT_SECRETS": json.dumps(docker)})
    assert logins(result) == [("REGISTRY_AGENT_SECRETS-ghcr.io", "ghcr.io", "bot")]


def test_three_codespaces_variables_are_one_secret() -> None:
    """Its name is made of the prefix and the host."""
    environ = codespaces("TEAM") | codespaces("MY_HUB", SERVER="https://index.docker.io/v1/")
    assert logins(read_environment(environ)) == [
        ("MY_HUB-docker.io", "docker.io", "bot"),
        ("TEAM-ghcr.io", "ghcr.io", "bot"),
    ]


@pytest.mark.parametrize("missing", ["SERVER", "USER", "PASSWORD"])
def test_an_incomplete_set_names_the_missing_variable(missing: str) -> None:
    """An empty variable counts as missing. A complete set next to it works."""
    result = read_environment(codespaces("A_B", **{missing: ""}) | codespaces("C"))
    (problem,) = result.problems
    assert f"A_B_CONTAINER_REGISTRY_{missing}" in problem.message
    assert problem.subject == "A_B_CONTAINER_REGISTRY_SERVER#A_B"
    assert PASSWORD not in problem.message
    assert [name for name, *_ in logins(result)] == ["C-ghcr.io"]


@pytest.mark.parametrize("empty", ["", " \n"])
def test_empty_variables_are_ignored(empty: str) -> None:
    """Compose files pass on unset variables with an empty value."""
    secrets = dict.fromkeys(("REGISTRY_AGENT_SECRETS", "GITPOD_IMAGE_AUTH"), empty)
    assert read_environment(codespaces("A", SERVER=empty, USER=empty, PASSWORD=empty) | secrets) == ParseResult()


def test_gitpods_list_is_read() -> None:
    """Items may have ports and spaces, and may be empty."""
    value = f"docker.io:{auth('a:x')}, registry.example.com:5000:{auth('b:y:z')},,[::1]:5000:{auth('c:z')}"
    result = read_environment({"GITPOD_IMAGE_AUTH": value})
    assert logins(result) == [
        ("gitpod-docker.io", "docker.io", "a"),
        ("gitpod-registry.example.com:5000", "registry.example.com:5000", "b"),
        ("gitpod-[::1]:5000", "[::1]:5000", "c"),
    ]
    assert result.problems == ()


@pytest.mark.parametrize("item", [f"ghcr.io:{PASSWORD}", "ghcr.io", auth(f"bot:{PASSWORD}"), f"ghcr.io:{auth('bot:')}"])
def test_a_bad_gitpod_item_affects_no_other_item(item: str) -> None:
    """The problem does not show its content."""
    result = read_environment({"GITPOD_IMAGE_AUTH": f"{item},quay.io:{auth('a:x')}"})
    (problem,) = result.problems
    assert problem.subject.startswith("GITPOD_IMAGE_AUTH#")
    assert PASSWORD not in problem.message
    assert item not in problem.message
    assert [host for _, host, _ in logins(result)] == ["quay.io"]


@pytest.mark.parametrize(
    ("environ", "fault", "hint"),
    [
        ({"REGISTRY_AGENT_SECRETS": "$REGISTRY_SECRETS"}, "is a placeholder that nothing has replaced", "JSON object"),
        ({"REGISTRY_AGENT_SECRETS": "${{ secrets.REGISTRIES }}"}, "is a placeholder that nothing", "JSON object"),
        ({"REGISTRY_AGENT_SECRETS": "<password>"}, "is a placeholder that nothing has replaced", "JSON object"),
        ({"REGISTRY_AGENT_SECRETS": PASSWORD}, "is a single value", "JSON object"),
        ({"REGISTRY_AGENT_SECRETS": "-----BEGIN RSA PRIVATE KEY-----"}, "a certificate or a key", "fix the variable"),
        (
            codespaces("A", SERVER='"ghcr.io"', USER='"bot"', PASSWORD='"p"'),
            "hostname is in quotes",
            "remove the quotes around hostname and username and password",
        ),
        (codespaces("A", SERVER="$SERVER", USER="$USER"), "a placeholder", "placeholder in hostname and username"),
        (codespaces("A", SERVER="ghcr io"), "is not a host name", "fix the variable that the message names"),
        (codespaces("A", USER="a:b"), "contains a colon", "fix the variable that the message names"),
        ({"REGISTRY_AGENT_SECRETS": '{"HOST": "ghcr.io"}'}, "hostname is missing", "rename the key HOST to hostname"),
        ({"GITPOD_IMAGE_AUTH": "ghcr.io:x"}, "base64(user:password)", "encode the user name"),
    ],
)
def test_a_bad_variable_is_called_by_its_name(environ: dict[str, str], fault: str, hint: str) -> None:
    """The hint is for a variable: there is no file to move, and the agent reads it only when it starts."""
    (problem,) = read_environment(environ).problems
    assert fault in problem.message
    assert hint in problem.hint
    assert "directory" not in problem.hint
    assert problem.hint.count("restart the agent") == 1


@given(st.sampled_from(["REGISTRY_AGENT_SECRETS", "GITPOD_IMAGE_AUTH", "X_CONTAINER_REGISTRY_USER"]), st.text())
def test_no_value_raises(variable: str, value: str) -> None:
    """Any value of a variable becomes a secret or a problem."""
    assert isinstance(read_environment({variable: value}), ParseResult)
