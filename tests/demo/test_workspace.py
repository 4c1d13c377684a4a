"""The demo's agent lives apart from the person's own Docker, AWS and agent."""

import json
import stat

from agent.demo.workspace import make_workspace


def test_the_stage_is_private_and_goes_without_a_trace() -> None:
    """Directories 0700, secrets 0600, and nothing is left."""
    stage = make_workspace([{"name": "one", "hostname": "localhost:1"}])
    try:
        assert stat.S_IMODE(stage.root.stat().st_mode) == 0o700
        assert stat.S_IMODE((stage.secrets / "one.json").stat().st_mode) == 0o600
        assert json.loads((stage.secrets / "one.json").read_text())["hostname"] == "localhost:1"
    finally:
        stage.remove()
    assert not stage.root.exists()


def test_nothing_of_the_persons_environment_reaches_the_agent() -> None:
    """No AWS account, no proxy, no settings, no secrets; only what any program needs."""
    stage = make_workspace([])
    person = {"PATH": "/bin", "AWS_PROFILE": "work", "HTTPS_PROXY": "http://p", "REGISTRY_AGENT_LOG_LEVEL": "debug"}
    environment = stage.environment("http://127.0.0.1:9", {**person, "HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/1"})
    stage.remove()
    assert environment["PATH"] == "/bin"
    assert not environment.keys() & {"AWS_PROFILE", "HTTPS_PROXY", "REGISTRY_AGENT_LOG_LEVEL", "XDG_RUNTIME_DIR"}
    own = ("HOME", "DOCKER_CONFIG", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "SSL_CERT_FILE")
    assert all(environment[name].startswith(str(stage.root)) for name in own)


def test_docker_hosts_are_told_without_the_logins() -> None:
    """An absent or broken file holds none."""
    stage = make_workspace([])
    try:
        assert stage.docker_hosts() == []
        stage.docker_config.write_text('{"auths": {"b:2": {"auth": "c2VjcmV0"}, "a:1": {}}}')
        assert stage.docker_hosts() == ["a:1", "b:2"]
        stage.docker_config.write_text("{")
        assert stage.docker_hosts() == []
    finally:
        stage.remove()
