"""Forwards requests to a real registry and streams its answers back. Works for pushes and pulls of any size."""

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

_CHUNK: Final = 256 * 1024
# RFC 9110, section 7.6.1: these headers apply to one connection and must not be forwarded.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "proxy-connection", "expect"}
)
_NO_DEFAULTS: Final = frozenset({hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE})


class Upstream:
    """A registry without authentication at `url` (`http://127.0.0.1:5000`).

    The client's `Host` header is forwarded. The registry then uses it in the URLs for uploads, and they lead back to
    this proxy. URLs that contain `url` are rewritten. The `Authorization` header is not forwarded.
    """

    def __init__(self, url: str) -> None:
        self._url: Final = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_NO_DEFAULTS,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        """Forward `request`, and stream the upstream's answer to the client. Answer 502 if there is none."""
        if self._session is None:
            raise RuntimeError("use an Upstream inside `async with`")
        try:
            answer = await self._session.request(
                request.method,
                URL(self._url + str(request.rel_url), encoded=True),
                headers=_request_headers(request),
                data=_body(request) if request.body_exists else None,
                allow_redirects=False,
            )
        except aiohttp.ClientError as error:
            return web.Response(status=502, text=f"the upstream registry does not answer: {type(error).__name__}")
        async with answer:
            return await self._stream(request, answer)

    async def _stream(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        forwarded = web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=self._answer_headers(request, answer)
        )
        await forwarded.prepare(request)
        async for chunk in answer.content.iter_chunked(_CHUNK):
            await forwarded.write(chunk)
        await forwarded.write_eof()
        return forwarded

    def _answer_headers(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> CIMultiDict[str]:
        headers = _end_to_end(answer.headers)
        location = headers.get(hdrs.LOCATION, "")
        if location.startswith(self._url):
            headers[hdrs.LOCATION] = f"{request.scheme}://{request.host}{location.removeprefix(self._url)}"
        return headers


def _request_headers(request: web.BaseRequest) -> CIMultiDict[str]:
    headers = _end_to_end(request.headers)
    headers.popall(hdrs.AUTHORIZATION, None)
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Host"] = request.host
    return headers


def _end_to_end(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Return the headers without those that apply to one connection only, such as those that `Connection` lists."""
    named = {name.strip().lower() for name in headers.get(hdrs.CONNECTION, "").split(",")}
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in _HOP_BY_HOP | named)


async def _body(request: web.BaseRequest) -> AsyncIterator[bytes]:
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    async for chunk in request.content.iter_chunked(_CHUNK):
        yield chunk
