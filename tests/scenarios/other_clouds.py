"""Faults of Google and Azure during a login with the environment's own identity."""

import json
from itertools import count
from typing import Final
from weakref import WeakKeyDictionary

from aiohttp import web

from tests.codes.world import Door, World
from tests.fakecloud import azure, google
from tests.fakecloud.azure import AzureAuth, PretendAzure
from tests.fakecloud.faults import CAPTIVE_PORTAL, GARBAGE, Answer, Broken
from tests.fakecloud.faults import Fault as Acted
from tests.fakecloud.google import EMAIL, GoogleAuth, PretendGoogle
from tests.fakecloud.tunnel import Tunnel
from tests.rig.authority import Authority
from tests.scenarios.fault import Cause, Caused, Fault


class OtherClouds:
    """A Google Cloud and an Azure, under their real names, and their metadata servers for the agent's machine."""

    def __init__(self, world: World) -> None:
        self.google: Final = PretendGoogle()
        self.azure: Final = PretendAzure()
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

    def gar(self, account: str = "") -> Door:
        """Serve a registry of Google. The secret names a service account that the machine's own may impersonate."""
        secret = {"username": "runner-native", "kind": "gar"}
        if account:
            self.google.may_impersonate.add((EMAIL, account))
        more = {"google_service_account": account} if account else {}
        return self._world.registry("team-gar", GoogleAuth(self.google), {**secret, **more})

    def new_account(self) -> str:
        return f"pull-{next(self._numbers)}@acme.iam.gserviceaccount.com"

    def acr(self, client_id: str = azure.CLIENT) -> tuple[Door, AzureAuth]:
        """Serve a registry of Azure. The secret names the managed identity."""
        auth = AzureAuth(self.azure)
        secret = {"username": "runner-native", "kind": "acr", "azure_client_id": client_id}
        return self._world.registry("team-acr", auth, secret), auth

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        of_google = request.host in google.NAMES or request.path.startswith("/computeMetadata")
        return await (self.google if of_google else self.azure).handle(request)


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


_REFUSED: Final = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]})
_FIREWALL: Final = json.dumps({"errors": [{"code": "DENIED", "message": "client with IP '1.2.3.4' is not allowed"}]})

OTHER_CLOUDS: Final = (
    Fault(
        "a service account that may not be impersonated",
        "google_access_denied",
        _no_impersonation,
        EMAIL,
        "roles/iam.serviceAccountTokenCreator",
    ),
    Fault("Google throttles", "google_throttled", _account_fails(Answer(429)), "429"),
    Fault("Google resets the connection", "google_unreachable", _account_fails(Broken.RESET), "iamcredentials"),
    Fault("Google fails", "google_error", _account_fails(Answer(503)), "503"),
    Fault("an invalid answer of Google", "google_error", _account_fails(GARBAGE)),
    Fault("a captive portal instead of Google", "google_error", _account_fails(CAPTIVE_PORTAL)),
    Fault("a managed identity that is not assigned", "azure_credentials_missing", _unknown_identity, "client ID"),
    Fault(
        "a registry of another tenant",
        "azure_access_denied",
        _exchange_fails(Answer(401, _REFUSED)),
        azure.OBJECT,
        "tenant",
    ),
    Fault(
        "a registry behind a firewall",
        "azure_access_denied",
        _exchange_fails(Answer(403, _FIREWALL)),
        "1.2.3.4",
        "firewall",
    ),
    Fault("an Azure registry throttles", "azure_throttled", _exchange_fails(Answer(429)), "429"),
    Fault("an Azure registry resets the connection", "azure_unreachable", _exchange_fails(Broken.RESET)),
    Fault("an Azure registry fails", "azure_error", _exchange_fails(Answer(500)), "500"),
    Fault("an invalid answer of an Azure registry", "azure_error", _exchange_fails(GARBAGE)),
    Fault("a host that does not exchange tokens", "azure_error", _exchange_fails(Answer(404)), "404"),
)
_OF: Final[WeakKeyDictionary[World, OtherClouds]] = WeakKeyDictionary()
