"""The AWS calls that lead to an ECR token: find the keys, assume the role, get the token."""

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession
from botocore import UNSIGNED, xform_name
from botocore.loaders import Loader

from agent.blocking import BlockingCalls, NoThreadError
from agent.edge.aws.credentials import CredentialChain
from agent.edge.aws.errors import AwsCall, problem_from
from agent.edge.aws.replies import parse_role_session, parse_token
from agent.edge.aws.session import open_session, primed_loader
from agent.edge.aws.sso_tokens import SsoTokens
from agent.edge.aws.web_identity import web_identity_token
from agent.edge.http import HttpClient
from agent.model.aws_errors import SUBJECT, WEB_IDENTITY_ACTION
from agent.model.aws_keys import KeyPlace, are_temporary
from agent.model.credential import AwsIdentity, AwsKeys, Token
from agent.model.problem import ProblemError
from agent.model.problems.aws import AwsCredentialsMissing, AwsError
from agent.model.registry import ECR_PUBLIC_REGION
from agent.model.sensitive import Sensitive
from agent.model.text import printable
from agent.settings import AwsSettings

_NAME_WAIT_S: Final = 2.0
"""How long a token waits for the ARN of its owner, which is useful to know but not required."""
_SESSION_NAME: Final = re.compile(r"[^\w+=,.@-]", re.ASCII)
_MAX_OWNERS: Final = 50
_MAX_SESSION_NAME: Final = 64
_FILES: Final = BlockingCalls("aws-files", limit=2)
_UNSIGNED: Final = AioConfig(signature_version=UNSIGNED)


@dataclass(frozen=True, slots=True)
class _Signer:
    """The keys to sign with, a description of their owner, and the owner's ARN if STS returned it.

    `key_place` is where the user writes them, if that is not the secret (`own_keys`).
    """

    keys: AwsKeys
    description: str
    arn: str | None = None
    own_keys: bool = False
    key_place: KeyPlace | None = None

    def call(self, action: str) -> AwsCall:
        """Return the call that these keys sign."""
        temporary = are_temporary(self.keys.access_key_id, self.keys.session_token)
        return AwsCall(action, self.arn or self.description, self.own_keys, self.key_place, temporary)


