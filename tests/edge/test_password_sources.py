"""Password sources with real programs and files: what they give, and the reason if they give nothing."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.edge.password_sources import PasswordSources
from agent.model.credential import Token
from agent.model.password_source import PasswordField, PasswordOrigin, PasswordSource
from agent.model.problem import Problem
from agent.model.problems.password_source import CredentialCommandFailed
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from tests.codes.programs import script
from tests.problems import raises_problem
from tests.rig.pass_store import PassStore, docker_credential_pass, pass_store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOST = "registry.example.com"
SECRET = "hunter2-secret"
UNIT = "registry-agent@ada.service"


async def fetch(
    field: PasswordField,
    *words: object,
    life_s: float | None = None,
    username: str | None = "ada",
    hostname: str = HOST,
    timeout_s: float = 60,
    unit: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Token:
    origin = PasswordOrigin(field, tuple(map(str, words)), life_s)
    sources = PasswordSources(environ=environ, now=lambda: NOW, unit=unit)
    return await sources.fetch_token(PasswordSource(origin, Registry(hostname), username), timeout_s)


async def failure(field: PasswordField, *words: object, **arguments: Any) -> Problem:
    with raises_problem(CredentialCommandFailed) as caught:
        await fetch(field, *words, **arguments)
    problem = caught.value
    assert problem.subject == arguments.get("hostname", HOST)
    assert problem.message.startswith(f"{field} {words[0]}")
    assert SECRET not in problem.message + problem.hint
    return problem


@pytest.fixture(scope="module")
def store() -> Iterator[PassStore]:
    """A store in which the helper has a login, and a person a secret."""
    helper = docker_credential_pass()
    login = json.dumps({"ServerURL": HOST, "Username": "eve", "Secret": SECRET})
    with pass_store(helper) as store:
        subprocess.run([helper, "store"], input=login.encode(), env=store.env, check=True)
        assert store.insert("registry", SECRET).returncode == 0
        yield store


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "program"


async def test_a_command_prints_the_password(program: Path) -> None:
    """No shell runs, so every argument reaches the program as it is. It has no terminal."""
    script(program, 'printf "%s\\n" "$2"', "test ! -t 0 && ! (: >/dev/tty) 2>/dev/null")
    assert await fetch(PasswordField.COMMAND, program, "x", "$HOME;`id`") == Token("ada", Sensitive("$HOME;`id`"), None)


@pytest.mark.parametrize("program", ["vault", "/usr/bin/vault"])
async def test_a_command_line_in_one_string_is_not_shown(program: str) -> None:
    """Its arguments may hold a secret. The hint says how to write them."""
    with raises_problem(CredentialCommandFailed) as caught:
        await fetch(PasswordField.COMMAND, f"{program} kv get --token={SECRET} x")
    assert caught.value.message.startswith(f"password_command {program} … cannot be run: no")
    assert SECRET not in caught.value.message
    assert "a string of its own" in caught.value.hint
    assert SECRET not in caught.value.hint


async def test_a_command_gets_no_secret_in_its_environment(program: Path) -> None:
    """Only what it needs to find its own login."""
    script(program, 'echo "$VAULT_TOKEN|$REGISTRY_AGENT_SECRETS|$NOTIFY_SOCKET|$VAULT_ADDR"')
    given = {"VAULT_TOKEN": SECRET, "REGISTRY_AGENT_SECRETS": SECRET, "NOTIFY_SOCKET": "/x", "VAULT_ADDR": "https://v"}
    found = await fetch(PasswordField.COMMAND, program, environ={**os.environ, **given})
    assert found.password == Sensitive("|||https://v")


async def test_a_kubelet_credential_provider_works_as_a_command(program: Path) -> None:
    """It reads the request with the registry, and its response shows the end."""
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        "request = json.load(sys.stdin)\n"
        "assert request['kind'] == 'CredentialProviderRequest'\n"
        "login = {'username': 'robot', 'password': 'for ' + request['image']}\n"
        "print(json.dumps({'apiVersion': request['apiVersion'], 'kind': 'CredentialProviderResponse',"
        " 'cacheKeyType': 'Registry', 'cacheDuration': '6h', 'auth': {'*.example.com': login}}))\n"
    )
    program.chmod(0o755)
    found = await fetch(PasswordField.COMMAND, program, username=None)
    assert found == Token("robot", Sensitive(f"for {HOST}/"), NOW + timedelta(hours=6))


async def test_a_life_in_the_secret_counts_if_nothing_shows_the_end(program: Path) -> None:
    """What the output shows takes precedence."""
    script(program, "echo right")
    assert (await fetch(PasswordField.COMMAND, program, life_s=60)).expires_at == NOW + timedelta(minutes=1)
    script(program, """echo '{"password": "right", "expires_in": 3600}'""")
    assert (await fetch(PasswordField.COMMAND, program, life_s=60)).expires_at == NOW + timedelta(hours=1)


async def test_a_helper_is_asked_with_the_key_that_docker_uses(tmp_path: Path) -> None:
    """Its answer holds the user name too."""
    asked = tmp_path / "asked"
    script(
        tmp_path / "docker-credential-own",
        f'test "$1" = get || exit 9; cat >{shlex.quote(str(asked))}',
        """echo '{"ServerURL": "x", "Username": "eve", "Secret": "right"}'""",
    )
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    found = await fetch(PasswordField.HELPER, "own", username=None, hostname="docker.io", environ=environ)
    assert found == Token("eve", Sensitive("right"), None)
    assert asked.read_text() == "https://index.docker.io/v1/"


async def test_dockers_helper_for_pass_gives_the_login(store: PassStore) -> None:
    """The real one, and `pass` itself as a command. A login that is not there is no failure of the program."""
    found = await fetch(PasswordField.HELPER, "pass", username=None, environ=store.env)
    assert found == Token("eve", Sensitive(SECRET), None)
    missing = await failure(PasswordField.HELPER, "pass", hostname="other.example", environ=store.env)
    assert "has no login for other.example" in missing.message
    shown = await fetch(PasswordField.COMMAND, "pass", "show", "registry", environ=store.env)
    assert shown == Token("ada", Sensitive(SECRET), None)


async def test_a_file_is_read_again_each_time(tmp_path: Path) -> None:
    """Without a link, or through those of Kubernetes. Its life counts from its last change."""
    path = tmp_path / "token"
    for content in ("first", "second"):
        path.write_text(f"{content}\n")
        assert (await fetch(PasswordField.FILE, path)).password == Sensitive(content)
    changed = (NOW - timedelta(minutes=10)).timestamp()
    os.utime(path, (changed, changed))
    found = await fetch(PasswordField.FILE, path, life_s=3600)
    assert found.expires_at == NOW + timedelta(minutes=50)


@pytest.mark.parametrize(
    "content",
    [
        {"password": "hunter2", "username": "ada", "expires_in": 3600},
        {
            "kind": "CredentialProviderResponse",
            "auth": {HOST: {"username": "ada", "password": "hunter2"}},
            "cacheDuration": "1h0m0s",
        },
    ],
)
async def test_the_life_in_a_file_counts_from_its_last_change(tmp_path: Path, content: dict[str, Any]) -> None:
    """As `expires_in_s` does. Otherwise the password would never end, however often the agent reads the file."""
    path = tmp_path / "token"
    path.write_text(json.dumps(content))
    changed = NOW - timedelta(minutes=10)
    os.utime(path, (changed.timestamp(), changed.timestamp()))
    assert (await fetch(PasswordField.FILE, path)).expires_at == changed + timedelta(hours=1)
    ended = NOW - timedelta(hours=2)
    os.utime(path, (ended.timestamp(), ended.timestamp()))
    assert "has not changed since" in (await failure(PasswordField.FILE, path)).message


async def test_a_file_that_was_not_replaced_in_time_says_so(tmp_path: Path) -> None:
    """With the time since when it has been the same."""
    path = tmp_path / "token"
    path.write_text("right")
    changed = (NOW - timedelta(hours=2)).timestamp()
    os.utime(path, (changed, changed))
    problem = await failure(PasswordField.FILE, path, life_s=3600)
    assert "ended at 2025-12-31T23:00:00Z, and has not changed since 2025-12-31T22:00:00Z" in problem.message


@pytest.mark.parametrize(
    ("does", "fault"),
    [
        (f"echo {SECRET}; echo {SECRET} >&2; exit 3", "exited with status 3"),
        (f"echo {SECRET}; kill -9 $$", "was killed by signal 9"),
        ("true", "gave an empty password"),
        (f"""echo '{{"password": "{SECRET}", "token": "x"}}'""", "more than one password: password, token"),
        (f"""echo '{{"password": "{SECRET}", "expires_in": -1}}'""", "ended at 2025-12-31T23:59:59Z"),
        ("head -c 70000 /dev/zero | tr '\\0' x", "gave more than 64 KiB"),
    ],
)
async def test_reports_why_a_command_gave_no_password(program: Path, does: str, fault: str) -> None:
    """The message names the program, and never its arguments or its output."""
    script(program, does)
    problem = await failure(PasswordField.COMMAND, program, SECRET)
    assert fault in problem.message


async def test_a_program_that_does_not_end_is_killed(program: Path) -> None:
    """Together with its children. It may be asking a question, which nobody can answer."""
    script(program, f"echo {SECRET}; sleep 600 & sleep 600")
    problem = await failure(PasswordField.COMMAND, program, timeout_s=1)
    assert "did not end within 1 s" in problem.message
    assert "question" in problem.hint


async def test_a_program_that_is_missing_is_named_with_the_fix(tmp_path: Path) -> None:
    """A bare name is searched only where no other user can write."""
    missing = await failure(PasswordField.COMMAND, tmp_path / "nowhere")
    assert "cannot be run: no such file" in missing.message
    bare = await failure(PasswordField.COMMAND, "no-such-program", SECRET)
    assert "not found on PATH" in bare.message
    assert "absolute path" in bare.hint
    helper = await failure(PasswordField.HELPER, "no-such-helper")
    assert "docker-credential-no-such-helper" in helper.hint
    assert "absolute path" not in helper.hint


async def test_a_helper_without_the_login_is_no_failure_of_the_program(tmp_path: Path) -> None:
    """The hint is to store the login there."""
    script(tmp_path / "docker-credential-bare", "echo credentials not found in native keychain; exit 1")
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    problem = await failure(PasswordField.HELPER, "bare", environ=environ)
    assert f"has no login for {HOST}" in problem.message
    assert "store a login" in problem.hint


async def test_a_login_without_a_user_name_is_refused(program: Path) -> None:
    """Neither the output nor the secret has one."""
    script(program, "echo right")
    problem = await failure(PasswordField.COMMAND, program, username=None)
    assert "gave no user name" in problem.message
    assert "add username" in problem.hint


@pytest.mark.parametrize("kind", ["missing", "directory", "fifo", "nul"])
async def test_reports_why_a_file_has_no_password(tmp_path: Path, kind: str) -> None:
    """Nothing blocks, and the hint names the file."""
    path = tmp_path / kind
    if kind == "directory":
        path.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    with raises_problem(CredentialCommandFailed, match="cannot be read: "):
        await fetch(PasswordField.FILE, f"{path}\0" if kind == "nul" else path)


@pytest.mark.parametrize(
    ("stderr", "hint"),
    [
        ("az: [Errno 30] Read-only file system: '/home/ada/.azure/az.json'", "ReadWritePaths=-/home/ada/.azure"),
        ('sudo: The "no new privileges" flag is set, which prevents sudo from running as root.', "needs no sudo"),
        ("snap-confine has elevated permissions and is not confined but should be", "neither a snap"),
    ],
)
async def test_the_sandbox_is_named_where_it_is_the_cause(tmp_path: Path, stderr: str, hint: str) -> None:
    """Only in a systemd unit, and only if the program says so. Its own text is not shown."""
    az = tmp_path / "az"
    script(az, f"echo {shlex.quote(stderr)} >&2; exit 1")
    environ = {**os.environ, "HOME": "/home/ada"}
    problem = await failure(PasswordField.COMMAND, az, unit=UNIT, environ=environ)
    assert hint in problem.hint
    assert UNIT in problem.hint
    outside = await failure(PasswordField.COMMAND, az, environ=environ)
    assert UNIT not in outside.hint
    script(az, "echo something else >&2; exit 1")
    other = await failure(PasswordField.COMMAND, az, unit=UNIT, environ=environ)
    assert other.hint == outside.hint
    assert json.dumps(stderr)[1:20] not in problem.message
