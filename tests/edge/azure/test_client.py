"""Each identity of Azure gets a token of the registry, and each failure names what is missing and who can fix it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.demo.listener import Listener
from agent.edge.azure.client import AzureClient
from agent.edge.http import HttpClient
from agent.edge.registry_client import RegistryClient
from agent.model.credential import AzureIdentity, Token
from agent.model.problem import Needs, Problem, RetryClass
from agent.model.problems.azure import (
    AzureAccessDenied,
    AzureCredentialsMissing,
    AzureError,
    AzureThrottled,
    AzureUnreachable,
)
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.settings import AzureSettings
from tests.edge.cloud_network import cloud_network, without
from tests.fakecloud import jwt
from tests.fakecloud.azure import CLIENT, NAMES, OBJECT, TENANT, AzureAuth, PretendAzure
from tests.fakecloud.faults import CAPTIVE_PORTAL, GARBAGE, Answer, Broken, Fault
from tests.fakecloud.registries import PretendRegistry
from tests.fakecloud.tunnel import Tunnel
from tests.problems import raises_problem
from tests.rig.authority import Authority

OTHER = "6b1c2d3e-0000-4000-8000-00000000000f"
WHO = f"client {CLIENT}, object {OBJECT}, tenant {TENANT}"


@dataclass
class Bench:
    """A client in a network with a simulated Azure, and a registry."""

    azure: PretendAzure
    tunnel: Tunnel
    metadata: str
    registry: Registry
    home: Path
    learned: list[Sensitive] = field(default_factory=list)

    async def fetch(
        self, settings: AzureSettings | None = None, client: str | None = None, env: Mapping[str, str] | None = None
    ) -> Token:
        return await self.client(env).fetch_token(AzureIdentity(self.registry, client), settings or AzureSettings())

    def client(self, env: Mapping[str, str] | None = None, *, timeout_s: float = 5) -> AzureClient:
        http = HttpClient()
        return AzureClient(
            http=http,
            environ={"AZURE_POD_IDENTITY_AUTHORITY_HOST": self.metadata, **(env or {})},
            now=lambda: datetime.now(UTC),
            learned=self.learned.append,
            ca_files=RegistryClient(http, lambda: datetime.now(UTC)).ca_files,
            timeout_s=timeout_s,
            scrub=lambda text: without(self.learned, text),
        )

    def assertion(self, client: str = CLIENT) -> Path:
        """The file of an identity token that Azure accepts for a client."""
        token = jwt.make({"sub": "environment-1"})
        self.azure.assertions[token] = client
        path = self.home / "token"
        path.write_text(f"{token}\n")
        return path


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    azure = PretendAzure()
    registry = PretendRegistry(AzureAuth(azure))
    (tmp_path / "registry").mkdir()
    authority = Authority(tmp_path / "registry")
    async with AsyncExitStack() as stack:
        network = cloud_network(azure.handle, NAMES, tmp_path, monkeypatch)
        metadata, tunnel = await stack.enter_async_context(network)
        bundle = tmp_path / "ca.pem"
        bundle.write_bytes(bundle.read_bytes() + authority.bundle.read_bytes())
        listener = Listener(registry.handle, tls=authority.context("127.0.0.1"))
        await stack.enter_async_context(listener)
        yield Bench(azure, tunnel, metadata.url, Registry(listener.address), tmp_path)


async def test_the_managed_identity_gets_a_token_of_the_registry(bench: Bench) -> None:
    """Never through a proxy. Its life is that of the registry's token, as the token itself shows it."""
    bench.azure.token_life_s = 5000
    token = await bench.fetch()
    assert token.username == "00000000-0000-0000-0000-000000000000"
    assert bench.azure.holder(token.password.reveal()) == OBJECT
    assert token.identity == WHO
    assert token.expires_at is not None
    assert timedelta(seconds=4900) < token.expires_at - datetime.now(UTC) <= timedelta(seconds=5000)
    assert bench.tunnel.asked == []
    assert len(bench.learned) == 1


