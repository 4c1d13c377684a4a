"""Invalid secrets, and sources that do not work."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.codes.causes import causes
from tests.codes.servers import ControlPlane
from tests.codes.sources import PLAIN
from tests.codes.world import LOGIN, NATIVE, World
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.faults import CAPTIVE_PORTAL, GARBAGE, Answer, Broken, Fault
from tests.hunt.canary import Canary

HOST: Final = "registry.invalid"
RIGHT: Final[dict[str, Any]] = {"name": "the-secret", "hostname": HOST, "enabled": False, **LOGIN}
WITH_NUL: Final = Canary.make("a password with a NUL character", "\0")
NUMBER: Final = Canary("a number", str(secrets.randbits(128)))
# By file name: its content, and what follows the file's path in the subject.
WRONG_FILES: Final[dict[str, tuple[object, str]]] = {
    "no-json.json": ("{'name': ", ""),
    "empty.json": ("", ""),
    "not-an-object.json": ("7", "#not-an-object"),
    "twice.json": ('{"name": "one", "name": "two"}', ""),
    "deep.json": ("[" * 100_000, ""),
    "binary.json": (b"\xff\xfe\x00", ""),
    "no-hostname.json": ({**RIGHT, "hostname": None}, "#the-secret"),
    "bad-hostname.json": ({**RIGHT, "hostname": "not a host"}, "#the-secret"),
    "no-name.json": ({**RIGHT, "name": None}, "#no-name"),
    "bad-name.json": ({**RIGHT, "name": "a b"}, "#a b"),
    "no-user.json": ({**RIGHT, "username": ""}, "#the-secret"),
    "no-password.json": ({**RIGHT, "password": ""}, "#the-secret"),
    "colon.json": ({**RIGHT, "username": "a:b"}, "#the-secret"),
    "nul.json": ({**RIGHT, "password": WITH_NUL.value}, "#the-secret"),
    "number.json": ({**RIGHT, "password": int(NUMBER.value)}, "#the-secret"),
    "scope.json": ({**RIGHT, "scope": "galaxy"}, "#the-secret"),
    "kind.json": ({**RIGHT, "kind": "ldap"}, "#the-secret"),
    "role.json": ({**RIGHT, "role_arn": "admin"}, "#the-secret"),
    "list.json": ([RIGHT, 7], "#[1]"),
    "no-list.json": ({"secrets": 7}, ""),
    "auths.json": ({"auths": {HOST: {"auth": "!"}}}, f"#auths-{HOST}"),
    ".dockerconfigjson": ({"auths": []}, ""),
}


@pytest.fixture(scope="module")
def aws(shared: World) -> PretendAws:
    """The AWS of the agent that all tests share. The agent also has a variable with an invalid secret."""
    aws = shared.aws(token_life_s=3600)
    shared.start(REGISTRY_AGENT_SECRETS='{"secrets": ')
    return aws


@pytest.fixture
def world(aws: PretendAws, shared_world: World) -> Iterator[World]:  # noqa: ARG001 - which has started it
    yield shared_world
    shared_world.set()


@causes("secret_invalid")
def test_every_kind_of_bad_secret(world: World) -> None:
    """Each one is reported by file and name, without its values. Valid secrets next to it are used."""
    subjects = {}
    world.sources.canaries.extend([WITH_NUL, NUMBER])
    for name, (content, suffix) in WRONG_FILES.items():
        path = world.agent.secrets / name
        path.write_bytes(_encoded(content))
        subjects[name] = f"{path}{suffix}"
    for subject in subjects.values():
        warning = world.raised("secret_invalid", subject)
        assert warning["message"].isprintable()
    for name in subjects:
        (world.agent.secrets / name).unlink()
    for subject in subjects.values():
        world.cleared("secret_invalid", subject)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def _link_loop(path: Path) -> None:
    path.symlink_to(path)


def _no_permission(path: Path) -> None:
    path.touch(mode=0)


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _too_large(path: Path) -> None:
    path.write_bytes(bytes(2 * 1024 * 1024))


@causes("secret_invalid")
@pytest.mark.parametrize("make", [_fifo, _dangling_link, _link_loop, _no_permission, _endless, _too_large])
def test_a_secret_file_that_cannot_be_read(world: World, make: Callable[[Path], None]) -> None:
    """It delays nothing, and it is reported by name."""
    path = world.agent.secrets / "odd.json"
    make(path)
    world.raised("secret_invalid", str(path))
    path.unlink()
    world.cleared("secret_invalid", str(path))


@causes("secret_invalid")
def test_a_bad_secret_in_a_subdirectory_or_a_variable(world: World) -> None:
    """Two other forms: one file per field, and the environment, where only a restart can fix a fault."""
    fields = world.agent.secrets / "by-fields"
    fields.mkdir()
    (fields / "hostname").write_text("not a host\n")
    world.raised("secret_invalid", f"{fields}#by-fields")
    world.raised("secret_invalid", "REGISTRY_AGENT_SECRETS")
    (fields / "hostname").unlink()
    world.cleared("secret_invalid", f"{fields}#by-fields")
    shutil.rmtree(fields)


@causes("secret_shadowed")
def test_two_secrets_for_one_registry(world: World) -> None:
    """The scope decides which one is used. The other one is reported until it is removed."""
    door = world.registry("mine", secret={**LOGIN, "scope": "user"})
    wrong = world.sources.secret("wrong password")
    world.agent.give("theirs", door.hostname, username="nobody", password=wrong, scope="organization")
    subject = f"{world.agent.secrets / 'theirs.json'}#theirs"
    world.raised("secret_shadowed", subject, says=door.hostname)
    world.agent.wait_logged_in(door.hostname)
    (world.agent.secrets / "theirs.json").unlink()
    world.cleared("secret_shadowed", subject)


@causes("native_unsupported")
def test_runner_native_for_a_registry_other_than_ecr(world: World) -> None:
    """It is skipped until it has a user name and a password."""
    door = world.registry("native", secret={"username": "runner-native"})
    world.raised("native_unsupported", door.hostname, says="native")
    row = world.agent.registry(door.hostname)
    assert row is not None
    assert row["state"] == "skipped"
    world.agent.give("native", door.hostname, **LOGIN)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("native_unsupported", door.hostname)


@causes("token_not_renewable")
def test_a_ready_ecr_token(world: World, aws: PretendAws) -> None:
    """It is used as it is, with a notice. A runner-native secret instead of it is renewed."""
    token = aws.tokens.issue("arn:aws:iam::123456789012:user/ci", NATIVE["region"], aws.now().replace(year=2100))
    door = world.ecr(aws, "ready", username="AWS", password=token.password)
    world.raised("token_not_renewable", door.hostname)
    world.agent.wait_logged_in(door.hostname)
    world.agent.give("ready", door.hostname, **NATIVE)
    world.cleared("token_not_renewable", door.hostname)
    world.agent.wait_for("a renewal", lambda s: any(row["renew_at"] for row in s["registries"]))


def _unreadable(directory: Path) -> Callable[[], object]:
    directory.chmod(0)
    return lambda: directory.chmod(0o700)


def _no_search_permission(directory: Path) -> Callable[[], object]:
    """Names can be listed, but files cannot be opened, as after `chmod -R 600`."""
    directory.chmod(0o600)
    return lambda: directory.chmod(0o700)


def _replaced_by_a_file(directory: Path) -> Callable[[], object]:
    away = directory.with_name("away")
    directory.rename(away)
    directory.write_text("")

    def fix() -> None:
        directory.unlink()
        away.rename(directory)

    return fix


@causes("secrets_unavailable")
@pytest.mark.parametrize("spoil", [_unreadable, _no_search_permission, _replaced_by_a_file])
def test_a_directory_that_cannot_be_read(world: World, spoil: Callable[[Path], Callable[[], object]]) -> None:
    """Its last secrets stay in use, even if the logins of removed secrets are removed too."""
    directory = world.sources.directory / f"more{spoil.__name__}"
    directory.mkdir()
    door = world.registry("elsewhere")
    (world.agent.secrets / "elsewhere.json").rename(directory / "elsewhere.json")
    world.set(secrets={"directories": [str(world.agent.secrets), str(directory)], "removed": "logout"})
    world.agent.wait_logged_in(door.hostname)
    fix = spoil(directory)
    try:
        world.raised("secrets_unavailable", str(directory))
        world.agent.wait_logged_in(door.hostname)
    finally:
        fix()
    world.cleared("secrets_unavailable", str(directory))


@causes("secrets_unavailable")
@pytest.mark.parametrize(
    "fault",
    [
        Answer(500),
        Answer(401),
        Answer(302, headers={"Location": "http://localhost/"}),
        GARBAGE,
        CAPTIVE_PORTAL,
        Answer(200, "[]", "application/json"),
        Answer(200, '{"secrets": {}}', "application/json"),
        Answer(200, " " * 5 * 1024 * 1024, "application/json"),
        Broken.RESET,
    ],
    ids=["500", "401", "redirect", "not JSON", "captive portal", "a list", "no list", "too large", "connection reset"],
)
def test_a_failing_secrets_url(world: World, fault: Fault) -> None:
    """Its last secrets stay in use, and its next ones are used."""
    door = world.registry("given")
    secret = json.loads((world.agent.secrets / "given.json").read_text())
    (world.agent.secrets / "given.json").unlink()
    plane = ControlPlane([secret])
    url = f"{world.serve(plane.handle).url}/secrets"
    world.set(secrets={"url": url, "poll_interval_s": 0.3})
    world.agent.wait_logged_in(door.hostname)
    plane.fault = fault
    world.raised("secrets_unavailable", url)
    world.agent.wait_logged_in(door.hostname)
    plane.secrets, plane.fault = [], None
    world.cleared("secrets_unavailable", url)
    world.agent.wait_for(
        "the new answer's use", lambda s: door.hostname not in {r["hostname"] for r in s["registries"]}
    )


@causes("secrets_unavailable")
def test_a_missing_token_file(world: World) -> None:
    """The control plane is not asked without the token. Once the token exists, its secrets are used."""
    door = world.registry("given")
    secret = json.loads((world.agent.secrets / "given.json").read_text())
    (world.agent.secrets / "given.json").unlink()
    url = f"{world.serve(ControlPlane([secret]).handle).url}/secrets"
    token = world.sources.directory / "token"
    world.set(secrets={"url": url, "token_file": str(token), "poll_interval_s": 0.3})
    warning = world.raised("secrets_unavailable", url, says=str(token))
    assert "secrets.token_file" in warning["hint"]
    token.write_text(world.sources.secret("token", PLAIN))
    world.agent.wait_logged_in(door.hostname)
    world.cleared("secrets_unavailable", url)


def _encoded(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    return (content if isinstance(content, str) else json.dumps(content)).encode()
