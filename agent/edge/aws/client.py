"""Gets ECR tokens from AWS. The first request loads the AWS SDK, in a thread. Importing this module does not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from agent.blocking import BlockingCalls
from agent.model.credential import AwsIdentity, Token
from agent.model.sensitive import Sensitive
from agent.settings import AwsSettings

_LOADING: Final = BlockingCalls("aws-sdk")

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
        scrub: removes known secrets from what AWS answers.
    """

    user: str
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    learned: Callable[[Sensitive], object] = bool
    scrub: Callable[[str], str] = str
    _sdk: "AwsSdk | None" = field(default=None, init=False)

    async def fetch_token(self, identity: AwsIdentity, settings: AwsSettings) -> Token:
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
        # Requests at the same time wait for the first one, which loads the SDK. It is the agent's own code, so there is
        # no deadline.
        if self._sdk is None:
            return await _LOADING.call("sdk", self._load, timeout=None)
        return self._sdk

    def _load(self) -> "AwsSdk":
        if self._sdk is not None:
            return self._sdk
        from agent.edge.aws.sdk import AwsSdk  # noqa: PLC0415 - loads botocore, which few environments need

        sdk = self._sdk = AwsSdk(
            user=self.user, environ=self.environ, now=self.now, learned=self.learned, scrub=self.scrub
        )
        return sdk