@pytest.mark.parametrize("by", ["secret", "settings", "variable"])
async def test_one_of_several_identities_is_chosen(bench: Bench, by: str) -> None:
    bench.azure.identities[OTHER] = "another-object"
    with raises_problem(AzureCredentialsMissing, match="Multiple user assigned") as caught:
        await bench.fetch()
    assert "azure_client_id" in caught.value.hint
    settings = AzureSettings(client_id=OTHER) if by == "settings" else None
    env = {"AZURE_CLIENT_ID": OTHER} if by == "variable" else {}
    token = await bench.fetch(settings, OTHER if by == "secret" else None, env)
    assert bench.azure.holder(token.password.reveal()) == "another-object"


@pytest.mark.parametrize("by", ["file", "command", "variable"])
async def test_a_federated_identity_gets_a_token_of_the_registry(bench: Bench, by: str) -> None:
    """From the settings, or from the variables that AKS sets. The metadata service is not asked."""
    path = bench.assertion()
    env = {"AZURE_CLIENT_ID": CLIENT, "AZURE_TENANT_ID": TENANT, "AZURE_FEDERATED_TOKEN_FILE": str(path)}
    settings = AzureSettings(
        client_id=CLIENT,
        tenant_id=TENANT,
        identity_token_file=path if by == "file" else None,
        identity_token_command=("cat", str(path)) if by == "command" else (),
    )
    token = await (bench.fetch(env=env) if by == "variable" else bench.fetch(settings, env={"PATH": "/usr/bin:/bin"}))
    assert bench.azure.holder(token.password.reveal()) == OBJECT
    assert token.identity == WHO
    assert bench.azure.calls["metadata"] == 0
    assert bench.tunnel.asked == ["login.microsoftonline.com"]


async def test_app_service_has_its_own_endpoint(bench: Bench) -> None:
    """It gets the header of the variable. Service Fabric sets the same variable, and is not supported."""
    env = {"IDENTITY_ENDPOINT": f"{bench.metadata}/msi/token", "IDENTITY_HEADER": bench.azure.app_service_header}
    token = await bench.fetch(env=env)
    assert bench.azure.holder(token.password.reveal()) == OBJECT
    assert bench.azure.calls == {"app service": 1, "exchange": 1}
    with raises_problem(AzureCredentialsMissing, match="Service Fabric"):
        await bench.fetch(env={**env, "IDENTITY_SERVER_THUMBPRINT": "0A1B"})
    assert bench.azure.calls == {"app service": 1, "exchange": 1}


@pytest.mark.parametrize(
    ("status", "body", "client", "says"),
    [
        (400, {"statusCode": 400, "message": "Unable to load it."}, CLIENT, f"the client ID {CLIENT} .Unable to load"),
        (404, {"error": {"code": "NotFound", "message": "No identity."}}, None, "no managed identity, or .*No ident"),
        (403, {"ExceptionMessage": "Not allowed."}, None, r"IDENTITY_ENDPOINT gave no token: status 403 .Not allowed"),
    ],
)
async def test_app_service_explains_its_refusals(
    bench: Bench, status: int, body: dict[str, object], client: str | None, says: str
) -> None:
    """They have other fields than those of the metadata service, and this is Azure all the same."""
    env = {"IDENTITY_ENDPOINT": f"{bench.metadata}/msi/token", "IDENTITY_HEADER": bench.azure.app_service_header}
    bench.azure.faults["app service"] = Answer(status, json.dumps(body), "application/json")
    with raises_problem(Problem, match=says) as caught:
        await bench.fetch(client=client, env=env)
    assert "not on Azure" not in caught.value.message


async def test_registries_of_one_identity_share_a_request(bench: Bench) -> None:
    """Azure answers five at once. Each registry then exchanges the token itself."""
    client = bench.client()
    logins = [client.fetch_token(AzureIdentity(bench.registry), AzureSettings()) for _ in range(8)]
    assert len({token.password for token in await asyncio.gather(*logins)}) == 8
    assert bench.azure.calls == {"metadata": 1, "exchange": 8}
    await bench.fetch()
    assert bench.azure.calls["metadata"] == 2


async def test_azure_arc_is_asked_at_its_own_endpoint(bench: Bench) -> None:
    """It sets two variables. The metadata service is not asked."""
    env = {"IDENTITY_ENDPOINT": f"{bench.metadata}/msi/token", "IMDS_ENDPOINT": bench.metadata}
    with raises_problem(AzureCredentialsMissing, match="none of its keys"):
        await bench.fetch(env=env)
    assert bench.azure.calls == {"app service": 1}


