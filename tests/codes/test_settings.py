"""Wrong settings, and a status port that is in use."""

import json
import socket
import urllib.request
from typing import Final

import pytest

from tests.codes.causes import causes
from tests.codes.world import World

WRONG: Final = {
    "docker.login_timeout_s": '"soon"',
    "secrets.removed": '"shred"',
    "secrets.exclude": '"ghcr.io"',
    "secrets.url": '"http://secrets.example.com"',
    "secrets.poll_interval_s": "-1",
    "aws.region": '"Frankfurt"',
    "aws.role_arn": '"dev"',
    "aws.identity_token_command": "[]  \nidentity_token_file = 7",
    "renewal.fraction": "1.5",
    "retry.rejected_wait_s": '"an hour"',
    "status.listen": '"0.0.0.0:8719"',
    "status.allow_origins": '["everywhere"]',
    "report.url": '"ftp://dashboard.example.com"',
    "log.level": '"loud"',
    "log.colour": "true",
    "logs.level": '"info"',
}
"""Wrong values by key. If a value has two lines, the second one is wrong."""
MISNAMED: Final = {"aws.identity_token_command": "aws.identity_token_file", "logs.level": "logs"}


def toml(wrong: dict[str, str]) -> str:
    sections: dict[str, list[str]] = {}
    for key, value in wrong.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, []).append(f"{name} = {value}")
    return "\n".join(f"[{section}]\n" + "\n".join(lines) for section, lines in sections.items())


@pytest.fixture(autouse=True)
def _secrets_by_variable(world: World) -> None:
    """Set the secrets by environment variable, which overrides the file, so an invalid file does not affect them."""
    world.env["REGISTRY_AGENT_SECRETS_DIRECTORIES"] = json.dumps([str(world.agent.secrets)])


@causes("settings_invalid")
def test_every_kind_of_invalid_value(world: World) -> None:
    """Each wrong key uses its default and is named. After a correction, SIGHUP clears all warnings."""
    agent = world.prepare()
    world.settings_file.write_text(toml(WRONG))
    agent.start()
    for key in WRONG:
        warning = world.raised("settings_invalid", MISNAMED.get(key, key))
        assert str(world.settings_file) in warning["message"]
    assert "ftp://" not in json.dumps(agent.status()["warnings"])

    world.settings_file.write_text('[status]\nlisten = ""\n')
    world.reload()
    for key in WRONG:
        world.cleared("settings_invalid", MISNAMED.get(key, key))


@causes("settings_invalid")
@pytest.mark.parametrize("content", [b"[status\nlisten", b"\xff\xfe", None], ids=["not TOML", "not UTF-8", "missing"])
def test_a_settings_file_that_cannot_be_used(world: World, content: bytes | None) -> None:
    """All settings have their defaults, and the warning names the file."""
    world.env["REGISTRY_AGENT_STATUS_LISTEN"] = ""
    agent = world.prepare()
    good = world.settings_file.read_bytes()
    world.settings_file.unlink() if content is None else world.settings_file.write_bytes(content)
    agent.start()
    world.raised("settings_invalid", str(world.settings_file))
    world.settings_file.write_bytes(good)
    world.reload()
    world.cleared("settings_invalid", str(world.settings_file))


@causes("settings_invalid")
def test_a_bad_settings_file_at_a_reload(world: World) -> None:
    """It is reported, and changes nothing: registries that the old file excludes are still left alone."""
    excluded = world.registry("excluded")
    agent = world.start({"secrets": {"exclude": [excluded.hostname]}})
    world.nothing_stopped()
    good = world.settings_file.read_text()
    world.settings_file.write_text("retry = 7")
    world.reload()
    world.raised("settings_invalid", "retry")
    row = agent.registry(excluded.hostname)
    assert row is not None
    assert row["state"] == "skipped"
    world.settings_file.write_text(good)
    world.reload()
    world.cleared("settings_invalid", "retry")


@causes("settings_invalid")
def test_an_invalid_variable_next_to_a_good_file(world: World) -> None:
    """A wrong variable stays an error. A setting for the next start is a notice, even if a later file is invalid."""
    world.start(REGISTRY_AGENT_RETRY_MAX_WAIT_S="abc")
    world.raised("settings_invalid", "retry.max_wait_s")
    good = world.settings_file.read_text()
    world.settings_file.write_text(good.replace("[docker]", f'[docker]\nconfig_dir = "{world.home}/elsewhere"'))
    world.reload()
    world.raised("settings_invalid", "docker.config_dir", says="next start", severity="notice")
    world.settings_file.write_text("retry = 7")
    world.reload()
    world.raised("settings_invalid", "retry")
    world.raised("settings_invalid", "docker.config_dir", says="next start", severity="notice")
    world.settings_file.write_text(good)
    world.reload()
    world.cleared("settings_invalid", "docker.config_dir")
    world.raised("settings_invalid", "retry.max_wait_s")


@causes("status_listen_failed")
def test_a_status_port_in_use(world: World) -> None:
    """The socket still works. Once the port is free, TCP works too."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        world.start({"status": {"listen": f"127.0.0.1:{port}"}})
        world.raised("status_listen_failed", "status.listen", says=str(port))
    world.reload()
    world.cleared("status_listen_failed", "status.listen")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/status") as answer:
        assert answer.status == 200
