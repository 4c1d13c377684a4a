"""The checks that all registries share."""

from pathlib import Path

from agent.doctor.check import Outcome
from agent.doctor.environment import secrets
from agent.edge.http import HttpClient
from agent.edge.secret_url import SecretUrl
from agent.settings import SecretsSettings


async def test_a_source_that_is_down_is_reported_and_does_not_stop_the_others(tmp_path: Path) -> None:
    """The check fails with the source's own problem. Nothing is raised."""
    settings = SecretsSettings(directories=(tmp_path,), url="http://127.0.0.1:1/secrets")
    (tmp_path / "a.json").write_text('{"name": "one", "hostname": "ghcr.io", "username": "a", "password": "b"}')
    found, checks = await secrets(settings, {}, SecretUrl(HttpClient()))
    assert [secret.name for secret in found] == ["one"]
    assert [(check.outcome, check.code) for check in checks] == [
        (Outcome.OK, None),
        (Outcome.BROKEN, "secrets_unavailable"),
    ]
