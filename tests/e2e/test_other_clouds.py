"""Logins at Google and Azure under their real names. The engine pulls, and the doctor names a missing right."""

import json

import pytest

from tests.e2e.conftest import IMAGE, MakeAgent
from tests.fakecloud.azure import CLIENT, OBJECT
from tests.fakecloud.google import EMAIL
from tests.rig.agent import Agent
from tests.rig.engine import Engine
from tests.rig.machine import Machine
from tests.rig.other_clouds import ACR, GAR, azure_on, google_on

pytestmark = pytest.mark.engine


def _pushes_and_pulls(agent: Agent, engine: Engine, registry: str) -> None:
    image = f"{registry}/{IMAGE}"
    engine.make_image(image)
    engine.must("push", image, config=agent.docker)
    engine.must("rmi", image, config=agent.docker)
    engine.must("pull", image, config=agent.docker)


def _hint(agent: Agent, image: str) -> str:
    """Return the doctor's hint for a refused pull after a successful login."""
    settings = agent.secrets.parent / "config.toml"
    done = agent.command("doctor", "--config", str(settings), "--json", image)
    links = json.loads(done.stdout)["registries"][0]["links"]
    outcomes = {link["name"]: link for link in links}
    assert outcomes["login"]["outcome"] == "ok", outcomes["login"]
    assert outcomes["pull"]["outcome"] == "broken", outcomes["pull"]
    return str(outcomes["pull"]["fix"])


def test_google_artifact_registry(make_agent: MakeAgent, machine: Machine, images: str, engine: Engine) -> None:
    """The machine's service account logs in. Without the role to read, only the pull fails."""
    with google_on(machine, images) as cloud:
        agent = make_agent()
        agent.give("team-gar", GAR, username="runner-native")
        agent.start().wait_logged_in(GAR)
        row = agent.registry(GAR)
        assert row is not None
        assert (row["kind"], row["identity"], row["stored_in"]) == ("gar", EMAIL, "config.json")
        hint = _hint(agent, f"{GAR}/{IMAGE}")
        assert "roles/artifactregistry.reader" in hint
        assert EMAIL in hint
        cloud.readers.add(EMAIL)
        _pushes_and_pulls(agent, engine, GAR)
        assert agent.status()["condition"] == "healthy"


def test_azure_container_registry(make_agent: MakeAgent, machine: Machine, images: str, engine: Engine) -> None:
    """The machine's managed identity logs in. Without the role to read, only the pull fails."""
    with azure_on(machine, images) as cloud:
        agent = make_agent()
        agent.give("team-acr", ACR, username="runner-native")
        agent.start().wait_logged_in(ACR)
        row = agent.registry(ACR)
        assert row is not None
        assert (row["kind"], row["stored_in"]) == ("acr", "config.json")
        assert row["identity"].startswith(f"client {CLIENT}, object {OBJECT}")
        hint = _hint(agent, f"{ACR}/{IMAGE}")
        assert "AcrPull" in hint
        assert "Container Registry Repository Reader" in hint
        assert OBJECT in hint
        cloud.readers.add(OBJECT)
        _pushes_and_pulls(agent, engine, ACR)
        assert agent.status()["condition"] == "healthy"
