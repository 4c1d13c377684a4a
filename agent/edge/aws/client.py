"""Gets ECR tokens from AWS. The first request loads the AWS SDK, in a thread. Importing this module does not."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from agent.model.credential import AwsIdentity, EcrToken
from agent.model.sensitive import Sensitive
from agent.settings import AwsSettings

if TYPE_CHECKING:
    from agent.edge.aws.sdk import AwsSdk


@dataclass(kw_only=True, eq=False)
class AwsClient:
    """Sends single requests to AWS, without caching tokens and without retries.

    Args:
        user: the user of the environment, for the session name of a role.
        environ: variables such as `AWS_*`, proxies and CA bundles (the SDK reads those of the process itself).
        now: the wall clock, to measure the difference to AWS's clock.
        learned: called with each secret that is sent to AWS, before it is used.
    """

    user: str
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    learned: Callable[[Sensitive], object] = bool
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _sdk: "AwsSdk | None" = field(default=None, init=False)

    async def fetch_token(self, identity: AwsIdentity, settings: AwsSettings) -> EcrToken:
        """Get a token for `identity`: find keys, assume the role if there is one, ask ECR. Each has `call_timeout_s`.

        Raises:
            ProblemError: AwsCredentialsMissing, AwsAccessDenied, AwsIdentityRejected, AwsIdentityUnavailable,
                AwsThrottled, AwsUnreachable, AwsError or ClockSkew. The subject is always "aws".
        """
        return await (await self._loaded()).fetch_token(identity, settings)

    async def identify(self, identity: AwsIdentity, settings: AwsSettings) -> tuple[str, str | None]:
        """Return which keys would be used and where they come from, and their ARN if STS returns it.

        Raises:
            ProblemError: as `fetch_token`.
        """
        return await (await self._loaded()).identify(identity, settings)

    async def _loaded(self) -> "AwsSdk":
        # The first request loads the SDK. Requests at the same time wait for it.
        async with self._loading:
            if self._sdk is None:
                self._sdk = await asyncio.to_thread(self._load)
        return self._sdk

    def _load(self) -> "AwsSdk":
        from agent.edge.aws.sdk import AwsSdk  # noqa: PLC0415 - loads botocore, which few environments need

        return AwsSdk(user=self.user, environ=self.environ, now=self.now, learned=self.learned)
