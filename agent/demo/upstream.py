"""Passes requests on to a real registry and streams its answers back, of any size, pushes and pulls alike."""

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

_CHUNK: Final = 256 * 1024
# RFC 9110, section 7.6.1: meant for one connection, not for who is behind it.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding"}
    | {"upgrade", "proxy-connection", "expect"}
)
_NOT_ADDED: Final = frozenset({hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE})


class Upstream:
    """A registry without authentication of its own, at `url` (`http://127.0.0.1:5000`).

    The client's `Host` is handed on, so that the addresses which the registry names for uploads lead back through
    here; those that name it by `url` all the same are rewritten. `Authorization` ends here.
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
            skip_auto_headers=_NOT_ADDED,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        """The upstream's answer to `request`, already sent; 502 where it gives none."""
        if self._session is None:
            raise RuntimeError("an Upstream is used inside `async with`")
        try:
            answer = await self._session.request(
                request.method,
                URL(self._url + str(request.rel_url), encoded=True),
                headers=_request_headers(request),
                data=_body(request) if request.body_exists else None,
                allow_redirects=False,
            )
        except aiohttp.ClientError as error:
            return web.Response(
                status=502, text=f"the registry behind this one does not answer: {type(error).__name__}"
            )
        async with answer:
            return await self._stream(request, answer)

    async def _stream(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        passed_on = web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=self._answer_headers(request, answer)
        )
        await passed_on.prepare(request)
        async for chunk in answer.content.iter_chunked(_CHUNK):
            await passed_on.write(chunk)
        await passed_on.write_eof()
        return passed_on

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
    """All headers but those of the one connection, those that `Connection` names included."""
    named = {name.strip().lower() for name in headers.get(hdrs.CONNECTION, "").split(",")}
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in _HOP_BY_HOP | named)


async def _body(request: web.BaseRequest) -> AsyncIterator[bytes]:
    if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    async for chunk in request.content.iter_chunked(_CHUNK):
        yield chunk
