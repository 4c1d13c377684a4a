"""Secrets that platforms give in the environment."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.secret_environment import read_environment
from agent.model.secret_formats import ParseResult

PASSWORD = "hunter2-hunter2"


def logins(reading: ParseResult) -> list[tuple[str, str, str | None]]:
    return [(secret.name, secret.registry.hostname, secret.username) for secret in reading.secrets]


def auth(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def codespaces(name: str, **values: str) -> dict[str, str]:
    values = {"SERVER": "ghcr.io", "USER": "bot", "PASSWORD": PASSWORD, **values}
    return {f"{name}_CONTAINER_REGISTRY_{part}": value for part, value in values.items()}


def test_our_own_variable_holds_json() -> None:
    """In any of the forms that a file may have."""
    secret = {"name": "one", "hostname": "ghcr.io", "username": "bot", "password": PASSWORD}
    for value in (secret, [secret], {"secrets": [secret]}):
        assert logins(read_environment({"REGISTRY_AGENT_SECRETS": json.dumps(value)})) == [("one", "ghcr.io", "bot")]
    docker = {"auths": {"ghcr.io": {"auth": auth(f"bot:{PASSWORD}")}}}
    reading = read_environment({"REGISTRY_AGENT_SECRETS": json.dumps(docker)})
    assert logins(reading) == [("REGISTRY_AGENT_SECRETS-ghcr.io", "ghcr.io", "bot")]


def test_codespaces_sets_of_three_are_secrets() -> None:
    """Each named after its prefix and host."""
    environ = codespaces("TEAM") | codespaces("MY_HUB", SERVER="https://index.docker.io/v1/")
    assert logins(read_environment(environ)) == [
        ("MY_HUB-docker.io", "docker.io", "bot"),
        ("TEAM-ghcr.io", "ghcr.io", "bot"),
    ]


@pytest.mark.parametrize("missing", ["SERVER", "USER", "PASSWORD"])
def test_an_incomplete_set_names_the_missing_variable(missing: str) -> None:
    """Empty counts as missing; the complete set beside it works."""
    reading = read_environment(codespaces("A_B", **{missing: ""}) | codespaces("C"))
    (problem,) = reading.problems
    assert f"A_B_CONTAINER_REGISTRY_{missing}" in problem.message
    assert problem.subject == "A_B_CONTAINER_REGISTRY_SERVER#A_B"
    assert PASSWORD not in problem.message
    assert [name for name, *_ in logins(reading)] == ["C-ghcr.io"]


def test_variables_that_are_all_empty_are_not_there() -> None:
    """Compose files pass such on."""
    empty = codespaces("A", SERVER="", USER="", PASSWORD="") | {"REGISTRY_AGENT_SECRETS": "", "GITPOD_IMAGE_AUTH": ""}
    assert read_environment(empty) == ParseResult()


def test_gitpod_s_list_is_read() -> None:
    """With ports, spaces and empty items."""
    value = f"docker.io:{auth('a:x')}, registry.example.com:5000:{auth('b:y:z')},,[::1]:5000:{auth('c:z')}"
    reading = read_environment({"GITPOD_IMAGE_AUTH": value})
    assert logins(reading) == [
        ("gitpod-docker.io", "docker.io", "a"),
        ("gitpod-registry.example.com:5000", "registry.example.com:5000", "b"),
        ("gitpod-[::1]:5000", "[::1]:5000", "c"),
    ]
    assert reading.problems == ()


@pytest.mark.parametrize("item", [f"ghcr.io:{PASSWORD}", "ghcr.io", auth(f"bot:{PASSWORD}"), f"ghcr.io:{auth('bot:')}"])
def test_a_bad_gitpod_item_costs_only_itself(item: str) -> None:
    """And is told without its content."""
    reading = read_environment({"GITPOD_IMAGE_AUTH": f"{item},quay.io:{auth('a:x')}"})
    (problem,) = reading.problems
    assert problem.subject.startswith("GITPOD_IMAGE_AUTH#")
    assert PASSWORD not in problem.message
    assert item not in problem.message
    assert [host for _, host, _ in logins(reading)] == ["quay.io"]


@given(st.sampled_from(["REGISTRY_AGENT_SECRETS", "GITPOD_IMAGE_AUTH", "X_CONTAINER_REGISTRY_USER"]), st.text())
def test_no_value_makes_it_fail(variable: str, value: str) -> None:
    """Whatever stands in a variable is a secret or a fault."""
    assert isinstance(read_environment({variable: value}), ParseResult)
