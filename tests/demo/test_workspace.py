"""The demo's agent is separate from the person's own Docker, AWS and agent."""

import json
import stat

from agent.demo.workspace import make_workspace


def test_the_workspace_is_private_and_can_be_removed() -> None:
    """Directories have mode 0700 and secrets 0600. `remove` leaves nothing."""
    workspace = make_workspace([{"name": "one", "hostname": "localhost:1"}])
    try:
        assert stat.S_IMODE(workspace.root.stat().st_mode) == 0o700
        assert stat.S_IMODE((workspace.secrets / "one.json").stat().st_mode) == 0o600
        assert json.loads((workspace.secrets / "one.json").read_text())["hostname"] == "localhost:1"
    finally:
        workspace.remove()
    assert not workspace.root.exists()


def test_the_agent_does_not_get_the_persons_environment() -> None:
    """It gets no AWS account, no proxy, no settings and no secrets, but only what any program needs."""
    workspace = make_workspace([])
    person = {"PATH": "/bin", "AWS_PROFILE": "work", "HTTPS_PROXY": "http://p", "REGISTRY_AGENT_LOG_LEVEL": "debug"}
    environment = workspace.environment(
        "http://127.0.0.1:9", {**person, "HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/1"}
    )
    workspace.remove()
    assert environment["PATH"] == "/bin"
    assert not environment.keys() & {"AWS_PROFILE", "HTTPS_PROXY", "REGISTRY_AGENT_LOG_LEVEL", "XDG_RUNTIME_DIR"}
    own = ("HOME", "DOCKER_CONFIG", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "SSL_CERT_FILE")
    assert all(environment[name].startswith(str(workspace.root)) for name in own)


def test_docker_hosts_returns_only_host_names() -> None:
    """It returns none if the file is missing or invalid."""
    workspace = make_workspace([])
    try:
        assert workspace.docker_hosts() == []
        workspace.docker_config.write_text('{"auths": {"b:2": {"auth": "c2VjcmV0"}, "a:1": {}}}')
        assert workspace.docker_hosts() == ["a:1", "b:2"]
        workspace.docker_config.write_text("{")
        assert workspace.docker_hosts() == []
    finally:
        workspace.remove()
