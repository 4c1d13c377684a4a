"""Tests of which environment variables count as set."""

import pytest

from agent.model.variables import drop_empty


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
