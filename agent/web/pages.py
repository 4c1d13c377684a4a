"""Serves the status page and the card for dashboards. Each is a single document that loads nothing else."""

import base64
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import Final

from aiohttp import web

from agent.blocking import BlockingCalls
from agent.web.responses import none_match

_READS: Final = BlockingCalls("pages", limit=2)
"""Without a deadline, as the files are part of the agent."""
_SHARED: Final = ("words.js", "draw.js")
_PAGE: Final = (
    "page.html",
    "page.css",
    (*_SHARED, "stream.js", "registries.js", "warnings.js", "timeline.js", "page.js"),
)
_CARD: Final = ("card.html", "page.css", (*_SHARED, "card.js"))
_LOOPBACK: Final = ("http://localhost:*", "https://localhost:*", "http://127.0.0.1:*", "https://127.0.0.1:*")


@dataclass(frozen=True, slots=True)
class _Document:
    """HTML, and a Content-Security-Policy that allows only its own script and style."""

    html: bytes
    policy: str


@dataclass(frozen=True, slots=True)
class Pages:
    """Serves both documents. They contain no status: their scripts request it, with the token if one is set.

    Args:
        allow_origins: origins that may frame the card, in addition to the agent's own and loopback's.
    """

    allow_origins: Callable[[], Iterable[str]]

    async def page(self, request: web.Request) -> web.Response:
        return await _answer(request, _PAGE, ("'none'",))

    async def card(self, request: web.Request) -> web.Response:
        return await _answer(request, _CARD, ("'self'", *_LOOPBACK, *self.allow_origins()))


async def _answer(
    request: web.Request, parts: tuple[str, str, tuple[str, ...]], ancestors: Iterable[str]
) -> web.Response:
    document = await _READS.call(parts, lambda: _assemble(*parts), timeout=None)
    policy = f"{document.policy}; frame-ancestors {' '.join(ancestors)}"
    etag = f'"{_digest(document.html + policy.encode())}"'
    headers = {
        "ETag": etag,
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if none_match(request, etag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(body=document.html, headers=headers, content_type="text/html", charset="utf-8")


@cache
def _assemble(html: str, style: str, scripts: tuple[str, ...]) -> _Document:
    """Build a document when it is first requested. The result, about 40 KB, is kept."""
    css = _read(style)
    code = "\n".join(_read(script) for script in scripts)
    text = _read(html).replace("<style></style>", f"<style>{css}</style>")
    text = text.replace('<script type="module"></script>', f'<script type="module">{code}</script>')
    # Only this script and style may run, and strings cannot become HTML or code. So text from outside, such as a
    # registry's message, can never act as markup, even if the script has a bug.
    policy = (
        "default-src 'none'",
        f"script-src 'sha256-{_digest(code.encode())}'",
        f"style-src 'sha256-{_digest(css.encode())}'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return _Document(text.encode(), "; ".join(policy))


def _read(name: str) -> str:
    return resources.files("agent.web").joinpath("page", name).read_text(encoding="utf-8")


def _digest(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()
