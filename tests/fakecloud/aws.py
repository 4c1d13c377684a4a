"""A simulated AWS on one port: ECR, ECR Public, STS and the instance metadata service.

The answers follow botocore's service models (ecr 2015-09-21, ecr-public 2020-10-30, sts 2011-06-15). Signatures are
verified. Point `AWS_ENDPOINT_URL_ECR`, `AWS_ENDPOINT_URL_ECR_PUBLIC`, `AWS_ENDPOINT_URL_STS` and
`AWS_EC2_METADATA_SERVICE_ENDPOINT` at it:

    aws = PretendAws(token_life_s=60)
    async with Listener(aws.handle) as listener:
        listener.url
"""

import base64
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Final

from aiohttp import web

from tests.fakecloud import sts
from tests.fakecloud.aws_faults import AWS_FAULTS, AwsFault, Refused, refusal, render
from tests.fakecloud.aws_requests import ApiRequest, Caller, authenticate, read, times
from tests.fakecloud.faults import Fault, act_out
from tests.fakecloud.metadata import INSTANCE_ID, PATH, MetadataService
from tests.fakecloud.principals import Principal, Principals
from tests.fakecloud.tokens import ECR_USER, Tokens, Verdict

PUBLIC: Final = "public"
"""Stands for the region in ECR Public's tokens."""

