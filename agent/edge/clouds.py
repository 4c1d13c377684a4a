"""The clients of Google and Azure. Each one is loaded, in a thread, for the first identity of its cloud."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from agent.blocking import BlockingCalls
from agent.edge.http import HttpClient
from agent.model.credential import AzureIdentity, GoogleIdentity, Token
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.settings import Settings

_LOADING: Final = BlockingCalls("clouds")


class CloudClient(Protocol):
    """Sends single requests to one cloud. Takes only identities and settings of this cloud.

    Both methods raise a `ProblemError` whose subject is the name of the cloud.
    """

    async def fetch_token(self, identity: Any, settings: Any) -> Token: ...
    async def identify(self, identity: Any, settings: Any) -> tuple[str, str | None]:
        """Return where the identity comes from, and its name in the cloud if that is known."""
        ...


@dataclass(kw_only=True, eq=False)
class Clouds:
    """Passes each request on to the client of its cloud.

    Args:
        http: sends the requests.
        environ: the variables that describe identities.
        now: the wall clock.
        learned: called with each secret that is sent to a cloud, before it is used.
        ca_files: returns the additional certificates to trust for a registry.
        timeout_s: the deadline of each request.
        scrub: removes known secrets from what a cloud answers.
    """

    http: HttpClient
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    learned: Callable[[Sensitive], object]
    ca_files: Callable[[Registry], Awaitable[list[Path]]]
    timeout_s: float = 10.0
    scrub: Callable[[str], str] = str
    _clients: dict[str, CloudClient] = field(default_factory=dict, init=False)

    async def fetch_token(self, identity: GoogleIdentity | AzureIdentity, settings: Settings) -> Token:
        """Get a token for `identity`. See `CloudClient`."""
        client = await self._client(identity.code_prefix)
        return await client.fetch_token(identity, settings.of_cloud(identity.code_prefix))

    async def identify(self, identity: GoogleIdentity | AzureIdentity, settings: Settings) -> tuple[str, str | None]:
        """See `CloudClient`."""
        client = await self._client(identity.code_prefix)
        return await client.identify(identity, settings.of_cloud(identity.code_prefix))

    async def _client(self, cloud: str) -> CloudClient:
        if cloud not in self._clients:
            load = self._google if cloud == GoogleIdentity.code_prefix else self._azure
            # It is the agent's own code, so there is no deadline.
            self._clients.setdefault(cloud, await _LOADING.call(cloud, load, timeout=None))
        return self._clients[cloud]

    def _google(self) -> CloudClient:
        from agent.edge.google.client import GoogleClient  # noqa: PLC0415 - few environments need it

        return GoogleClient(**self._shared)

    def _azure(self) -> CloudClient:
        from agent.edge.azure.client import AzureClient  # noqa: PLC0415 - few environments need it

        return AzureClient(**self._shared, ca_files=self.ca_files)

    @property
    def _shared(self) -> dict[str, Any]:
        names = ("http", "environ", "now", "learned", "timeout_s", "scrub")
        return {name: getattr(self, name) for name in names}
