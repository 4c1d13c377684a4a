"""What you would write without the agent: an aiohttp server with one JSON route, and nothing else.

The measured interpreter runs it as a file, so it loads nothing of this package.
"""

import argparse
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from aiohttp import web


def main() -> None:
    parser = argparse.ArgumentParser(prog="bare_server", description="An aiohttp server with one JSON route.")
    parser.add_argument("port", type=int, help="of 127.0.0.1")
    parser.add_argument("--answer", type=Path, help="a file whose bytes GET /v1/status answers")
    parser.add_argument("--ecr", metavar="URL", help="also hold an aiobotocore ECR client that asked here for a token")
    parser.add_argument("--key", metavar="ID", help="the access key id for that; the key is in AWS_SECRET_ACCESS_KEY")
    args = parser.parse_args()
    body = args.answer.read_bytes() if args.answer else b'{"status": "ok"}'

    async def status(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/v1/status", status)
    if args.ecr:
        app.cleanup_ctx.append(_ecr_client(args.ecr, args.key))
    web.run_app(app, host="127.0.0.1", port=args.port, print=None, access_log=None)


def _ecr_client(url: str, key_id: str) -> Callable[[web.Application], AsyncIterator[None]]:
    async def held(_: web.Application) -> AsyncIterator[None]:
        from aiobotocore.session import get_session  # noqa: PLC0415 - the server without ECR must not load it

        asking = get_session().create_client(
            "ecr",
            region_name="eu-west-1",
            endpoint_url=url,
            aws_access_key_id=key_id,
            aws_secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        )
        async with asking as client:
            await client.get_authorization_token()
            yield

    return held


if __name__ == "__main__":
    main()
