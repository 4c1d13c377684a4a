"""A simulated Azure: the metadata service for managed identities, Entra ID, and a container registry's own endpoints.

The answers have the form of Azure's own. Clients use the real name of Entra ID, which leads here through a `Tunnel`.
`AZURE_POD_IDENTITY_AUTHORITY_HOST` names the metadata service.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

from aiohttp import web

from agent.demo.registries import Refusal, basic, errors
from tests.fakecloud import jwt
from tests.fakecloud.faults import Fault, act_out

NAMES: Final = ("login.microsoftonline.com",)
USER: Final = "00000000-0000-0000-0000-000000000000"
AUDIENCE: Final = "https://containerregistry.azure.net"
TENANT: Final = "72f988bf-0000-4000-8000-2d7cd011db47"
CLIENT: Final = "6b1c2d3e-0000-4000-8000-000000000001"
OBJECT: Final = "0a2f3b4c-0000-4000-8000-000000000002"
_METADATA: Final = "/metadata/identity/oauth2/token"
_VISIT: Final = "authentication required, visit https://aka.ms/acr/authorization for more information."


class PretendAzure:
    """One tenant. Attributes that are not Final can be changed while it serves.

    Attributes:
        token_life_s: the life of the registries' tokens issued from now on.
        identities: the object of each managed identity of the machine, by its client ID.
        assertions: the client that each identity token is accepted for.
        readers: the objects that may pull.
        tenant_of_registry: the registry accepts tokens of this tenant only.
        app_service_header: the secret header that App Service's own endpoint requires.
        faults: what a service answers instead, by `metadata`, `app service`, `login`, `exchange`; or what the metadata
            service answers about an identity, by its client ID.
        calls: how often each service was asked.
    """

    def __init__(
        self, *, token_life_s: float = 3 * 3600, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.token_life_s = token_life_s
        self.identities: Final[dict[str, str]] = {CLIENT: OBJECT}
        self.assertions: Final[dict[str, str]] = {}
        self.readers: Final[set[str]] = set()
        self.tenant_of_registry = TENANT
        self.app_service_header: Final = secrets.token_urlsafe(16)
        self.faults: Final[dict[str, Fault]] = {}
        self.calls: Final[Counter[str]] = Counter()
        self._clock: Final = clock
        self._access: Final[dict[str, tuple[str, str]]] = {}
        self._refresh: Final[dict[str, tuple[str, datetime]]] = {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer for the metadata service and for Entra ID."""
        local = {"metadata": "metadata", "msi": "app service"}
        service = local.get(request.path.split("/")[1], "login")
        return await self._serve(service, request)

    async def exchange(self, request: web.BaseRequest, fault: Fault | None = None) -> web.StreamResponse:
        """Answer a registry's `/oauth2/exchange`, with `fault` if only this registry has one."""
        return await self._serve("exchange", request, fault)

    @property
    def secrets(self) -> list[str]:
        """The signatures of all tokens that were issued. Their claims are no secret."""
        return [token.rpartition(".")[2] for token in (*self._access, *self._refresh)]

    def holder(self, text: str) -> str | None:
        """Return the object that a registry's token belongs to, or None if it is not valid."""
        holder, expires_at = self._refresh.get(text, ("", self._clock()))
        return holder if expires_at > self._clock() else None

    async def _serve(self, service: str, request: web.BaseRequest, fault: Fault | None = None) -> web.StreamResponse:
        self.calls[service] += 1
        fault = fault or self.faults.get(request.query.get("client_id", "")) or self.faults.get(service)
        answer: web.StreamResponse
        if fault is not None:
            answer = await act_out(fault, request)
        elif service == "app service":
            answer = self._app_service(request)
        elif service == "metadata":
            answer = self._managed_identity(request)
        else:
            form = {name: str(value) for name, value in (await request.post()).items()}
            answer = self._login(request, form) if service == "login" else self._exchange(request, form)
        answer.headers["Date"] = format_datetime(self._clock(), usegmt=True)
        return answer

    def _managed_identity(self, request: web.BaseRequest) -> web.Response:
        if request.headers.get("Metadata") != "true":
            return _error(400, "bad_request_102", "Required metadata header not specified")
        if request.path != _METADATA or request.query.get("api-version") != "2018-02-01":
            return web.Response(status=404)
        return self._token_of_identity(request)

    def _app_service(self, request: web.BaseRequest) -> web.Response:
        allowed = request.headers.get("X-IDENTITY-HEADER") == self.app_service_header
        if not allowed or request.query.get("api-version") != "2019-08-01":
            return web.Response(status=401)
        return self._token_of_identity(request)

    def _token_of_identity(self, request: web.BaseRequest) -> web.Response:
        if request.query.get("resource") != AUDIENCE:
            return _error(400, "invalid_resource", "AADSTS500011: The resource principal was not found in the tenant.")
        client = request.query.get("client_id")
        if client is None and len(self.identities) > 1:
            return _error(
                400, "invalid_request", "Multiple user assigned identities exist, please specify the clientId"
            )
        client = client or next(iter(self.identities), None)
        if client not in self.identities:
            return _error(400, "invalid_request", "Identity not found")
        end = self._clock() + timedelta(hours=24)
        return web.json_response(
            {
                "access_token": self._issue(client, self.identities[client], end),
                "client_id": client,
                "expires_in": "86399",
                "expires_on": str(int(end.timestamp())),
                "resource": AUDIENCE,
                "token_type": "Bearer",
            }
        )

    def _login(self, request: web.BaseRequest, form: Mapping[str, str]) -> web.Response:
        if not request.path.startswith(f"/{TENANT}/oauth2/v2.0/token"):
            return _error(400, "invalid_request", "AADSTS90002: Tenant not found.", 90002)
        client = self.assertions.get(form.get("client_assertion", ""))
        if client is None:
            words = "AADSTS700213: No matching federated identity record found for presented assertion subject."
            return _error(401, "invalid_client", words, 700213)
        if client != form.get("client_id"):
            return _error(400, "unauthorized_client", "AADSTS700016: Application was not found.", 700016)
        if form.get("scope") != f"{AUDIENCE}/.default" or form.get("grant_type") != "client_credentials":
            return _error(400, "invalid_scope", "AADSTS70011: The scope is not valid.", 70011)
        token = self._issue(client, OBJECT, self._clock() + timedelta(hours=1))
        return web.json_response({"token_type": "Bearer", "expires_in": 3599, "access_token": token})

    def _exchange(self, request: web.BaseRequest, form: Mapping[str, str]) -> web.Response:
        if request.method != "POST":
            return web.Response(status=404)
        holder, tenant = self._access.get(form.get("access_token", ""), ("", ""))
        if tenant != self.tenant_of_registry or form.get("service") != request.host:
            return errors(401, "UNAUTHORIZED", _VISIT)
        end = self._clock() + timedelta(seconds=self.token_life_s)
        token = jwt.make({"exp": int(end.timestamp()), "aud": request.host, "jti": secrets.token_hex(8)})
        self._refresh[token] = (holder, end)
        return web.json_response({"refresh_token": token})

    def _issue(self, client: str, holder: str, end: datetime) -> str:
        token = jwt.make({"appid": client, "oid": holder, "tid": TENANT, "aud": AUDIENCE, "exp": int(end.timestamp())})
        self._access[token] = (holder, TENANT)
        return token


