"""Collects all parts side by side, redacts them, and packs them with the list of what is in them."""

import asyncio
import io
import re
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent.model.text import printable
from agent.settings import Settings
from agent.support.bundle_part import LARGEST, BundleContext, BundlePart, NotCollected
from agent.support.bundle_parts import PARTS
from agent.support.known_secrets import Source, sources
from agent.support.manifest import Manifest
from agent.support.redactor import Redactor

MANIFEST: Final = "MANIFEST.txt"
_SECRETS_S: Final = 10.0
_REDACTION_S: Final = 12.0
_CUT: Final = "… the beginning was left out\n"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The archive's bytes, what it is to be called (without `.tar.gz`), and the list that it begins with."""

    data: bytes
    name: str
    manifest: Manifest


async def make_bundle(ask: BundleContext, of_url: Source | None = None, parts: Sequence[BundlePart] = PARTS) -> Bundle:
    """Everything that can be had within a minute; what cannot is said. Never raises for a part.

    Args:
        ask: whose agent, which settings.
        of_url: reads the secrets of `secrets.url`, only to mask them.
        parts: what it is made of.
    """
    collecting = [asyncio.create_task(_collected(part, ask)) for part in parts]
    known, unread = await _known(ask.loaded.settings, ask.environ, ask.user, of_url)
    redactor = Redactor({value for values in known.values() for value in values})
    collected = {part: await task for part, task in zip(parts, collecting, strict=True)}
    texts = await _redacted(redactor, collected)
    name = _name(redactor.redact(ask.loaded.settings.environment.id), ask)
    manifest = Manifest(
        name=name,
        user=ask.user,
        made_at=ask.now,
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
    return Bundle(await asyncio.to_thread(_packed, name, files, ask.now.timestamp()), name, manifest)


async def _collected(part: BundlePart, ask: BundleContext) -> str | NotCollected:
    try:
        async with asyncio.timeout(part.timeout):
            return await part.collect(ask)
    except NotCollected as reason:
        return reason
    except TimeoutError:
        return NotCollected(f"it was not had within {part.timeout:g} s")
    except Exception as fault:  # noqa: BLE001 - a fault in one part must not cost the others; its text may hold a secret
        return NotCollected(f"a fault of this command: {type(fault).__name__}")


async def _redacted(
    redactor: Redactor, collected: Mapping[BundlePart, str | NotCollected]
) -> dict[BundlePart, str | NotCollected]:
    """The parts without secrets; one for which there is no time left is not had at all."""
    texts: dict[BundlePart, str | NotCollected] = {}
    try:
        async with asyncio.timeout(_REDACTION_S):
            for part, text in collected.items():
                texts[part] = text
                if not isinstance(text, NotCollected):
                    texts[part] = NotCollected("there was no time to redact it")
                    texts[part] = await asyncio.to_thread(redactor.redact, _bounded(text))
    except TimeoutError:
        late = NotCollected("there was no time to redact it")
        texts |= {
            part: text if isinstance(text, NotCollected) else late
            for part, text in collected.items()
            if part not in texts
        }
    return texts


async def _known(
    settings: Settings, environ: Mapping[str, str], user: str, of_url: Source | None
) -> tuple[dict[str, set[str]], dict[str, str]]:
    """The secrets by where they are from; and what could not be read, with the reason."""
    found = [*sources(settings, environ, user), *([of_url] if of_url else [])]
    results = await asyncio.gather(*map(_values, found))
    known = {source.name: values for source, values in zip(found, results, strict=True) if isinstance(values, set)}
    unread = {
        source.name: str(why) for source, why in zip(found, results, strict=True) if isinstance(why, NotCollected)
    }
    return known, unread


async def _values(source: Source) -> set[str] | NotCollected:
    values: set[str] = set()

    def read() -> None:
        for value in source.read():
            values.add(value)

    try:
        async with asyncio.timeout(_SECRETS_S):
            await asyncio.to_thread(read)
    except TimeoutError:
        return NotCollected(f"it does not answer within {_SECRETS_S:g} s")
    except OSError as fault:
        return NotCollected(printable(fault.strerror or type(fault).__name__))
    except Exception as fault:  # noqa: BLE001 - as above
        return NotCollected(f"a fault of this command: {type(fault).__name__}")
    return values - {""}


def _bounded(text: str) -> str:
    """At most so many characters of a part, cut at a line's end, so that no secret is halved: the end, the newest."""
    if len(text) <= LARGEST:
        return text
    return _CUT + text[-LARGEST:].partition("\n")[2]


def _name(environment: str, ask: BundleContext) -> str:
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", environment).strip("-.")[:60] or "environment"
    return f"registry-agent-support-{safe}-{ask.now:%Y%m%dT%H%M%SZ}"


def _packed(name: str, files: Mapping[str, str], modified: float) -> bytes:
    """A .tar.gz of one directory; what it tells of this machine is only what is in the files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for file, text in files.items():
            data = text.encode(errors="replace")
            member = tarfile.TarInfo(f"{name}/{file}")
            member.size, member.mode, member.mtime = len(data), 0o600, int(modified)
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()
