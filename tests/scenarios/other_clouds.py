"""Faults of Google and Azure during a login with the environment's own identity.

Those in `OTHER_CLOUDS` concern one registry each. Those of the identity itself concern all registries of the cloud, so
they happen one after the other: `MACHINE` for the identity of the machine, `PLATFORM` for an identity token.
"""

import base64
import json
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

from aiohttp import web

from tests.codes.sources import PLAIN
from tests.codes.world import Door, World
from tests.fakecloud import azure, google
from tests.fakecloud.azure import AzureAuth, PretendAzure
from tests.fakecloud.faults import CAPTIVE_PORTAL, GARBAGE, Answer, Broken
from tests.fakecloud.faults import Fault as Acted
from tests.fakecloud.google import EMAIL, GoogleAuth, PretendGoogle
from tests.fakecloud.tunnel import Tunnel
from tests.rig.authority import Authority
from tests.scenarios.fault import Cause, Caused, Fault

PRINCIPAL: Final = f"principal:{google.AUDIENCE.partition('/providers/')[0]}/subject/environment-1"


class OtherClouds:
    """A Google Cloud and an Azure, under their real names, and their metadata servers for the agent's machine."""

    def __init__(self, world: World) -> None:
        self.google: Final = PretendGoogle()
        self.azure: Final = PretendAzure()
        self.principal = EMAIL
        self._world: Final = world
        self._numbers: Final = count(1)
        world.other_clouds.extend((self.google, self.azure))
        names, authority = (*google.NAMES, *azure.NAMES), Authority(world.home)
        world.trust(authority.bundle.read_bytes())
        secure = world.serve(self._handle, tls=authority.context(*names))
        tunnel = Tunnel(dict.fromkeys(names, secure.port))
        world.here.call(tunnel.up())
        world.cleanup.callback(lambda: world.here.call(tunnel.down()))
        self.metadata: Final = world.serve(self._handle)
        world.env.update(
            HTTPS_PROXY=tunnel.url,
            NO_PROXY="",
            GCE_METADATA_HOST=self.metadata.address,
            AZURE_POD_IDENTITY_AUTHORITY_HOST=self.metadata.url,
        )

    @classmethod
    def of(cls, world: World) -> "OtherClouds":
        """The clouds of a world. They are created for the first fault."""
        if world not in _OF:
            _OF[world] = cls(world)
        return _OF[world]

    def federate(self) -> None:
        """Give the environment an identity token of its platform, which both clouds accept."""
        claims = base64.urlsafe_b64encode(b'{"sub": "environment-1"}').decode().rstrip("=")
        token = f"{self._world.sources.secret('identity token', PLAIN)}.{claims}.signature"
        path = self._world.sources.directory / "identity-token"
        path.write_text(token)
        self.google.subjects[token] = "environment-1"
        self.azure.assertions[token] = azure.CLIENT
        self.principal = PRINCIPAL
        source = {"identity_token_file": str(path)}
        self._world.defaults["google"] = {"audience": google.AUDIENCE, **source}
        self._world.defaults["azure"] = {"client_id": azure.CLIENT, "tenant_id": azure.TENANT, **source}

    def gar(self, account: str) -> Door:
        """Serve a registry of Google. The secret names a service account that the own identity may impersonate."""
        self.google.may_impersonate.add((self.principal, account))
        secret = {"username": "runner-native", "kind": "gar", "google_service_account": account}
        return self._world.registry("team-gar", GoogleAuth(self.google), secret)

    def new_account(self) -> str:
        return f"pull-{next(self._numbers)}@acme.iam.gserviceaccount.com"

    def new_client(self) -> str:
        """The client ID of another managed identity of the machine."""
        client = f"7c2d3e4f-0000-4000-8000-{next(self._numbers):012}"
        self.azure.identities[client] = azure.OBJECT
        return client

    def acr(self, client_id: str | None = azure.CLIENT) -> tuple[Door, AzureAuth]:
        """Serve a registry of Azure. The secret names the managed identity, if it is given."""
        auth = AzureAuth(self.azure)
        return self._world.registry("team-acr", auth, acr_secret(client_id)), auth

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        of_google = request.host in google.NAMES or request.path.startswith("/computeMetadata")
        return await (self.google if of_google else self.azure).handle(request)


def acr_secret(client_id: str | None) -> dict[str, str]:
    named = {} if client_id is None else {"azure_client_id": client_id}
    return {"username": "runner-native", "kind": "acr", **named}


