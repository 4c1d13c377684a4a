"""One setting limits each call to each cloud."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from agent.demo.listener import Listener
from agent.edge.clouds import Clouds
from agent.edge.http import HttpClient
from agent.edge.registry_client import RegistryClient
from agent.model.credential import AzureIdentity, GoogleIdentity, TokenSource
from agent.model.problem import Problem
from agent.model.registry import parse_hostname
from agent.settings import AwsSettings, AzureSettings, GoogleSettings, Settings
from tests.edge.aws import aws_server
from tests.fakecloud.faults import Broken, act_out
from tests.fakecloud.google import AUDIENCE
from tests.problems import raises_problem

IDENTITIES = (GoogleIdentity(), AzureIdentity(parse_hostname("acmedev.azurecr.io")))
COMMAND = ("sleep", "600")


async def _silent(request: web.BaseRequest) -> web.StreamResponse:
    return await act_out(Broken.SILENT, request)


def clouds(home: Path, metadata: str = "") -> Clouds:
    http = HttpClient()
    return Clouds(
        http=http,
        environ={
            "HOME": str(home),
            "PATH": "/usr/bin:/bin",
            "GCE_METADATA_HOST": metadata,
            "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{metadata}",
        },
        now=lambda: datetime.now(UTC),
        learned=lambda _: None,
        ca_files=RegistryClient(http, lambda: datetime.now(UTC)).ca_files,
    )


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.issuer)
async def test_the_call_timeout_holds_for_the_metadata_service_of_each_cloud(
    tmp_path: Path, identity: TokenSource
) -> None:
    """Also after the setting has changed."""
    async with Listener(_silent) as listener:
        asked = clouds(tmp_path, listener.address)
        for timeout_s in (0.2, 0.3):
            with raises_problem(Problem, match=f"no answer within {timeout_s} s"):
                await asked.fetch_token(identity, Settings(aws=AwsSettings(call_timeout_s=timeout_s)))


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.issuer)
async def test_the_call_timeout_holds_for_the_token_command_of_each_cloud(
    tmp_path: Path, identity: TokenSource
) -> None:
    settings = Settings(
        aws=AwsSettings(call_timeout_s=0.2),
        google=GoogleSettings(audience=AUDIENCE, identity_token_command=COMMAND),
        azure=AzureSettings(client_id="c", tenant_id="t", identity_token_command=COMMAND),
    )
    with raises_problem(Problem, match=r"no end after 0\.2 s"):
        await clouds(tmp_path).fetch_token(identity, settings)


async def test_a_changed_call_timeout_keeps_the_client_of_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the SDK's models from disk, and remembers whose keys it has used: STS is asked once."""
    async with aws_server.serve() as server:
        aws_server.clear_environment(monkeypatch, tmp_path, server.url)
        asked = clouds(tmp_path)
        for timeout_s in (5, 6):
            await asked.fetch_token(aws_server.identity(), Settings(aws=AwsSettings(call_timeout_s=timeout_s)))
    assert [call.action for call in server.calls].count("GetCallerIdentity") == 1