_ANONYMOUS: Final = "anonymous"
_WEB_IDENTITY: Final = "sts:AssumeRoleWithWebIdentity"
_RENEW_BEFORE: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was received: the action (`ecr:GetAuthorizationToken`), the caller's ARN and the signed region.

    `refused` is None if the call was granted. Otherwise it is AWS's error code, or "fault" for an artificial fault.
    """

    action: str
    principal: str
    region: str | None
    at: datetime
    refused: str | None = None


class PretendAws:
    """One account in the simulated cloud. Attributes that are not Final can be changed while it serves.

    Attributes:
        token_life_s: the life of ECR tokens issued from now on. With a negative value they are expired at once.
        session_life_s: the life of role sessions.
        clock_offset: how far this cloud's clock is ahead of the real one. Over 5 min, every signature is refused.
        external_ids: the external id that is required to assume a role, by the role's ARN.
        web_identities: the subject of each web identity token that is accepted.
        principals: all identities that have keys.
        metadata: the instance metadata service.
        tokens: all ECR tokens issued. `tokens.end_all()` expires them early.
        calls: all API and metadata calls, in order.
    """

    def __init__(
        self,
        *,
        account: str = "123456789012",
        region: str = "eu-west-1",
        role: str = "dev-environment",
        token_life_s: float = 60,
        session_life_s: float = 3600,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.account: Final = account
        self.token_life_s = token_life_s
        self.session_life_s = session_life_s
        self.clock_offset = timedelta()
        self.external_ids: Final[dict[str, str]] = {}
        self.web_identities: Final[dict[str, str]] = {}
        self.principals: Final = Principals()
        self.tokens: Final = Tokens(self.now)
        self.calls: Final[list[Call]] = []
        self._clock: Final = clock
        self._role_arn: Final = f"arn:aws:iam::{account}:role/{role}"
        self._faults: Final[dict[str, AwsFault | Fault]] = {}
        self._session: Principal | None = None
        self.metadata: Final = MetadataService(role=role, region=region, session=self.instance_session, now=self.now)

    def now(self) -> datetime:
        return self._clock() + self.clock_offset

    def add_user(self, name: str) -> Principal:
        """Create a user with long-lived keys, for use in a secret."""
        return self.principals.user(self.account, name)

    def fail(self, action: str, fault: str | Fault) -> None:
        """Make `action` (`ecr:GetAuthorizationToken`, `sts:AssumeRole`, `imds:token`, …) fail until `heal`.

        `fault` is a name in `AWS_FAULTS`, or any `Fault`.
        """
        self._faults[action] = AWS_FAULTS[fault] if isinstance(fault, str) else fault

    def heal(self, action: str | None = None) -> None:
        """Make `action` work again, or every action if it is None."""
        for name in [action] if action is not None else list(self._faults):
            self._faults.pop(name, None)

    def valid(self, username: str, password: str, region: str | None = None) -> Verdict:
        """Return how a registry in `region` rates this login now. With None, the region is not checked."""
        return self.tokens.verdict(username, password, region)

    def count(self, action: str, principal: str | None = None) -> int:
        """Return how often `action` was called (by the ARN `principal`), including refused calls."""
        return sum(call.action == action and principal in (None, call.principal) for call in self.calls)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request to any of the services."""
        metadata = request.path.startswith(PATH)
        answer = await (self._metadata_call(request) if metadata else self._api_call(request))
        answer.headers["Date"] = format_datetime(self.now(), usegmt=True)
        return answer

    async def _metadata_call(self, request: web.BaseRequest) -> web.StreamResponse:
        action = self.metadata.action(request)
        fault = self._faults.get(action)
        if fault is not None and not isinstance(fault, AwsFault):
            self._record(action, None, "fault")
            return await act_out(fault, request)
        self._record(action, None)
        return self.metadata.answer(request)

    async def _api_call(self, request: web.BaseRequest) -> web.StreamResponse:
        call = await read(request)
        fault = self._faults.get(call.action)
        if fault is not None and not isinstance(fault, AwsFault):
            self._record(call.action, None, "fault")
            return await act_out(fault, request)
        request_id = str(uuid.uuid4())
        status, body = self._process(call, fault, request_id)
        return web.Response(
            status=status,
            text=body,
            content_type=call.protocol.value,
            headers={"x-amzn-RequestId": request_id},
        )

    def _process(self, call: ApiRequest, fault: AwsFault | None, request_id: str) -> tuple[int, str]:
        """Authenticate the call, refuse or execute it, and record it. Returns the status and body of the answer."""
        caller: Caller | None = None
        try:
            if call.action != _WEB_IDENTITY:
                caller = authenticate(call, self.principals, self.now())
            self._raise_fault(fault, call, caller)
            body = self._execute(call, caller, request_id)
        except Refused as refused:
            self._record(call.action, caller, refused.fault.code)
            return render(refused, call.protocol, request_id)
        self._record(call.action, caller)
        return 200, body

    def _raise_fault(self, fault: AwsFault | None, call: ApiRequest, caller: Caller | None) -> None:
        if fault is None:
            return
        now = self.now()
        raise Refused(
            fault,
            arn=caller.principal.arn if caller else _ANONYMOUS,
            action=call.action,
            resource=call.fields.get("RoleArn", "*"),
            service=call.service,
            **times(now, now),
        )

    def _execute(self, call: ApiRequest, caller: Caller | None, request_id: str) -> str:
        if caller is None:
            return sts.answer(call.operation, self._assume_with_web_identity(call.fields), request_id)
        if call.action == "ecr:GetAuthorizationToken":
            return json.dumps({"authorizationData": [self._new_token(caller.principal, caller.region)]})
        if call.action == "ecr-public:GetAuthorizationToken":
            return json.dumps({"authorizationData": self._new_token(caller.principal, PUBLIC)})
        if call.action == "sts:GetCallerIdentity":
            return sts.answer(call.operation, sts.caller(caller.principal), request_id)
        if call.action == "sts:AssumeRole":
            return sts.answer(call.operation, self._assume(caller.principal, call.fields), request_id)
        raise refusal("unknown_action")

    def _new_token(self, principal: Principal, region: str) -> dict[str, object]:
        expires_at = self.now() + timedelta(seconds=self.token_life_s)
        token = self.tokens.issue(principal.arn, region, expires_at)
        data: dict[str, object] = {
            "authorizationToken": base64.b64encode(f"{ECR_USER}:{token.password}".encode()).decode(),
            "expiresAt": round(expires_at.timestamp(), 3),
        }
        if region != PUBLIC:
            data["proxyEndpoint"] = f"https://{principal.account}.dkr.ecr.{region}.amazonaws.com"
        return data

    def _assume(self, principal: Principal, fields: Mapping[str, str]) -> sts.Result:
        role_arn = fields.get("RoleArn", "")
        if self.external_ids.get(role_arn) not in (None, fields.get("ExternalId")):
            raise refusal("access_denied", arn=principal.arn, action="sts:AssumeRole", resource=role_arn)
        return sts.assumed(self._open_session(fields))

    def _assume_with_web_identity(self, fields: Mapping[str, str]) -> sts.Result:
        subject = self.web_identities.get(fields.get("WebIdentityToken", ""))
        if subject is None:
            raise refusal("invalid_web_token")
        return {**sts.assumed(self._open_session(fields)), "SubjectFromWebIdentityToken": subject}

    def _open_session(self, fields: Mapping[str, str]) -> Principal:
        life_s = min(self.session_life_s, float(fields.get("DurationSeconds", self.session_life_s)))
        expires_at = self.now() + timedelta(seconds=life_s)
        return self.principals.session(fields["RoleArn"], fields["RoleSessionName"], expires_at)

    def instance_session(self) -> Principal:
        """Return the keys of the instance role. As on a real instance, they are renewed shortly before they expire."""
        session = self._session
        if session is None or session.expires_at is None or session.expires_at - self.now() < _RENEW_BEFORE:
            expires_at = self.now() + timedelta(seconds=self.session_life_s)
            session = self._session = self.principals.session(self._role_arn, INSTANCE_ID, expires_at)
        return session

    def _record(self, action: str, caller: Caller | None, refused: str | None = None) -> None:
        arn, region = (caller.principal.arn, caller.region) if caller else (_ANONYMOUS, None)
        self.calls.append(Call(action, arn, region, self.now(), refused))
