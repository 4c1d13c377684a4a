"""Azure Arc gives a token to who can read a file of its group. Only a key of Azure Arc is read for it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from agent.demo.listener import Listener
from agent.edge.azure.arc import AzureArc
from agent.edge.cloud_http import CloudHttp
from agent.edge.http import HttpClient
from agent.model.azure_errors import AUDIENCE, ERRORS
from agent.model.problem import Needs
from agent.model.problems.azure import AzureAccessDenied, AzureCredentialsMissing
from tests.edge.cloud_network import without
from tests.fakecloud import jwt
from tests.fakecloud.azure import CLIENT
from tests.problems import raises_problem

if TYPE_CHECKING:
    from agent.model.sensitive import Sensitive

KEY = "s3cret-key-of-arc"


@dataclass
class Arc:
    """The endpoint on the machine. It asks for the content of `file`."""

    file: Path
    url: str = ""
    given: list[str] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.query["resource"] == AUDIENCE
        assert request.headers["Metadata"] == "true"
        given = request.headers.get("Authorization")
        if given is None:
            return web.Response(status=401, headers={"WWW-Authenticate": f"Basic realm={self.file}"})
        self.given.append(given)
        if given != f"Basic {KEY}":
            return web.json_response({"error": "unauthorized", "error_description": given}, status=403)
        return web.json_response({"access_token": jwt.make({"appid": CLIENT})})

    async def token(self, keys: Path) -> str | None:
        learned: list[Sensitive] = []
        client = CloudHttp(HttpClient(), lambda: datetime.now(UTC), 5, ERRORS, lambda text: without(learned, text))
        return (await AzureArc(client, learned.append, keys).token(self.url)).principal


@pytest.fixture
async def arc(tmp_path: Path) -> AsyncIterator[Arc]:
    arc = Arc(tmp_path / "0a1b.key")
    arc.file.write_text(KEY)
    async with Listener(arc.handle) as listener:
        arc.url = f"{listener.url}/metadata/identity/oauth2/token"
        yield arc


async def test_the_content_of_its_key_is_the_proof(arc: Arc, tmp_path: Path) -> None:
    assert await arc.token(tmp_path) == f"client {CLIENT}"


async def test_a_refusal_does_not_repeat_the_key(arc: Arc, tmp_path: Path) -> None:
    arc.file.write_text(f"{KEY}-of-yesterday")
    with raises_problem(AzureAccessDenied, match="unauthorized") as caught:
        await arc.token(tmp_path)
    assert KEY not in caught.value.message


@pytest.mark.parametrize("name", ["elsewhere/0a1b.key", "../0a1b.key", "passwd", ""])
async def test_no_other_file_is_sent(arc: Arc, tmp_path: Path, name: str) -> None:
    """Whatever the endpoint asks for."""
    arc.file = tmp_path / name
    with raises_problem(AzureCredentialsMissing, match="none of its keys"):
        await arc.token(tmp_path)
    assert arc.given == []


async def test_a_key_that_cannot_be_read_needs_the_group(arc: Arc, tmp_path: Path) -> None:
    arc.file.unlink()
    with raises_problem(AzureCredentialsMissing, match=r"0a1b\.key cannot be read") as caught:
        await arc.token(tmp_path)
    assert "himds" in caught.value.hint
    assert caught.value.needs is Needs.ADMIN


async def test_without_an_answer_there_is_no_identity(arc: Arc, tmp_path: Path) -> None:
    arc.url = "http://127.0.0.1:1/"
    with raises_problem(AzureCredentialsMissing, match=r"no answer from Azure Arc"):
        await arc.token(tmp_path)