async def test_no_other_host_gets_the_identity_token(bench: Bench) -> None:
    """Whatever AZURE_AUTHORITY_HOST says."""
    settings = AzureSettings(CLIENT, TENANT, bench.assertion())
    for host in (
        "https://login.evil.example/",
        "http://login.microsoftonline.com/",
        "login.microsoftonline.com.evil.x",
    ):
        with raises_problem(AzureCredentialsMissing, match="AZURE_AUTHORITY_HOST"):
            await bench.fetch(settings, env={"AZURE_AUTHORITY_HOST": host})
    assert bench.tunnel.asked == []
    right = {"AZURE_AUTHORITY_HOST": "https://login.microsoftonline.com/"}
    assert (await bench.fetch(settings, env=right)).identity == WHO


@pytest.mark.parametrize(
    "fault",
    [
        Answer(404, "<html>404 - Not Found</html>", "text/html"),
        Answer(404, "", headers={"Metadata-Flavor": "Google"}),
        Answer(403, "connecting to 169.254.169.254:80: unreachable network", "text/plain"),
        Answer(302, headers={"Location": "http://portal.example/"}),
    ],
)
async def test_another_cloud_s_metadata_server_is_recognised(bench: Bench, fault: Answer) -> None:
    bench.azure.faults["metadata"] = fault
    with raises_problem(AzureCredentialsMissing, match="this machine is not on Azure"):
        await bench.fetch()


@pytest.mark.parametrize("fault", [Broken.RESET, Broken.SILENT])
async def test_without_an_answer_the_message_names_all_places(bench: Bench, fault: Fault) -> None:
    bench.azure.faults["metadata"] = fault
    client = bench.client(timeout_s=0.5)
    with raises_problem(AzureCredentialsMissing, match="azure.identity_token_file, AZURE_FEDERATED.*metadata service"):
        await client.fetch_token(AzureIdentity(bench.registry), AzureSettings())


async def test_an_identity_that_is_not_assigned_is_named(bench: Bench) -> None:
    with raises_problem(AzureCredentialsMissing, match=f"no managed identity with the client ID {OTHER}") as caught:
        await bench.fetch(client=OTHER)
    assert caught.value.needs is Needs.USER
    bench.azure.identities.clear()
    with raises_problem(AzureCredentialsMissing, match="Identity not found") as caught:
        await bench.fetch()
    assert caught.value.needs is Needs.ADMIN


@pytest.mark.parametrize(
    ("service", "fault", "kind", "says"),
    [
        ("metadata", Answer(410), AzureError, "upgraded"),
        ("metadata", Answer(429, headers={"Retry-After": "9"}), AzureThrottled, "429"),
        ("metadata", Answer(500), AzureError, "500"),
        ("metadata", GARBAGE, AzureError, "access_token"),
        ("metadata", Answer(400, '{"error":"invalid_resource"}'), AzureAccessDenied, "no token: invalid_resource"),
        ("login", Answer(429), AzureThrottled, "429"),
        ("login", Answer(503), AzureError, "503"),
        ("login", CAPTIVE_PORTAL, AzureError, "access_token"),
        ("login", Answer(400, "no JSON"), AzureError, "without an Azure error"),
        ("login", Broken.RESET, AzureUnreachable, "login.microsoftonline.com"),
        ("exchange", Answer(429, headers={"Retry-After": "9"}), AzureThrottled, "429"),
        ("exchange", Answer(500), AzureError, "500"),
        ("exchange", Answer(404), AzureError, "does not exchange tokens"),
        ("exchange", Answer(302, headers={"Location": "https://evil.example/"}), AzureError, "302"),
        ("exchange", Answer(403, '{"errors":[{"message":"client with IP 1.2.3.4"}]}'), AzureAccessDenied, "1.2.3.4"),
        ("exchange", GARBAGE, AzureError, "refresh_token"),
        ("exchange", Answer(200, '{"refresh_token": "no JWT"}'), AzureError, "the end of the token"),
        ("exchange", Broken.RESET, AzureUnreachable, "127.0.0.1"),
    ],
)
async def test_each_failure_has_its_class(
    bench: Bench, service: str, fault: Fault, kind: type[Problem], says: str
) -> None:
    settings = AzureSettings(CLIENT, TENANT, bench.assertion()) if service == "login" else None
    bench.azure.faults[service] = fault
    with raises_problem(kind, match=says) as caught:
        await bench.fetch(settings)
    assert caught.value.subject == "azure"
    if isinstance(fault, Answer) and "Retry-After" in fault.headers:
        assert caught.value.wait == timedelta(seconds=9)