@dataclass(kw_only=True, eq=False)
class AwsSdk:
    """Sends single requests to AWS, without caching tokens and without retries. It never prompts.

    The constructor reads the SDK's models from disk. `user` is for the session name of a role. `environ` has `AWS_*`;
    the SDK reads proxies and CA bundles of the process itself. `now` measures the difference to AWS's clock.
    """

    user: str
    environ: Mapping[str, str]
    now: Callable[[], datetime]
    learned: Callable[[Sensitive], object] = bool
    scrub: Callable[[str], str] = str
    _loader: Loader = field(default_factory=primed_loader, init=False)
    _http: HttpClient = field(default_factory=HttpClient, init=False)
    _owners: dict[str, str] = field(default_factory=dict, init=False)
    """ARN by access key id."""
    _sso_tokens: SsoTokens = field(init=False)

    def __post_init__(self) -> None:
        self._sso_tokens = SsoTokens(self.learned)

    async def fetch_token(self, identity: AwsIdentity, settings: AwsSettings) -> Token:
        """Get a token for `identity`: find keys, assume the role if there is one, ask ECR. Each has `call_timeout_s`.

        Raises:
            ProblemError: AwsCredentialsMissing, AwsAccessDenied, AwsIdentityRejected, AwsIdentityUnavailable,
                AwsThrottled, AwsUnreachable, AwsError or ClockSkew. The subject is always "aws".
        """
        caller, signer = await self._prepare(identity, settings)
        if signer.arn is not None:
            return replace(await _ask_token(caller, identity, signer), identity=signer.arn)
        return await self._token_and_owner(caller, identity, signer)

    async def identify(self, identity: AwsIdentity, settings: AwsSettings) -> tuple[str, str | None]:
        """Return which keys would be used and where they come from, and their ARN if STS returns it."""
        caller, signer = await self._prepare(identity, settings)
        return signer.description, signer.arn or await _owner(caller, signer)

    async def _prepare(self, identity: AwsIdentity, settings: AwsSettings) -> tuple["_Caller", _Signer]:
        settings = replace(settings, profile=identity.profile or settings.profile)
        session = await self._open_session(identity, settings)
        caller = _Caller(session, settings.call_timeout_s, self.now, self.scrub)
        signer = await self._signer(caller, identity, settings)
        self._learn(signer.keys)
        return caller, signer

    async def _open_session(self, identity: AwsIdentity, settings: AwsSettings) -> AioSession:
        # A profile that cannot be read matters only if the chain will look for credentials.
        chain = identity.keys is None and not _uses_web_identity(identity, settings)

        def read(*, files: bool) -> AioSession:
            return open_session(self._loader, self._http, settings, identity.region, chain=chain, files=files)

        try:
            return await _FILES.call("~/.aws", lambda: read(files=True), timeout=settings.call_timeout_s)
        except TimeoutError:
            if not chain:  # nothing in ~/.aws is needed, so a file system that hangs must not prevent the login
                return await _FILES.call("no files", lambda: read(files=False), timeout=settings.call_timeout_s)
            message = f"~/.aws cannot be read: no end after {settings.call_timeout_s:g} s"
            hint = "check whether the file system of ~/.aws (NFS?) is down"
            raise ProblemError(AwsCredentialsMissing(SUBJECT, message, hint=hint)) from None
        except NoThreadError as error:
            raise ProblemError(AwsError(SUBJECT, f"~/.aws cannot be read: {error.strerror}")) from None

    async def _signer(self, caller: "_Caller", identity: AwsIdentity, settings: AwsSettings) -> _Signer:
        """Return the keys that will ask for the token, after assuming the role if there is one."""
        if identity.role_arn is not None and _uses_web_identity(identity, settings):
            token = await web_identity_token(settings, self.environ)
            assert token is not None  # noqa: S101 - the settings name a source, and a source gives one or raises
            self.learned(token)
            return await _assume_with_web_identity(caller, identity.role_arn, self._session_name(), token)
        base = await self._base(caller, identity, settings)
        if identity.role_arn is None:
            return base
        return await _assume(caller, base, identity.role_arn, self._session_name(), identity.external_id)

    async def _base(self, caller: "_Caller", identity: AwsIdentity, settings: AwsSettings) -> _Signer:
        if identity.keys is not None:
            self._learn(identity.keys)
            return _Signer(identity.keys, f"the secret's access key {_ending(identity.keys)}", own_keys=True)
        chain = CredentialChain(
            session=caller.session,
            http=self._http,
            environ=self.environ,
            timeout_s=settings.call_timeout_s,
            now=self.now,
            learned=self.learned,
            scrub=self.scrub,
            sso_tokens=self._sso_tokens,
        )
        found = await chain.find_keys()
        self._learn(found.keys)
        description = f"access key {_ending(found.keys)} from {found.source}"
        return _Signer(found.keys, description, key_place=found.key_place)

    def _session_name(self) -> str:
        return _SESSION_NAME.sub("-", f"registry-agent-{self.user}")[:_MAX_SESSION_NAME]

    def _learn(self, keys: AwsKeys) -> None:
        for secret in (keys.secret_access_key, keys.session_token):
            if secret is not None:
                self.learned(secret)

    async def _token_and_owner(self, caller: "_Caller", identity: AwsIdentity, signer: _Signer) -> Token:
        """Return the token, with the ARN of its owner if STS answers in time. Many networks allow only ECR."""
        key = signer.keys.access_key_id
        if key in self._owners:
            return replace(await _ask_token(caller, identity, signer), identity=self._owners[key])
        # At the same time: the name must not delay the login.
        naming = asyncio.create_task(_owner(caller, signer))
        try:
            token = await _ask_token(caller, identity, signer)
            done, _ = await asyncio.wait({naming}, timeout=_NAME_WAIT_S)
        finally:
            naming.cancel()
            await asyncio.gather(naming, return_exceptions=True)
        arn = naming.result() if done else None
        if arn is not None:  # else the next renewal asks again: STS may only have been slow
            remember_owner(self._owners, key, arn)
        return replace(token, identity=arn)


