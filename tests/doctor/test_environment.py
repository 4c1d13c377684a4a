"""The checks that all registries share."""

import contextlib
import json
from pathlib import Path

import pytest

from agent.doctor.check import Outcome
from agent.doctor.environment import engine_check, secrets
from agent.edge.http import HttpClient
from agent.edge.secret_url import SecretUrl
from agent.model.engine import EngineAnswer
from agent.model.status import Engine, Flavor
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


async def test_a_file_that_is_used_otherwise_is_no_bad_secret(tmp_path: Path) -> None:
    """As in the agent: the password file of a secret, also through a link, and what a variable names."""
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "s").mkdir()
    (tmp_path / "s/password").write_text("p")
    (tmp_path / "s/token.json").write_text('{"token": "p"}')
    (tmp_path / "s/google.json").write_text('{"type": "authorized_user"}')
    secret = {"name": "one", "hostname": "ghcr.io", "username": "a", "password_file": f"{tmp_path}/link/s/password"}
    (tmp_path / "s/a.json").write_text(json.dumps(secret))
    other = {**secret, "name": "two", "hostname": "quay.io", "password_file": f"{tmp_path}/link/s/token.json"}
    (tmp_path / "s/b.json").write_text(json.dumps(other))
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "s/google.json")}
    _, checks = await secrets(SecretsSettings(directories=(tmp_path / "s",)), environ, SecretUrl(HttpClient()))
    assert [check.outcome for check in checks] == [Outcome.OK]


@pytest.mark.parametrize("variable", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
@pytest.mark.parametrize("written", ["~/aws", "$HOME/aws"])
async def test_a_file_of_aws_is_known_where_the_sdk_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, written: str
) -> None:
    """The SDK expands `~` and variables in its path."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "aws").write_text("[default]\n")
    settings = SecretsSettings(directories=(tmp_path,))
    _, checks = await secrets(settings, {"HOME": str(tmp_path), variable: written}, SecretUrl(HttpClient()))
    assert [check.outcome for check in checks] == [Outcome.SKIPPED]


async def test_a_path_that_leads_nowhere_is_no_crash(tmp_path: Path) -> None:
    """A relative path in a variable means nothing once the working directory is removed."""
    for name in ("s", "removed"):
        (tmp_path / name).mkdir()
    (tmp_path / "s/broken.json").write_text("{")
    settings = SecretsSettings(directories=(tmp_path / "s",))
    with contextlib.chdir(tmp_path / "removed"):
        Path.cwd().rmdir()
        _, checks = await secrets(settings, {"AWS_CONFIG_FILE": "aws/config"}, SecretUrl(HttpClient()))
    assert [check.code for check in checks] == ["secret_invalid"]


@pytest.mark.parametrize(("flavor", "outcome"), [(Flavor.DOCKER, Outcome.BROKEN), (Flavor.PODMAN, Outcome.SKIPPED)])
def test_an_engine_that_podman_does_not_need_is_no_problem(flavor: Flavor, outcome: Outcome) -> None:
    """The status shows no warning for it either."""
    silent = EngineAnswer(Engine.UNRESPONSIVE, "unix:///run/docker.sock")
    forbidden = EngineAnswer(Engine.UNREACHABLE, "unix:///run/docker.sock", "ada", "docker")
    assert [engine_check(answer, flavor).outcome for answer in (silent, forbidden)] == [outcome, outcome]