async def test_a_registry_that_hangs_is_given_up(bench: Bench) -> None:
    """At the deadline of the request."""
    bench.azure.faults["exchange"] = Broken.SILENT
    with raises_problem(AzureUnreachable, match="no answer within 2 s"):
        await bench.client(timeout_s=2).fetch_token(AzureIdentity(bench.registry), AzureSettings())


@pytest.mark.parametrize(
    ("code", "says", "retry"),
    [
        (700213, "token's subject", RetryClass.REJECTED),
        (700016, "not in the tenant", RetryClass.REJECTED),
        (7002138, "upper and lower case", RetryClass.REJECTED),
        (53003, "conditional access", RetryClass.REJECTED),
        (900023, "name of the tenant is not valid", RetryClass.REJECTED),
        (700038, "client ID is not valid", RetryClass.REJECTED),
        (7000112, "application is disabled", RetryClass.REJECTED),
        (7000229, "no service principal in the tenant", RetryClass.REJECTED),
        (700024, "expired, or is not valid yet", RetryClass.SOON),
        (1, "invalid_client", RetryClass.REJECTED),
    ],
)
async def test_a_refused_identity_token_is_explained(bench: Bench, code: int, says: str, retry: RetryClass) -> None:
    """By Azure's number. The message names client and tenant, and never repeats the token."""
    path = bench.assertion()
    words = f"AADSTS{code}: no {path.read_text()}"
    body = {"error": "invalid_client", "error_description": words, "error_codes": [code]}
    bench.azure.faults["login"] = Answer(401, json.dumps(body), "application/json")
    with raises_problem(AzureAccessDenied, match=says) as caught:
        await bench.fetch(AzureSettings(CLIENT, TENANT, path))
    assert caught.value.retry_class is retry
    assert f"client {CLIENT} in tenant {TENANT}" in caught.value.message
    assert path.read_text().strip() not in caught.value.message


async def test_a_registry_of_another_tenant_refuses_the_identity(bench: Bench) -> None:
    bench.azure.tenant_of_registry = "another"
    with raises_problem(AzureAccessDenied, match=f"refused the token of {WHO}") as caught:
        await bench.fetch()
    assert "tenant" in caught.value.hint


async def test_an_identity_token_needs_client_and_tenant(bench: Bench) -> None:
    path = bench.assertion()
    for settings, missing in (
        (AzureSettings(None, TENANT, path), "client"),
        (AzureSettings(CLIENT, None, path), "tenant"),
    ):
        with raises_problem(AzureCredentialsMissing, match=rf"azure\.{missing}_id is not set"):
            await bench.fetch(settings)
    with raises_problem(AzureCredentialsMissing, match=r"AZURE_FEDERATED_TOKEN_FILE .* cannot be read"):
        await bench.fetch(env={"AZURE_FEDERATED_TOKEN_FILE": str(bench.home / "nothing")})


async def test_a_token_in_place_of_its_path_is_not_shown(bench: Bench) -> None:
    token = bench.assertion().read_text().strip()
    with raises_problem(AzureCredentialsMissing, match="whose value is not an absolute path") as caught:
        await bench.fetch(env={"AZURE_FEDERATED_TOKEN_FILE": token})
    assert token not in caught.value.message + caught.value.hint


async def test_identify_names_the_place_and_the_principal(bench: Bench) -> None:
    """Without an exchange at the registry."""
    place, principal = await bench.client().identify(AzureIdentity(bench.registry), AzureSettings())
    assert place.startswith("the metadata service")
    assert principal == WHO
    assert bench.azure.calls["exchange"] == 0