def _no_impersonation(world: World) -> Caused:
    """The message names the machine's service account and the other one."""
    clouds = OtherClouds.of(world)
    account = clouds.new_account()
    door = clouds.gar(account)
    clouds.google.may_impersonate.discard((EMAIL, account))
    fix = lambda: clouds.google.may_impersonate.add((EMAIL, account))  # noqa: E731 - one expression
    return Caused(door.hostname, fix, (door.hostname,), account)


def _account_fails(fault: Acted) -> Cause:
    """Google answers about one service account with a fault."""

    def cause(world: World) -> Caused:
        clouds = OtherClouds.of(world)
        account = clouds.new_account()
        clouds.google.faults[account] = fault
        door = clouds.gar(account)
        return Caused(door.hostname, lambda: clouds.google.faults.pop(account), (door.hostname,))

    return cause


def _unknown_identity(world: World) -> Caused:
    """The secret names a managed identity that the machine does not have yet."""
    clouds = OtherClouds.of(world)
    client = "6b1c2d3e-0000-4000-8000-00000000000f"
    door, _ = clouds.acr(client)
    return Caused(door.hostname, lambda: clouds.azure.identities.update({client: "other"}), (door.hostname,), client)


def _exchange_fails(fault: Acted) -> Cause:
    """One registry does not exchange the token of Entra ID."""

    def cause(world: World) -> Caused:
        door, auth = OtherClouds.of(world).acr()
        auth.fault = fault
        return Caused(door.hostname, lambda: setattr(auth, "fault", None), (door.hostname,))

    return cause


def _several_identities(world: World) -> Caused:
    """The secret does not name one of the machine's managed identities."""
    clouds = OtherClouds.of(world)
    right = acr_secret(clouds.new_client())
    door, _ = clouds.acr(None)
    return Caused(door.hostname, lambda: world.agent.give(door.secret, door.hostname, **right), (door.hostname,))


def _metadata_fails(fault: Acted) -> Cause:
    """The metadata service answers about one managed identity with a fault."""

    def cause(world: World) -> Caused:
        clouds = OtherClouds.of(world)
        client = clouds.new_client()
        clouds.azure.faults[client] = fault
        door, _ = clouds.acr(client)
        return Caused(door.hostname, lambda: clouds.azure.faults.pop(client), (door.hostname,))

    return cause


def _google(service: str, fault: Acted) -> Cause:
    """A service of Google answers everybody with a fault. A new account needs a new token."""

    def cause(world: World) -> Caused:
        clouds = OtherClouds.of(world)
        clouds.google.faults[service] = fault
        door = clouds.gar(clouds.new_account())
        return Caused(door.hostname, lambda: clouds.google.faults.pop(service), (door.hostname,))

    return cause


def _azure(service: str, fault: Acted) -> Cause:
    """A service of Azure answers everybody with a fault."""

    def cause(world: World) -> Caused:
        clouds = OtherClouds.of(world)
        clouds.azure.faults[service] = fault
        door, _ = clouds.acr(None)
        return Caused(door.hostname, lambda: clouds.azure.faults.pop(service), (door.hostname,))

    return cause


def _missing_scope(world: World) -> Caused:
    """The machine may write its log, and nothing else. The service account's roles do not matter then."""
    clouds = OtherClouds.of(world)
    before, clouds.google.scopes = clouds.google.scopes, ["https://www.googleapis.com/auth/logging.write"]
    door = clouds.gar(clouds.new_account())
    return Caused(door.hostname, lambda: setattr(clouds.google, "scopes", before), (door.hostname,))


def _unknown(accepted: str) -> Cause:
    """The cloud does not accept the identity token: Google because of its audience, Azure because of its subject."""

    def cause(world: World) -> Caused:
        clouds = OtherClouds.of(world)
        known = getattr(clouds.google if accepted == "subjects" else clouds.azure, accepted)
        before = dict(known)
        known.clear()
        door = clouds.gar(clouds.new_account()) if accepted == "subjects" else clouds.acr(None)[0]
        return Caused(door.hostname, lambda: known.update(before), (door.hostname,))

    return cause


def _said(status: int, **fields: Any) -> Answer:
    return Answer(status, json.dumps(fields), "application/json")


def _entra(code: int, words: str) -> Answer:
    return _said(401, error="invalid_client", error_description=f"AADSTS{code}: {words}", error_codes=[code])


_FLAVOR: Final = {"Metadata-Flavor": "Google"}
_REFUSED: Final = _said(401, errors=[{"code": "UNAUTHORIZED", "message": "authentication required"}])
_FIREWALL: Final = _said(403, errors=[{"code": "DENIED", "message": "client with IP '1.2.3.4' is not allowed"}])
_HOSTILE: Final = _said(403, error={"message": "\x1b[2J<script>alert(1)</script> `reboot`\u202e" + "x " * 1000})
_GKE: Final = "Unable to generate access token; IAM returned "


