"""Asks AWS for ECR tokens. Importing this loads nothing of the AWS SDK; the first question does, in a thread."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

from agent.model.credential import AwsIdentity, EcrToken
from agent.settings import AwsSettings

if TYPE_CHECKING:
    from agent.edge.aws_sdk import AwsSdk


class Aws:
    """One question, one answer: no cache of tokens, no retries.

    Args:
        user: the environment's user, for the session name of a role.
        environ: where `AWS_*`, proxies and CA bundles are named (the SDK itself reads the process's own).
        now: the wall clock, to tell how far AWS's is away.
    """

    def __init__(self, *, user: str, environ: Mapping[str, str], now: Callable[[], datetime]) -> None:
        self._user: Final = user
        self._environ: Final = environ
        self._now: Final = now
        self._loading: Final = asyncio.Lock()
        self._sdk: AwsSdk | None = None

    async def fetch_token(self, identity: AwsIdentity, settings: AwsSettings) -> EcrToken:
        """A token for `identity`, asked for as INTERFACE section 3 says. Each step has `call_timeout_s`.

        Raises:
            Problem: AwsCredentialsMissing, AwsAccessDenied, AwsIdentityRejected, AwsIdentityUnavailable,
                AwsThrottled, AwsUnreachable, AwsError or ClockSkew, about the subject "aws".
        """
        async with self._loading:
            if self._sdk is None:
                self._sdk = await asyncio.to_thread(self._load)
        return await self._sdk.fetch_token(identity, settings)

    def _load(self) -> "AwsSdk":
        from agent.edge.aws_sdk import AwsSdk  # noqa: PLC0415 - loads botocore, which few environments need

        return AwsSdk(user=self._user, environ=self._environ, now=self._now)
