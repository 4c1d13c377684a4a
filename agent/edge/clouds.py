"""The clients of AWS, Google and Azure. Each one is loaded, in a thread, for the first identity of its cloud."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

from agent.blocking import BlockingCalls
from agent.edge.http import HttpClient
from agent.edge.paths import user_name
from agent.model.credential import Token, TokenSource
from agent.model.registry import Registry
from agent.model.sensitive import Sensitive
from agent.settings import CloudSettings, Settings

_LOADING: Final = BlockingCalls("clouds", limit=3)


class CloudClient(Protocol):
    """Sends single requests to one cloud, without retries. Takes only identities and settings of this cloud.

    Both methods raise a `ProblemError` whose subject is the name of the cloud.
    """

    async def fetch_token(self, identity: Any, settings: Any) -> Token: ...
    async def identify(self, identity: Any, settings: Any) -> tuple[str, str | None]:
        """Return where the identity comes from, and its name in the cloud if that is known."""


@dataclass(kw_only=True, eq=False)
class Clouds:
    """Passes each request on to the client of its cloud.

    `learned` is called with each secret that is sent to a cloud, before it is used. `scrub` removes known secrets from
    what a cloud answers. `ca_files` returns the additional certificates to trust for a registry. For `metadata_start`,
    see Google's `MetadataServer`.
    """

    http: HttpClient
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    learned: Callable[[Sensitive], object]
    ca_files: Callable[[Registry], Awaitable[list[Path]]]
    scrub: Callable[[str], str] = str
    metadata_start: timedelta = timedelta(seconds=30)
    _clients: dict[tuple[str, float], CloudClient] = field(default_factory=dict, init=False)

    async def fetch_token(self, identity: TokenSource, settings: Settings) -> Token:
        """Get a token for `identity`. See `CloudClient`."""
        client, of_cloud = await self._client(identity, settings)
        return await client.fetch_token(identity, of_cloud)

    async def identify(self, identity: TokenSource, settings: Settings) -> tuple[str, str | None]:
        """See `CloudClient`."""
        client, of_cloud = await self._client(identity, settings)
        return await client.identify(identity, of_cloud)

    async def _client(self, identity: TokenSource, settings: Settings) -> tuple[CloudClient, CloudSettings]:
        cloud = identity.code_prefix
        # A client keeps its deadline, so a changed setting gets a new one. Only that of AWS takes it with each call.
        key = (cloud, 0.0 if cloud == "aws_" else settings.aws.call_timeout_s)
        if key not in self._clients:
            # It is the agent's own code, so there is no deadline.
            await _LOADING.call(cloud, lambda: self._load(*key), timeout=None)
        return self._clients[key], settings.of_cloud(cloud)

    def _load(self, cloud: str, timeout_s: float) -> None:
        # Requests at the same time wait for the first one, which loads the client.
        if (cloud, timeout_s) not in self._clients:
            loaders = {"aws_": self._aws, "google_": self._google, "azure_": self._azure}
            self._clients[cloud, timeout_s] = loaders[cloud](timeout_s)

    def _aws(self, _: float) -> CloudClient:
        from agent.edge.aws.sdk import AwsSdk  # noqa: PLC0415 - loads botocore, which few environments need

        return AwsSdk(user=user_name(), environ=self.environ, now=self.now, learned=self.learned, scrub=self.scrub)

    def _google(self, timeout_s: float) -> CloudClient:
        from agent.edge.google.client import GoogleClient  # noqa: PLC0415 - few environments need it

        return GoogleClient(**self._shared, timeout_s=timeout_s, metadata_start=self.metadata_start)

    def _azure(self, timeout_s: float) -> CloudClient:
        from agent.edge.azure.client import AzureClient  # noqa: PLC0415 - few environments need it

        return AzureClient(**self._shared, timeout_s=timeout_s, ca_files=self.ca_files)

    @property
    def _shared(self) -> dict[str, Any]:
        names = ("http", "environ", "now", "learned", "scrub")
        return {name: getattr(self, name) for name in names}
