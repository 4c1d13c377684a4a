"""`registry-agent support-bundle`: writes one redacted archive for support."""

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
from typing import TYPE_CHECKING, Final

from agent.cli import CommandError, command, loaded_settings, prepare_for_secrets, write, write_error
from agent.cli.status import add_place, agent_client, user_of
from agent.edge.paths import user_name
from agent.model.exit_codes import USAGE

if TYPE_CHECKING:
    from agent.settings import Settings
    from agent.support.bundle import Bundle
    from agent.support.known_secrets import Source

WRITTEN: Final = 0
_STDOUT: Final = "-"
_CALLER_ONLY: Final = (
    "XDG_",
    "AWS_",
    "DOCKER_",
    "REGISTRY_AUTH_FILE",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "LOGNAME",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write to FILE, or to standard output if it is - (default: a new file in the current directory)",
    )
    add_place(parser)


@command("support-bundle", leaves_threads=True)
def run(args: argparse.Namespace) -> int:
    """Write the archive, and print what is in it."""
    if args.output == _STDOUT and sys.stdout.isatty():
        raise CommandError("the archive cannot be written to a terminal; name a file with -o", USAGE)
    if args.output not in (None, _STDOUT) and os.path.lexists(args.output):
        raise CommandError(f"{args.output} exists already and is not overwritten; name another file with -o")
    write_error("support-bundle", "collecting; this takes up to a minute")
    # Imported here because no other command needs them.
    from agent.support.bundle import make_bundle  # noqa: PLC0415
    from agent.support.bundle_part import BundleContext  # noqa: PLC0415

    prepare_for_secrets()
    user = user_of(args)
    environ = _environment(user)
    context = BundleContext(
        loaded=loaded_settings(args, environ),
        config=args.config,
        assignments=args.set,
        environ=environ,
        user=user,
        agent=agent_client(args),
        now=datetime.now(UTC),
        socket=args.socket,
    )
    # The runner is not closed: that would wait for threads that hang in a dead file system.
    bundle = asyncio.Runner().run(make_bundle(context, _secret_url(context.loaded.settings)))
    try:
        where = _write(bundle, args.output)
    except OSError as error:
        raise CommandError(f"the archive cannot be written: {(error.strerror or str(error)).lower()}") from error
    _print_summary(bundle, where)
    return WRITTEN


def _environment(user: str) -> Mapping[str, str]:
    """Return the environment to load settings from.

    For another user's agent, it has that user's home, and none of the variables that hold for the calling user only.
    """
    if user == user_name():
        return os.environ
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        return os.environ
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CALLER_ONLY)}
    return {**kept, "HOME": account.pw_dir, "USER": user, "XDG_RUNTIME_DIR": f"/run/user/{account.pw_uid}"}


def _secret_url(settings: "Settings") -> "Source | None":
    """Return a source of the secrets at `secrets.url`, fetched the way the agent does, so that they can be redacted."""
    from agent.edge.http import HttpClient  # noqa: PLC0415 - loads aiohttp, needed only here
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
            yield from secret.values

    return Source("secrets.url", read)


def _write(bundle: "Bundle", output: str | None) -> str:
    """Write the archive to a new file, or to standard output.

    Returns:
        The file's path, or `-`.

    Raises:
        OSError: it cannot be written. No partial file is left behind.
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


def _print_summary(bundle: "Bundle", where: str) -> None:
    from agent.support.manifest import PERSONAL_DATA  # noqa: PLC0415 - no other command needs it

    manifest = bundle.manifest
    place = "standard output" if where == _STDOUT else where
    lines = [f"written to {place} ({len(bundle.data):,} bytes, {len(manifest.sizes) + 1} files)"]
    lines += [f"without {file}: {why}" for file, why in manifest.missing.items()]
    lines += [f"redacted by pattern only, not by value: {source}: {why}" for source, why in manifest.unread.items()]
    lines += [f"redacted in {manifest.redacted} places; MANIFEST.txt in the archive lists them", PERSONAL_DATA]
    out = sys.stderr if where == _STDOUT else sys.stdout
    text = "\n".join(textwrap.fill(line, 80, subsequent_indent="  ", break_long_words=False) for line in lines)
    write(text, out)
