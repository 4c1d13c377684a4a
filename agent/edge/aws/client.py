"""Asks AWS for ECR tokens. Importing this loads nothing of the AWS SDK; the first question does, in a thread."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from agent.model.credential import AwsIdentity, EcrToken
from agent.model.sensitive import Sensitive
from agent.settings import AwsSettings

if TYPE_CHECKING:
    from agent.edge.aws.sdk import AwsSdk


class AwsClient:
    """One question, one answer: no cache of tokens, no retries.

    Args:
        user: the environment's user, for the session name of a role.
        environ: where `AWS_*`, proxies and CA bundles are named (the SDK itself reads the process's own).
        now: the wall clock, to tell how far AWS's is away.
        learned: told each secret by which AWS is asked, before it is used.
    """

    def __init__(
        self,
        *,
        user: str,
        environ: Mapping[str, str],
        now: Callable[[], datetime],
        learned: Callable[[Sensitive], object] = bool,
    ) -> None:
        self._user: Final = user
        self._environ: Final = environ
        self._now: Final = now
        self._learned: Final = learned
        self._loading: Final = asyncio.Lock()
        self._sdk: AwsSdk | None = None

    async def fetch_token(self, identity: AwsIdentity, settings: AwsSettings) -> EcrToken:
        """A token for `identity`, asked for as INTERFACE section 3 says. Each step has `call_timeout_s`.

        Raises:
            ProblemError: AwsCredentialsMissing, AwsAccessDenied, AwsIdentityRejected, AwsIdentityUnavailable,
                AwsThrottled, AwsUnreachable, AwsError or ClockSkew, about the subject "aws".
        """
        return await (await self._loaded()).fetch_token(identity, settings)

    async def identify(self, identity: AwsIdentity, settings: AwsSettings) -> tuple[str, str | None]:
        """Who would ask: the keys and where they are from in words, and the ARN where STS tells it.

        Raises:
            ProblemError: as `fetch_token`.
        """
        return await (await self._loaded()).identify(identity, settings)

    async def _loaded(self) -> "AwsSdk":
        async with self._loading:
            if self._sdk is None:
                self._sdk = await asyncio.to_thread(self._load)
        return self._sdk

    def _load(self) -> "AwsSdk":
        from agent.edge.aws.sdk import AwsSdk  # noqa: PLC0415 - loads botocore, which few environments need

        return AwsSdk(user=self._user, environ=self._environ, now=self._now, learned=self._learned)