def _api_error(status: int, message: str, reason: str = "") -> Answer:
    """As Google's APIs refuse a request, with the reason for programs."""
    return _said(status, error={"code": status, "message": message, "details": [{"reason": reason}]})


_DISABLED: Final = _api_error(
    403,
    "IAM Service Account Credentials API has not been used in project 42 before or it is disabled.",
    "SERVICE_DISABLED",
)
_NARROW: Final = _api_error(403, "Request had insufficient authentication scopes.", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")

OTHER_CLOUDS: Final = (
    Fault(
        "a service account that may not be impersonated",
        "google_access_denied",
        _no_impersonation,
        EMAIL,
        "roles/iam.serviceAccountTokenCreator",
        "google identity",
        "admin",
    ),
    *(
        Fault(name, code, _account_fails(fault), says, hint, "google identity", needs)
        for name, code, fault, says, hint, needs in (
            ("Google throttles", "google_throttled", Answer(429), "429", "wait", "nobody"),
            ("Google resets the connection", "google_unreachable", Broken.RESET, "iamcredentials", "firewall", "admin"),
            ("Google does not answer", "google_unreachable", Broken.SILENT, "no answer within", "firewall", "admin"),
            ("Google fails", "google_error", Answer(503), "503", "status.cloud.google.com", "nobody"),
            ("an invalid answer of Google", "google_error", GARBAGE, "accessToken", "wait", "nobody"),
            ("a captive portal instead of Google", "google_error", CAPTIVE_PORTAL, "accessToken", "wait", "nobody"),
            (
                "an API of Google that is disabled",
                "google_access_denied",
                _DISABLED,
                "project 42",
                "enable the API iamcredentials.googleapis.com",
                "admin",
            ),
            (
                "an access scope that does not let the machine impersonate",
                "google_access_denied",
                _NARROW,
                EMAIL,
                "access scope cloud-platform",
                "admin",
            ),
            (
                "a service account that is no e-mail address",
                "google_credentials_missing",
                _api_error(400, "Invalid form of account ID pull."),
                "Invalid form of account ID",
                "google_service_account in the secret",
                "user",
            ),
            (
                "a hostile answer of Google",
                "google_access_denied",
                _HOSTILE,
                "<script>alert(1)</script> `reboot`",
                "administrator",
                "admin",
            ),
        )
    ),
    Fault(
        "a managed identity that is not assigned",
        "azure_credentials_missing",
        _unknown_identity,
        "client ID",
        "azure_client_id",
        "azure identity",
        "user",
    ),
    Fault(
        "several managed identities",
        "azure_credentials_missing",
        _several_identities,
        "Multiple user assigned identities",
        "azure_client_id in the secret",
        "azure identity",
        "admin",
    ),
    *(
        Fault(name, code, _metadata_fails(fault), says, hint, "azure identity", needs)
        for name, code, fault, says, hint, needs in (
            ("Azure upgrades its metadata service", "azure_error", Answer(410), "410", "wait", "nobody"),
            ("Azure's metadata service throttles", "azure_throttled", Answer(429), "429", "wait", "nobody"),
            (
                "Azure's metadata service does not answer",
                "azure_credentials_missing",
                Broken.SILENT,
                "no answer within",
                "managed identity",
                "admin",
            ),
            (
                "Google's metadata server instead of Azure's",
                "azure_credentials_missing",
                Answer(404, headers=_FLAVOR),
                "Google's metadata server answered",
                "azure.identity_token_file",
                "admin",
            ),
        )
    ),
    *(
        Fault(name, code, _exchange_fails(fault), says, hint, "token", needs)
        for name, code, fault, says, hint, needs in (
            ("a registry of another tenant", "azure_access_denied", _REFUSED, azure.OBJECT, "tenant", "admin"),
            ("a registry behind a firewall", "azure_access_denied", _FIREWALL, "1.2.3.4", "firewall", "admin"),
            ("an Azure registry throttles", "azure_throttled", Answer(429), "429", "wait", "nobody"),
            ("an Azure registry resets the connection", "azure_unreachable", Broken.RESET, "", "private", "admin"),
            ("an Azure registry does not answer", "azure_unreachable", Broken.SILENT, "within", "private", "admin"),
            ("an Azure registry fails", "azure_error", Answer(500), "500", "azure.status.microsoft", "nobody"),
            ("an invalid answer of an Azure registry", "azure_error", GARBAGE, "refresh_token", "wait", "nobody"),
            ("a huge answer of an Azure registry", "azure_unreachable", Answer(200, "x" * 70_000), "", "", "admin"),
            ("a host that does not exchange tokens", "azure_error", Answer(404), "404", "host name", "user"),
        )
    ),
)
MACHINE: Final = (
    Fault(
        "an access scope is missing",
        "google_access_denied",
        _missing_scope,
        f"do not let {EMAIL} pull images",
        "access scope cloud-platform",
        "google identity",
        "admin",
    ),
    *(
        Fault(name, code, _google("metadata", fault), says, hint, "google identity", needs)
        for name, code, fault, says, hint, needs in (
            (
                "no service account",
                "google_credentials_missing",
                Answer(404, headers=_FLAVOR),
                "no service account",
                "roles/artifactregistry.reader",
                "admin",
            ),
            (
                "another cloud's metadata server",
                "google_credentials_missing",
                Answer(404, "<html>404 - Not Found</html>", "text/html"),
                "not Google's metadata server",
                "_json_key",
                "admin",
            ),
            (
                "the metadata server resets the connection",
                "google_credentials_missing",
                Broken.RESET,
                "tried google.identity_token_file",
                "attach a service account",
                "admin",
            ),
            (
                "the metadata server does not answer",
                "google_credentials_missing",
                Broken.SILENT,
                "no answer within",
                "attach a service account",
                "admin",
            ),
            ("the metadata server throttles", "google_throttled", Answer(429, headers=_FLAVOR), "429", "", "nobody"),
        )
    ),
    *(
        Fault(
            name,
            "google_access_denied",
            _google(google.TOKEN, Answer(status, f"{_GKE}{words}", headers=_FLAVOR)),
            f"a token for {EMAIL} ({_GKE}{words}",
            f"whether {EMAIL} exists, and to grant roles/iam.workloadIdentityUser",
            "google identity",
            "admin",
        )
        for name, status, words in (
            (
                "a pod without a bound service account",
                403,
                "403 Forbidden: Permission 'iam.serviceAccounts.getAccessToken' denied on resource",
            ),
            ("a pod whose service account does not exist", 404, "404 Not Found: Not found; Gaia id not found"),
        )
    ),
    Fault(
        "no managed identity",
        "azure_credentials_missing",
        _azure("metadata", _said(400, error="invalid_request", error_description="Identity not found")),
        "Identity not found",
        "which managed identity",
        "azure identity",
        "admin",
    ),
)
PLATFORM: Final = (
    Fault(
        "Google expects another audience",
        "google_access_denied",
        _unknown("subjects"),
        f"(sub environment-1) for {google.AUDIENCE}",
        "allowed audiences",
        "google identity",
        "admin",
    ),
    *(
        Fault(name, code, _google("sts", fault), says, hint, "google identity", needs)
        for name, code, fault, says, hint, needs in (
            (
                "an attribute condition",
                "google_access_denied",
                _said(400, error="unauthorized_client", error_description="The given credential is rejected"),
                "the attribute condition",
                "attribute condition",
                "admin",
            ),
            (
                "an unknown workload identity provider",
                "google_access_denied",
                _said(400, error="invalid_target"),
                google.AUDIENCE,
                "full name of the workload identity provider",
                "admin",
            ),
            (
                "Google's token service does not answer",
                "google_unreachable",
                Broken.SILENT,
                "sts.googleapis.com: no answer within",
                "firewall",
                "admin",
            ),
            (
                "Google's token service throttles",
                "google_throttled",
                Answer(429),
                "sts.googleapis.com",
                "wait",
                "nobody",
            ),
        )
    ),
    Fault(
        "no federated credential",
        "azure_access_denied",
        _unknown("assertions"),
        f"client {azure.CLIENT} in tenant {azure.TENANT}",
        "iss, sub and aud",
        "azure identity",
        "admin",
    ),
    *(
        Fault(name, code, _azure("login", fault), says, hint, "azure identity", needs)
        for name, code, fault, says, hint, needs in (
            (
                "Azure expects another audience",
                "azure_access_denied",
                _entra(700212, "No matching federated identity record found for presented assertion audience."),
                "the token's audience (sub environment-1)",
                "iss, sub and aud",
                "admin",
            ),
            (
                "the application is in another tenant",
                "azure_access_denied",
                _entra(700016, "Application was not found in the directory."),
                "not in the tenant",
                "azure.tenant_id",
                "admin",
            ),
            ("Entra ID throttles", "azure_throttled", Answer(429), "login.microsoftonline.com", "wait", "nobody"),
        )
    ),
)
_OF: Final[WeakKeyDictionary[World, OtherClouds]] = WeakKeyDictionary()
