"""Faults of what gives a password: a command, a file, a credential helper."""

import base64
import json
import re
import shlex
from functools import partial
from pathlib import Path
from typing import Final

from tests.codes.programs import script
from tests.codes.sources import PLAIN
from tests.codes.world import PASSWORD, USER, World
from tests.scenarios.fault import Cause, Caused, Fault

CALL_S: Final = 2
CODE: Final = "credential_command_failed"


def right(world: World) -> Path:
    """A file with the right password."""
    path = world.sources.directory / "right"
    path.write_text(f"{PASSWORD}\n")
    return path


def wrong(world: World) -> str:
    """A shell word that prints a secret which no registry knows."""
    path = world.sources.directory / "wrong"
    path.write_text(world.sources.secret("another password", PLAIN))
    return f'"$(cat {shlex.quote(str(path))})"'


def _command(name: str, *does: str, fix: bool = True) -> Cause:
    """A command that does this. WRONG stands for a secret, which the agent must not repeat."""

    def cause(world: World) -> Caused:
        program = world.sources.directory / re.sub("[^a-z]", "-", name)
        if does:
            script(program, *(line.replace("WRONG", wrong(world)) for line in does))
        door = world.registry("commanded", secret={"username": USER, "password_command": [str(program), "argument"]})
        works = partial(script, program, f"cat {shlex.quote(str(right(world)))}")
        return Caused(door.hostname, works if fix else lambda: None, (door.hostname,), f"password_command {program}")

    return cause


def token_without_a_future(name: str) -> str:
    """A JSON Web Token that has ended."""
    header, payload = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none"}, {"sub": name, "exp": 1_700_000_000})
    )
    return f"{header}.{payload}.c2lnbmVk"


def _file(name: str, content: str | None) -> Cause:
    """A file with this content. The right password replaces it atomically."""

    def cause(world: World) -> Caused:
        path, replacement = (world.sources.directory / f"{name}{suffix}" for suffix in ("", ".new"))
        if content is not None:
            path.write_text(content)
        door = world.registry("in-a-file", secret={"username": USER, "password_file": str(path)})

        def fix() -> None:
            replacement.write_text(PASSWORD)
            replacement.rename(path)

        return Caused(door.hostname, fix, (door.hostname,), f"password_file {path}")

    return cause


def _helper(name: str, *does: str) -> Cause:
    """A credential helper on PATH that does this."""

    def cause(world: World) -> Caused:
        program = world.home / "programs" / f"docker-credential-{name}"
        if does:
            script(program, *does)
        door = world.registry("helped", secret={"credential_helper": name})
        login = world.sources.directory / f"{name}.json"
        login.write_text(json.dumps({"ServerURL": door.hostname, "Username": USER, "Secret": PASSWORD}))
        works = partial(script, program, f"cat {shlex.quote(str(login))}")
        return Caused(door.hostname, works, (door.hostname,), f"credential_helper {name}")

    return cause


def _row(name: str, cause: Cause, says: str, hint: str) -> Fault:
    return Fault(name, CODE, cause, says, hint, "token", "user")


_PRINT: Final = "as the agent's user, it must print the password"
FAILING: Final = _row("a password command that fails", _command("fails", "echo WRONG >&2; exit 3"), "status 3", _PRINT)
PASSWORDS: Final = (
    FAILING,
    _row("a password command that is killed", _command("killed", "echo WRONG; kill -9 $$"), "signal 9", _PRINT),
    _row("a password command that prints nothing", _command("nothing", "true"), "empty password", _PRINT),
    _row(
        "a password command that hangs",
        _command("hangs", "echo WRONG; sleep 60"),
        f"within {CALL_S} s",
        "it may ask a question",
    ),
    _row("a password command that is missing", _command("missing"), "no such file", "install"),
    _row(
        "a password command that prints two passwords",
        _command("two", """printf '{"password": "%s", "token": "x"}' WRONG"""),
        "password, token",
        _PRINT,
    ),
    _row(
        "a password command that prints half of its JSON",
        _command("half", """printf '{"password": "%s' WRONG"""),
        "not valid JSON",
        _PRINT,
    ),
    _row("a password file that is missing", _file("missing-file", None), "no such file", "missing-file is a file"),
    _row("a password file that is empty", _file("empty-file", "\n"), "empty password", "or fix what writes it"),
    _row(
        "a password file with half of its JSON",
        _file("half-file", "{"),
        "not valid JSON",
        "or fix what writes it",
    ),
    _row("a password file that ended", _file("ended", token_without_a_future("pull")), "ended at 2023-11-14", "`date`"),
    _row("a credential helper that is missing", _helper("absent"), "not found on PATH", "docker-credential-absent"),
    _row(
        "a credential helper without the login",
        _helper("bare", "echo credentials not found in native keychain; exit 1"),
        "has no login for",
        "store a login for",
    ),
    _row(
        "a credential helper that fails",
        _helper("locked", "echo pass not initialized; exit 1"),
        "status 1",
        "fix docker-credential-locked: as the agent's user, its get must print the login of",
    ),
)
