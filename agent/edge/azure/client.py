"""Gets tokens for Azure container registries."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from agent.edge.azure.managed_identity import ManagedIdentity
from agent.edge.azure.token import AzureToken
from agent.edge.ca_certificates import CaFileError
from agent.edge.cloud_http import CloudHttp, CloudRequest
from agent.edge.http import HttpClient
from agent.edge.identity_token import IdentityTokenError, identity_token, token_from_file
from agent.model import jwt
from agent.model.azure_errors import (
    AUDIENCE,
    AUTHORITIES,
    ERRORS,
    SUBJECT,
    authority_problem,
    exchange_problem,
    principal_of,
)
from agent.model.cloud_reply import CloudReply
from agent.model.credential import AzureIdentity, Token
from agent.model.encoded_login import AZURE_USER
from agent.model.hints import ASK_PLATFORM
from agent.model.problem import ProblemError
from agent.model.problems.azure import AzureCredentialsMissing, AzureCredentialsUnusable
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.model.text import printable
from agent.settings import AzureSettings

_TOKEN_FILE: Final = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105 - a variable's name
_AUTHORITY: Final = "https://login.microsoftonline.com/"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(kw_only=True, eq=False)
class AzureClient:
    """Sends single requests to Azure, without caching tokens and without retries.

    The first source that is configured decides: an identity token, or the managed identity of the machine. If it fails,
    no other one is asked, because a token of another identity would only be refused later.

    Args:
        ca_files: returns the additional certificates to trust for a registry.
    """

    http: HttpClient
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    learned: Callable[[Sensitive], object]
    ca_files: Callable[[Registry], Awaitable[list[Path]]]
    timeout_s: float
    scrub: Callable[[str], str] = str

    def __post_init__(self) -> None:
        self._requests = CloudHttp(self.http, self.now, self.timeout_s, ERRORS, self.scrub)
        self._managed = ManagedIdentity(self._requests, self.environ, self.learned)
        self._running: dict[Hashable, asyncio.Task[AzureToken]] = {}

    async def fetch_token(self, identity: AzureIdentity, settings: AzureSettings) -> Token:
        """Get a token of Entra ID, and exchange it for one of the registry.

        Raises:
            ProblemError: of `agent.model.problems.azure`. The subject is always "azure".
        """
        access = await self._access(identity, settings)
        reply = await self._exchange(identity.registry, access)
        refresh = ERRORS.needed(reply, reply.secret("refresh_token"), "refresh_token")
        expires_at = ERRORS.needed(reply, jwt.expiry(refresh.reveal()), "the end of the token")
        return Token(AZURE_USER, refresh, expires_at, access.principal, reply.server_time)

    async def identify(self, identity: AzureIdentity, settings: AzureSettings) -> tuple[str, str | None]:
        """Return where the identity comes from, and who it is in Azure.

        Raises:
            ProblemError: as `fetch_token`.
        """
        access = await self._access(identity, settings)
        return access.place, access.principal

    async def _access(self, identity: AzureIdentity, settings: AzureSettings) -> AzureToken:
        """Get a token of Entra ID. All registries that ask for the same one meanwhile share the request."""
        key = (identity.client_id, settings)
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.create_task(self._ask(identity, settings))
            running.add_done_callback(lambda done: self._asked(key, done))
        # Shielded: if one caller is cancelled, the others still get the token.
        return await asyncio.shield(running)

    def _asked(self, key: Hashable, done: asyncio.Task[AzureToken]) -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # the callers get it too; without them, asyncio would log it

    async def _ask(self, identity: AzureIdentity, settings: AzureSettings) -> AzureToken:
        client_id = identity.client_id or settings.client_id or self.environ.get("AZURE_CLIENT_ID") or None
        found = await self._identity_token(settings)
        if found is None:
            access = await self._managed.token(client_id)
        else:
            tenant_id = settings.tenant_id or self.environ.get("AZURE_TENANT_ID") or None
            access = await self._federate(*found, client_id, tenant_id)
        self.learned(access.secret)
        return access

    async def _identity_token(self, settings: AzureSettings) -> tuple[Sensitive, str] | None:
        """Return the identity token and where it comes from. None if nothing is configured."""
        file, command = settings.identity_token_file, settings.identity_token_command
        named = self.environ.get(_TOKEN_FILE)
        try:
            token = await identity_token("azure", file, command, self.environ, self.timeout_s)
            place = "the identity token in the settings"
            if token is None and named:
                token, place = await token_from_file(_TOKEN_FILE, Path(named), self.timeout_s), _TOKEN_FILE
        except IdentityTokenError as error:
            raise ProblemError(AzureCredentialsMissing(SUBJECT, str(error), hint=ASK_PLATFORM)) from error
        if token is None:
            return None
        self.learned(token)
        return token, place

    async def _federate(
        self, assertion: Sensitive, place: str, client_id: str | None, tenant_id: str | None
    ) -> AzureToken:
        """Exchange the token of another identity provider for one of Entra ID."""
        if client_id is None or tenant_id is None:
            missing = "azure.client_id" if client_id is None else "azure.tenant_id"
            raise ProblemError(
                AzureCredentialsUnusable(
                    SUBJECT,
                    f"there is {place}, but {missing} is not set",
                    hint=f"set {missing}: ask your Azure administrator",
                )
            )
        form = {
            "client_id": client_id,
            "scope": f"{AUDIENCE}/.default",
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION,
            "client_assertion": assertion.reveal(),
        }
        host = self._authority()
        url = f"https://{host}/{quote(tenant_id, safe='')}/oauth2/v2.0/token"
        reply = await self._requests.ask(
            CloudRequest(host, url, form=form),
            lambda reply: authority_problem(reply, client_id, tenant_id, jwt.described(assertion.reveal())),
        )
        token = ERRORS.needed(reply, reply.secret("access_token"), "access_token")
        return AzureToken(token, place, principal_of(token.reveal(), client_id))

    def _authority(self) -> str:
        given = self.environ.get("AZURE_AUTHORITY_HOST") or _AUTHORITY
        host = urlsplit(given if "://" in given else f"https://{given}").netloc.lower()
        if host not in AUTHORITIES or given.lower().startswith("http:"):
            message = f"AZURE_AUTHORITY_HOST names {printable(host, 100)}, which is not a host of Microsoft's login"
            hint = "unset AZURE_AUTHORITY_HOST, or set it to https://login.microsoftonline.com, and restart the agent"
            raise ProblemError(AzureCredentialsUnusable(SUBJECT, message, hint=hint))
        return host

    async def _exchange(self, registry: Registry, access: AzureToken) -> CloudReply:
        """Exchange the token at the registry itself. Any other realm that it names would get the token too."""
        host = registry.api_host
        form = {"grant_type": "access_token", "service": host, "access_token": access.secret.reveal()}
        url = f"https://{host}/oauth2/exchange"
        try:
            ca_files = await self.ca_files(registry)
        except CaFileError as error:
            raise ERRORS.no_answer(f"{host}: {error}") from error
        return await self._requests.ask(
            CloudRequest(host, url, form=form, ca_files=ca_files),
            lambda reply: exchange_problem(reply, registry.hostname, access.principal),
        )
