"""File systems that do not answer: each costs only what is on it, and a warning names it."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.codes.servers import ControlPlane
from tests.codes.world import LOGIN, World
from tests.rig.hanging import HangingDirectory, hanging_directory
from tests.rig.needs import need_fuse
from tests.rig.waiting import PATIENCE_S

pytestmark = pytest.mark.usefixtures("_fuse")

HANGS: Final = "its file system does not answer"
NAMES: Final = ("settings", "secrets", "tokens", "identity")


@pytest.fixture
def _fuse() -> None:
    need_fuse()


def changed_secret_is_used(world: World, name: str) -> None:
    """Serve another registry and log in to it with a new secret."""
    world.agent.wait_logged_in(world.registry(name).hostname)


def test_a_secrets_token_file_that_hangs(world: World, hanging: HangingDirectory) -> None:
    """`secrets_unavailable` names the file, the first pass ends, and all other secrets are used."""
    url = f"{world.serve(ControlPlane([]).handle).url}/secrets"
    path = hanging.path / "token"
    agent = world.start({"secrets": {"url": url, "token_file": str(path), "poll_interval_s": 0.3}})
    agent.wait_for("the end of the first pass", lambda status: status["phase"] == "running")
    world.raised("secrets_unavailable", url, says=f"token file {path} cannot be read: {HANGS}")
    changed_secret_is_used(world, "later")


def test_a_settings_file_that_hangs_at_a_reload(world: World, hanging: HangingDirectory) -> None:
    """The status and renewals go on, and `settings_invalid` names the file. The next good file is used."""
    agent = world.start()
    agent.wait_logged_in(world.good.hostname)
    good, path = world.settings_file.read_text(), world.settings_file
    path.unlink()
    path.symlink_to(hanging.path / "config.toml")
    for _ in range(3):
        world.reload()
    world.raised("settings_invalid", str(path), says=f"{path} cannot be read: {HANGS}")
    world.agent.renew(world.good.hostname)
    changed_secret_is_used(world, "later")
    path.unlink()
    path.write_text(good)
    hanging.release()
    world.reload()
    world.cleared("settings_invalid", str(path))


def test_aws_files_that_hang(world: World) -> None:
    """`~/.aws` stops only the logins that need it. A secret with its own keys does not."""
    aws = world.aws(token_life_s=3600)
    with hanging_directory(world.home / ".aws"):
        chain = world.ecr(aws, "chain")
        user = aws.add_user("own")
        own = world.ecr(aws, "own", username=user.access_key_id, password=user.secret_access_key)
        agent = world.start({"aws": {"call_timeout_s": 2}})
        world.raised("aws_credentials_missing", chain.hostname, says="~/.aws cannot be read")
        agent.wait_logged_in(own.hostname)
        changed_secret_is_used(world, "later")


def test_a_program_that_hangs(world: World, hanging: HangingDirectory) -> None:
    """Starting it would block the whole agent. Its registry gets a warning, and everything else goes on."""
    secret = {"username": "ada", "password_command": [str(hanging.path / "give")]}
    door = world.registry("command", secret=secret)
    world.start({"aws": {"call_timeout_s": 2}})
    world.raised("credential_command_failed", door.hostname, says="did not end within 2 s")
    changed_secret_is_used(world, "later")


@pytest.mark.parametrize("field", ["password_command", "password_file"])
def test_many_passwords_that_hang(world: World, hanging: HangingDirectory, field: str) -> None:
    """Passwords that are well, and `docker` itself, are still read. Only what hangs is blamed."""
    give, password = world.sources.directory / "give", world.sources.directory / "password"
    password.write_text(LOGIN["password"])
    give.write_text(f"#!/bin/sh\ncat {password}\n")
    give.chmod(0o700)

    def source(path: Path) -> dict[str, object]:
        return {"username": LOGIN["username"], field: [str(path)] if field == "password_command" else str(path)}

    hosts = [f"hangs-{number}.example" for number in range(20)]
    for host in hosts:
        world.agent.give(host.replace(".", "-"), host, **source(hanging.path / host))
    well = world.registry("well", secret=source(give if field == "password_command" else password))
    world.start({"aws": {"call_timeout_s": 3}}).wait_logged_in(well.hostname)
    for host in hosts:
        world.raised("credential_command_failed", host, says="did not")
    changed_secret_is_used(world, "later")


def test_a_cache_of_sso_logins_that_hangs(world: World) -> None:
    """The SDK would read it in the event loop, and the agent would never answer again."""
    aws = world.aws(token_life_s=3600)
    directory = world.home / ".aws"
    directory.mkdir()
    session = "sso_session = corp\nsso_account_id = 123456789012\nsso_role_name = dev\n"
    corp = "[sso-session corp]\nsso_start_url = https://corp.example/start\nsso_region = eu-west-1\n"
    (directory / "config").write_text(f"[profile dev]\n{session}{corp}")
    with hanging_directory(directory / "sso"):
        dev = world.ecr(aws, "dev", profile="dev")
        world.start({"aws": {"call_timeout_s": 2}})
        world.raised("aws_credentials_missing", dev.hostname, says="~/.aws/sso/cache cannot be read")
        changed_secret_is_used(world, "later")


def test_everything_hangs_at_once(world: World, tmp_path: Path) -> None:
    """Settings, secrets, tokens and the identity token of AWS: each is named, and costs at most one thread.

    A changed secret is still used, and renewals and the status still work.
    """
    with ExitStack() as mounts:
        at = {name: mounts.enter_context(hanging_directory(tmp_path / name)).path for name in NAMES}
        everything_hangs(world, at)


def everything_hangs(world: World, at: dict[str, Path]) -> None:
    aws, url = world.aws(token_life_s=3600), f"{world.serve(ControlPlane([]).handle).url}/secrets"
    role = world.ecr(aws, "role", role_arn="arn:aws:iam::123456789012:role/env")
    agent = world.start(
        {
            "secrets": {
                "directories": [str(at["secrets"]), str(world.home / "secrets"), *map(str, many(at["secrets"], 20))],
                "url": url,
                "token_file": str(at["tokens"] / "secrets"),
            },
            "report": {"url": f"{world.dashboard()[1].url}/", "token_file": str(at["tokens"] / "report")},
            "aws": {"call_timeout_s": 2, "identity_token_file": str(at["identity"] / "token")},
        }
    )
    agent.wait_logged_in(world.good.hostname)
    world.settings_file.unlink()
    world.settings_file.symlink_to(at["settings"] / "config.toml")
    world.reload()
    world.raised("secrets_unavailable", url, says=f"{at['tokens']}/secrets")
    world.raised("secrets_unavailable", str(at["secrets"]), says="hangs")
    world.raised("aws_identity_unavailable", role.hostname, says=str(at["identity"]))
    world.raised("settings_invalid", str(world.settings_file), says=HANGS)
    changed_secret_is_used(world, "later")
    world.agent.renew(world.good.hostname)
    threads = len(os.listdir(f"/proc/{world.pid}/task"))  # noqa: PTH208 - only the number is needed
    assert threads < 60, "a file that hangs costs one thread"


def many(directory: Path, number: int) -> list[Path]:
    return [directory / str(each) for each in range(number)]


def hang_settings(world: World, hanging: HangingDirectory) -> str:
    """Let the settings file hang before the agent starts. Returns what it should hold."""
    content = world.settings_file.read_text()
    world.settings_file.unlink()
    world.settings_file.symlink_to(hanging.path / "config.toml")
    return content


def test_a_settings_file_that_hangs_at_the_start(world: World, hanging: HangingDirectory) -> None:
    """The status answers and shows it. Nothing is touched that the file may exclude, and it is used once it answers."""
    excluded, path = world.registry("excluded"), world.settings_file
    agent = world.prepare({"secrets": {"exclude": [excluded.hostname]}})
    content = hang_settings(world, hanging)
    status = agent.start().wait_for("the warning", lambda status: status["warnings"])
    (warning,) = status["warnings"]
    assert (warning["code"], warning["subject"]) == ("settings_invalid", str(path))
    assert f"{path} cannot be read: {HANGS}" in warning["message"]
    assert (status["phase"], status["registries"]) == ("starting", [])
    path.unlink()
    path.write_text(content)
    hanging.release()
    agent.wait_logged_in(world.good.hostname)
    world.cleared("settings_invalid", str(path))
    row = agent.registry(excluded.hostname)
    assert row is not None
    assert row["state"] == "skipped"


def test_an_agent_whose_settings_file_hangs_ends_on_sigterm(world: World, hanging: HangingDirectory) -> None:
    """The commands end by themselves, too."""
    agent = world.prepare()
    hang_settings(world, hanging)
    assert agent.command("check-config", "--config", str(world.settings_file)).returncode == 78
    assert agent.start().end() == 0
    assert agent.once().wait(PATIENCE_S) == 2
