"""`registry-agent support-bundle`: one redacted archive for support."""

import argparse
import asyncio
import contextlib
import os
import pwd
import sys
import textwrap
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from agent.cli import USAGE, command, write, write_error
from agent.cli.status import add_place
from agent.edge.agent_client import AgentClient
from agent.edge.paths import socket_candidates, user_name
from agent.settings_loader import load_settings, parse_assignments

if TYPE_CHECKING:
    from agent.settings import Settings
    from agent.support.bundle import Bundle
    from agent.support.known_secrets import Source

WRITTEN: Final = 0
NOT_WRITTEN: Final = 1
INTERRUPTED: Final = 130
_STDOUT: Final = "-"
_OWN: Final = ("XDG_", "AWS_", "DOCKER_", "REGISTRY_AUTH_FILE", "RUNTIME_DIRECTORY", "STATE_DIRECTORY", "LOGNAME")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where it goes, - for standard output; without it a new file in the current directory",
    )
    add_place(parser)


def run(args: argparse.Namespace) -> NoReturn:
    """Write the archive, say what is in it, and end the process."""
    _leave(_make(args))


@command("support-bundle")
def _make(args: argparse.Namespace) -> int:
    if args.output == _STDOUT and sys.stdout.isatty():
        return _refuse("an archive is nothing for a terminal: name a file with -o", USAGE)
    if args.output not in (None, _STDOUT) and os.path.lexists(args.output):
        return _refuse(f"{args.output} is there already, and nothing is overwritten", NOT_WRITTEN)
    _say("collecting; this takes up to a minute")
    try:
        return _run(args)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(args: argparse.Namespace) -> int:
    # Imported here: no other command needs them.
    from agent.edge.core_dumps import disable_core_dumps  # noqa: PLC0415
    from agent.support.bundle import make_bundle  # noqa: PLC0415
    from agent.support.bundle_part import BundleContext  # noqa: PLC0415

    disable_core_dumps()
    flags = parse_assignments(args.set or [])
    config = Path(args.config) if args.config else None
    environ = _environment(args.user)
    ask = BundleContext(
        loaded=load_settings(config, environ, flags),
        config=config,
        flags=flags,
        environ=environ,
        user=args.user or user_name(),
        agent=AgentClient([args.socket] if args.socket else socket_candidates(args.user), args.user),
        now=datetime.now(UTC),
        socket=args.socket,
    )
    # Not closed: that would wait for threads that hang in a dead file system.
    bundle = asyncio.Runner().run(make_bundle(ask, _secret_url(ask.loaded.settings)))
    try:
        where = _write(bundle, args.output)
    except OSError as fault:
        return _refuse(f"it cannot be written: {(fault.strerror or str(fault)).lower()}", NOT_WRITTEN)
    _tell(bundle, where)
    return WRITTEN


def _environment(user: str | None) -> Mapping[str, str]:
    """This process's; about another user's agent, without what is this one's own, and with that user's home."""
    if user is None or user == user_name():
        return os.environ
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return os.environ
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN)}
    return {**kept, "HOME": account.pw_dir, "USER": user, "XDG_RUNTIME_DIR": f"/run/user/{account.pw_uid}"}


def _secret_url(settings: "Settings") -> "Source | None":
    """The secrets that the address gives, asked for as the agent does."""
    from agent.edge.http import HttpClient  # noqa: PLC0415 - aiohttp, which no other part needs
    from agent.edge.secret_url import SecretUrl  # noqa: PLC0415
    from agent.model.problem import ProblemError  # noqa: PLC0415
    from agent.support.known_secrets import Source  # noqa: PLC0415

    url, token_file = settings.secrets.url, settings.secrets.token_file
    if url is None:
        return None

    def read() -> Iterator[str]:
        try:
            answer = asyncio.run(SecretUrl(HttpClient()).fetch(url, token_file, None))
        except ProblemError as error:
            raise OSError(None, error.problem.message) from None
        for secret in answer.parsed.secrets if answer.parsed else ():
            yield from (value.reveal() for value in (secret.password, secret.session_token) if value)

    return Source("secrets.url", read)


def _write(bundle: "Bundle", output: str | None) -> str:
    """Where it went.

    Raises:
        OSError: and nothing is left behind.
    """
    if output == _STDOUT:
        sys.stdout.buffer.write(bundle.data)
        sys.stdout.buffer.flush()
        return _STDOUT
    path = Path(output or f"{bundle.name}.tar.gz")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(bundle.data)
    except OSError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return str(path)


def _tell(bundle: "Bundle", where: str) -> None:
    from agent.support.manifest import PERSONAL_DATA  # noqa: PLC0415 - as above

    manifest = bundle.manifest
    place = "standard output" if where == _STDOUT else where
    lines = [f"written to {place} ({len(bundle.data):,} bytes, {len(manifest.sizes) + 1} files)"]
    lines += [f"without {file}: {why}" for file, why in manifest.missing.items()]
    lines += [f"not redacted by value, only by form: {source}: {why}" for source, why in manifest.unread.items()]
    lines += [f"redacted in {manifest.redacted} places; MANIFEST.txt in it says what", PERSONAL_DATA]
    out = sys.stderr if where == _STDOUT else sys.stdout
    with contextlib.suppress(AttributeError):  # tests and embedders may have put another stream there
        out.reconfigure(errors="replace")  # type: ignore[union-attr]  # a text stream has it
    text = "\n".join(textwrap.fill(line, 80, subsequent_indent="  ", break_long_words=False) for line in lines)
    write(text, out)


def _refuse(words: str, code: int) -> int:
    _say(words)
    return code


def _say(words: str) -> None:
    write_error("support-bundle", words)


def _leave(code: int) -> NoReturn:
    """End now: a thread may still hang in a file system, and nobody may wait for it."""
    sys.stderr.flush()
    os._exit(code)
