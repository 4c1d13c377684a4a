"""Collects all parts concurrently, redacts them, and packs them together with a list of the contents."""

import asyncio
import contextlib
import io
import re
import tarfile
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from agent.model.text import printable
from agent.settings import Settings
from agent.support.bundle_part import LARGEST, BundleContext, BundlePart, NotCollected, in_thread
from agent.support.bundle_parts import PARTS
from agent.support.known_secrets import Source, sources
from agent.support.manifest import Manifest
from agent.support.redactor import Redactor

T = TypeVar("T")

MANIFEST: Final = "MANIFEST.txt"
_SECRETS_S: Final = 10.0
_REDACTION_S: Final = 60.0
"""Patterns take linear time and parts are bounded, so only a very busy machine needs more than a few seconds."""
_MOST_CHARACTERS: Final = 4 << 20
_CUT: Final = "… the beginning was cut off\n"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The archive's bytes, its name without `.tar.gz`, and the list of contents."""

    data: bytes
    name: str
    manifest: Manifest


async def make_bundle(
    context: BundleContext, secret_url: Source | None = None, parts: Sequence[BundlePart] = PARTS
) -> Bundle:
    """Make the bundle within a minute. A part that cannot be collected is listed as missing, and raises nothing.

    Args:
        context: the agent, its user and its settings.
        secret_url: reads the secrets of `secrets.url`, only to mask them.
        parts: the parts to collect.
    """
    # Collecting runs while the secrets are read. Redacting needs both.
    collecting = [asyncio.create_task(_attempt(part.collect(context), part.timeout)) for part in parts]
    known, unread = await _read_secrets(context.loaded.settings, context.environ, context.user, secret_url)
    redactor = await in_thread(lambda: Redactor({value for values in known.values() for value in values}))
    collected = {part: await task for part, task in zip(parts, collecting, strict=True)}
    texts = await _redact(redactor, collected)
    name = _name(redactor.redact(context.loaded.settings.environment.id), context)
    manifest = Manifest(
        name=name,
        user=context.user,
        made_at=context.now,
        sizes={part.file: len(text.encode(errors="replace")) for part, text in texts.items() if isinstance(text, str)},
        origins={part.file: part.origin for part in parts},
        missing={
            part.file: redactor.redact(str(text)) for part, text in texts.items() if isinstance(text, NotCollected)
        },
        known={source: len(values) for source, values in known.items() if values},
        unread={source: redactor.redact(why) for source, why in unread.items()},
        found=Counter({kind: count for kind, count in redactor.found.items() if count}),
        already=redactor.already,
    )
    files = {MANIFEST: manifest.text(), **{part.file: text for part, text in texts.items() if isinstance(text, str)}}
    return Bundle(await in_thread(lambda: _pack(name, files, context.now.timestamp())), name, manifest)


async def _attempt(work: Awaitable[T], seconds: float) -> T | NotCollected:
    """Await `work` for at most `seconds`. Whatever goes wrong becomes a reason, and does not stop the others."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except NotCollected as reason:
        return reason
    except TimeoutError:
        return NotCollected(f"it was not ready within {seconds:g} s")
    except OSError as error:
        return NotCollected(printable(error.strerror or type(error).__name__))
    except Exception as error:  # noqa: BLE001 - its text may contain a secret
        return NotCollected(f"this is a bug in registry-agent; please report it ({type(error).__name__})")


async def _redact(
    redactor: Redactor, collected: Mapping[BundlePart, str | NotCollected]
) -> dict[BundlePart, str | NotCollected]:
    """Redact all parts. If the time runs out, the remaining parts are left out rather than included unredacted."""
    late = NotCollected("there was not enough time to redact it")
    redacted: dict[BundlePart, str | NotCollected] = {
        part: text if isinstance(text, NotCollected) else late for part, text in collected.items()
    }
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_REDACTION_S):
            for part, text in collected.items():
                if not isinstance(text, NotCollected):
                    redacted[part] = await in_thread(partial(redactor.redact, _bounded(text)))
    return redacted


async def _read_secrets(
    settings: Settings, environ: Mapping[str, str], user: str, secret_url: Source | None
) -> tuple[dict[str, set[str]], dict[str, str]]:
    """Read all secrets. Returns the secrets by source, and the reason for each source that could not be read."""
    found = [*sources(settings, environ, user), *([secret_url] if secret_url else [])]
    results = await asyncio.gather(*map(_read_source, found))
    known = {source.name: values for source, (values, _) in zip(found, results, strict=True)}
    unread = {source.name: str(why) for source, (_, why) in zip(found, results, strict=True) if why}
    return known, unread


async def _read_source(source: Source) -> tuple[set[str], NotCollected | None]:
    """Read a source. If a part of it cannot be read, return the rest, and the reason."""
    values: list[str] = []
    # In a thread, because the source may be on a file system that hangs.
    why = await _attempt(in_thread(lambda: values.extend(_bounded_values(source))), _SECRETS_S)
    return set(values) - {""}, why


def _bounded_values(source: Source) -> Iterator[str]:
    """The values of a source, as far as they can be prepared for redaction in a few seconds."""
    room = _MOST_CHARACTERS
    for value in source.read():
        room -= len(value)
        if room < 0:
            raise NotCollected(f"its values have more than {_MOST_CHARACTERS:,} characters")
        yield value


def _bounded(text: str) -> str:
    """Cut a part to its last `LARGEST` characters, which are the newest.

    It is cut at the end of a line. Half a secret would not be recognised.
    """
    if len(text) <= LARGEST:
        return text
    return _CUT + text[-LARGEST:].partition("\n")[2]


def _name(environment: str, context: BundleContext) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", environment).strip("-.")[:60] or "environment"
    return f"registry-agent-support-{safe}-{context.now:%Y%m%dT%H%M%SZ}"


def _pack(name: str, files: Mapping[str, str], modified: float) -> bytes:
    """A .tar.gz of one directory. Its headers contain no user, group or path of this machine."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for file, text in files.items():
            data = text.encode(errors="replace")
            member = tarfile.TarInfo(f"{name}/{file}")
            member.size, member.mode, member.mtime = len(data), 0o600, int(modified)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