def remember_owner(owners: dict[str, str], key: str, arn: str) -> None:
    """Remember the owner of a key, and forget the oldest: each new session of a role has new keys."""
    owners[key] = arn
    while len(owners) > _MAX_OWNERS:
        del owners[next(iter(owners))]


@dataclass(frozen=True, slots=True)
class _Caller:
    """Sends one call at a time, each with its own client and deadline."""

    session: AioSession
    timeout_s: float
    now: Callable[[], datetime]
    scrub: Callable[[str], str]

    async def send(
        self, call: AwsCall, signer: _Signer | None, *, region: str | None = None, **parameters: Any
    ) -> Mapping[str, Any]:
        """Return the reply to `service:Operation`. Without a `signer`, the call is not signed.

        Raises a ProblemError instead of the SDK's exceptions, and at the deadline.
        """
        service, _, operation = call.action.partition(":")
        signing = _signing(signer.keys) if signer else {"config": _UNSIGNED}
        try:
            async with asyncio.timeout(self.timeout_s):
                client: Any = self.session.create_client(service, region_name=region, **signing)  # type: ignore[call-overload]
                async with client as api:
                    reply: Mapping[str, Any] = await getattr(api, xform_name(operation))(**parameters)
                    return reply
        except Exception as error:  # noqa: BLE001 - the SDK may raise anything when it parses a hostile reply
            # Not chained: the texts of the SDK may hold signed headers.
            raise ProblemError(problem_from(error, call, self.now(), self.timeout_s, self.scrub)) from None


async def _ask_token(caller: _Caller, identity: AwsIdentity, signer: _Signer) -> Token:
    # `registryIds` is deprecated and changes nothing: the token is valid for every account that the identity may use.
    service = "ecr-public" if identity.public else "ecr"
    region = ECR_PUBLIC_REGION if identity.public else identity.region
    call = signer.call(f"{service}:GetAuthorizationToken")
    return parse_token(await caller.send(call, signer, region=region))


async def _owner(caller: _Caller, signer: _Signer) -> str | None:
    """Return the ARN of the keys, or None if STS does not answer."""
    try:
        reply = await caller.send(signer.call("sts:GetCallerIdentity"), signer)
    except ProblemError:
        return None
    arn = reply.get("Arn")
    return printable(arn) if isinstance(arn, str) and arn else None


async def _assume(caller: _Caller, base: _Signer, role_arn: str, session_name: str, external_id: str | None) -> _Signer:
    parameters = {"RoleArn": role_arn, "RoleSessionName": session_name}
    if external_id is not None:
        parameters["ExternalId"] = external_id
    reply = await caller.send(base.call("sts:AssumeRole"), base, **parameters)
    return _role_session(reply, role_arn)


async def _assume_with_web_identity(caller: _Caller, role_arn: str, session_name: str, token: Sensitive) -> _Signer:
    call = AwsCall(WEB_IDENTITY_ACTION, f"the web identity token for {role_arn}")
    reply = await caller.send(
        call, None, RoleArn=role_arn, RoleSessionName=session_name, WebIdentityToken=token.reveal()
    )
    return _role_session(reply, role_arn)


def _role_session(reply: Mapping[str, Any], role_arn: str) -> _Signer:
    keys, arn = parse_role_session(reply, role_arn)
    return _Signer(keys, f"the session of {role_arn}", arn)


def _uses_web_identity(identity: AwsIdentity, settings: AwsSettings) -> bool:
    """Return whether a web identity token assumes the role. Keys or a profile in the secret exclude other sources."""
    has_source = settings.identity_token_file is not None or bool(settings.identity_token_command)
    own = identity.keys is not None or identity.profile is not None
    return not own and identity.role_arn is not None and has_source


def _signing(keys: AwsKeys) -> dict[str, str | None]:
    return {
        "aws_access_key_id": keys.access_key_id,
        "aws_secret_access_key": keys.secret_access_key.reveal(),
        "aws_session_token": keys.session_token.reveal() if keys.session_token else None,
    }


def _ending(keys: AwsKeys) -> str:
    return f"…{keys.access_key_id[-4:]}"