class AzureAuth:
    """Like an Azure registry: a login needs no right, but a pull does. `fault` is what its exchange answers."""

    def __init__(self, azure: PretendAzure) -> None:
        self.fault: Fault | None = None
        self._azure: Final = azure
        self._bearers: Final[dict[str, str]] = {}

    async def __call__(self, request: web.BaseRequest) -> str | web.Response:
        if request.path == "/oauth2/exchange":
            answer = await self._azure.exchange(request, self.fault)
            assert isinstance(answer, web.Response)
            return answer
        if request.path == "/oauth2/token":
            return await self._token(request)
        holder = self._bearers.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        pulls = request.path not in ("/v2", "/v2/")
        if holder is None or (pulls and holder not in self._azure.readers):
            realm = f'Bearer realm="https://{request.host}/oauth2/token",service="{request.host}"'
            raise Refusal(errors(401, "UNAUTHORIZED", _VISIT, {"WWW-Authenticate": realm}))
        return holder

    async def _token(self, request: web.BaseRequest) -> web.Response:
        given = basic(request)
        if request.method == "POST":
            form = await request.post()
            given = (str(form.get("username", "")), str(form.get("password", "")))
        username, password = given or ("", "")
        holder = self._azure.holder(password) if username == USER else None
        if holder is None:
            raise Refusal(errors(401, "UNAUTHORIZED", _VISIT), username or None)
        bearer = secrets.token_urlsafe(32)
        self._bearers[bearer] = holder
        return web.json_response({"access_token": bearer})


def _error(status: int, error: str, description: str, code: int | None = None) -> web.Response:
    body: dict[str, object] = {"error": error, "error_description": description}
    return web.json_response(body | ({"error_codes": [code]} if code else {}), status=status)
