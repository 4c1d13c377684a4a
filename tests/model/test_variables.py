"""Tests of which environment variables count as set."""

import pytest

from agent.model.variables import drop_empty, wants_colours


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_an_empty_variable_counts_as_not_set(blank: str) -> None:
    """Dev containers and compose set a missing variable to the empty text."""
    names = ("AWS_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE")
    environ = {**dict.fromkeys((*names, "REQUESTS_CA_BUNDLE", "DOCKER_CONFIG"), blank), "AWS_REGION": "eu-west-1"}
    drop_empty(environ)
    assert environ == {"AWS_REGION": "eu-west-1"}


def test_an_empty_setting_stays() -> None:
    """An empty `status.listen` turns TCP off."""
    environ = {"REGISTRY_AGENT_STATUS_LISTEN": "", "LANG": ""}
    drop_empty(environ)
    assert environ == {"REGISTRY_AGENT_STATUS_LISTEN": "", "LANG": ""}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [({}, True), ({"TERM": "xterm", "NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_show_them_to_people_who_want_them(
    environ: dict[str, str], wanted: bool
) -> None:
    """The log of the agent and the commands follow the same rule."""
    assert wants_colours(environ) == wanted
