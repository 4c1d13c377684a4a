"""Lets the AWS SDK send its requests with the agent's own HTTP client.

So the same proxies, certificates and limits hold for AWS as for every other request of the agent. In particular, no
redirect is followed: a 307 would send the body, with the web identity token, to any other host.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from aiobotocore.awsrequest import AioAWSResponse
from botocore.exceptions import EndpointConnectionError
from yarl import URL

from agent.edge.http import HttpClient


class SdkHttp:
    """Replaces the HTTP session of the SDK. Each request has its own connection, so nothing needs to be closed.

    `timeout` is for a connection and for a whole request, or one number for both. `verify` may be the path of a CA
    bundle. `direct` uses no proxy.
    """

    def __init__(
        self,
        http: HttpClient,
        *,
        timeout: float | tuple[float, float],
        verify: bool | str = True,
        direct: bool = False,
        **_others: object,
    ) -> None:
        self._http: Final = http
        self._connect_timeout, self._timeout = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        self._ca_files: Final = (Path(verify),) if isinstance(verify, str) else ()
        self._direct: Final = direct

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing."""

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Self]:
        """Return this session. The metadata sources of the SDK count its users."""
        yield self

    async def send(self, request: Any) -> AioAWSResponse:
        """Send an `AWSPreparedRequest`, whose stubs do not know that a header may be bytes.

        Without an answer, raises an EndpointConnectionError whose `kwargs` hold the original `error`.
        """
        headers = {
            name: value.decode() if isinstance(value, bytes) else str(value) for name, value in request.headers.items()
        }
        try:
            reply = await self._http.request(
                request.method,
                URL(request.url, encoded=True),  # as it was signed
                headers=headers,
                body=request.body,
                timeout=self._timeout,
                connect_timeout=self._connect_timeout,
                ca_files=self._ca_files,
                direct=self._direct,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The metadata sources of the SDK take this class for "nothing is there".
            raise EndpointConnectionError(endpoint_url=request.url, error=error) from error
        # The response of the SDK awaits its body, even if all of it is here.
        body = asyncio.StreamReader()
        body.feed_data(reply.body)
        body.feed_eof()
        return AioAWSResponse(request.url, reply.status, reply.headers, body)  # type: ignore[arg-type]  # any mapping
