"""Faults of AWS, and of the network path to it, during a login to ECR."""

import base64
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Final

from aiohttp import web

from tests.codes.sources import PLAIN
from tests.codes.world import NATIVE, World
from tests.fakecloud.faults import CAPTIVE_PORTAL, Answer
from tests.fakecloud.faults import Fault as Acted
from tests.scenarios.clouds import Clouds, door_of
from tests.scenarios.fault import Cause, Caused, Fault

TOKEN_CALL: Final = "ecr:GetAuthorizationToken"
STS_CALL: Final = "sts:AssumeRole"
WEB_CALL: Final = "sts:AssumeRoleWithWebIdentity"
ROLE: Final = "arn:aws:iam::210987654321:role/pull"
AMZ_JSON: Final = "application/x-amz-json-1.1"


def _call_fails(action: str, fault: Acted | str) -> Cause:
    """A call with its own keys fails. Calls that need a role get one."""

    def cause(world: World) -> Caused:
        aws, keys = Clouds.of(world).with_keys()
        aws.fail(action, fault)
        door = door_of(world, aws, **keys, **({"role_arn": ROLE} if action == STS_CALL else {}))
        return Caused(door.hostname, aws.heal, (door.hostname,))

    return cause


def policy(world: World) -> Caused:
    """The message names the missing action and the ARN of the instance's role. The call is repeated after the wait."""
    aws = Clouds.of(world).instance
    aws.fail(TOKEN_CALL, "access_denied")
    door = door_of(world, aws)
    arn = "arn:aws:sts::123456789012:assumed-role/dev-environment"
    return Caused(door.hostname, aws.heal, (door.hostname,), arn)


def _role_denied(world: World) -> Caused:
    """AssumeRole by the base identity is refused. The message names the role."""
    aws, keys = Clouds.of(world).with_keys()
    aws.external_ids[ROLE] = "agreed"
    door = door_of(world, aws, **keys, role_arn=ROLE)
    return Caused(door.hostname, aws.external_ids.clear, (door.hostname,))


def _web_identity(fault: str) -> Cause:
    """Each refusal of AssumeRoleWithWebIdentity has the same code, including AccessDenied."""

    def cause(world: World) -> Caused:
        clouds = Clouds.of(world)
        aws = clouds.new()
        role = f"{ROLE}-{fault}"
        clouds.answers_for_role(role, aws)
        aws.fail(WEB_CALL, fault)
        aws.web_identities[_web_identity_token(world).read_text()] = "workspace"
        door = door_of(world, aws, role_arn=role)
        return Caused(door.hostname, aws.heal, (door.hostname,))

    return cause


def _web_identity_token(world: World) -> Path:
    """The token file in the agent's settings."""
    path = world.sources.directory / "web-identity"
    if not path.exists():
        world.sources.file(path.name)
        world.defaults["aws"] = {**world.defaults.get("aws", {}), "identity_token_file": str(path)}
    return path


def clock_off(minutes: int) -> Cause:
    """AWS refuses the time of the signature. The message shows how far the clock is off."""

    def cause(world: World) -> Caused:
        aws, keys = Clouds.of(world).with_keys()
        aws.clock_offset = timedelta(minutes=minutes)
        door = door_of(world, aws, **keys)
        return Caused(door.hostname, lambda: setattr(aws, "clock_offset", timedelta()), (door.hostname,))

    return cause


def _other_clock(world: World) -> Caused:
    """AWS still issues the token. The subject of the warning is AWS, not the registry."""
    off = [timedelta(minutes=17)]
    clouds = Clouds.of(world)
    aws, keys = clouds.with_keys(token_life_s=12)
    own = aws.handle

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        answer = await own(request)
        answer.headers["Date"] = format_datetime(datetime.now(UTC) + off[0], usegmt=True)
        return answer

    aws.handle = handle  # type: ignore[method-assign] # only the header is wrong: with a wrong clock, the cloud would refuse the request
    door = door_of(world, aws, **keys)
    return Caused("aws", lambda: off.__setitem__(0, timedelta()), (door.hostname,))


def _token(text: str) -> Answer:
    """A correct answer, except that its token is `text`."""
    data = {"authorizationToken": text, "expiresAt": time.time() + 3600}
    return Answer(200, json.dumps({"authorizationData": [data]}), AMZ_JSON)


_NONSENSE: Final[Mapping[str, Acted | str]] = {
    "server error": "server_error",
    "unavailable": "unavailable",
    "502 page": Answer(502, "<html>Bad gateway</html>", "text/html"),
    "captive portal": CAPTIVE_PORTAL,
    "511": Answer(511, "<html>log in first</html>", "text/html"),
    "redirect": Answer(307, headers={"Location": "http://localhost/"}),
    "cut off": Answer(200, '{"authorizationData": [{', AMZ_JSON),
    "empty": Answer(200, "{}", AMZ_JSON),
    "no data": Answer(200, '{"authorizationData": []}', AMZ_JSON),
    "a number": Answer(200, '{"authorizationData": 7}', AMZ_JSON),
    "no base64": _token("%%%"),
    "no colon": _token(base64.b64encode(b"nothing").decode()),
    "no expiry": Answer(200, '{"authorizationData": [{"authorizationToken": "QVdTOngK"}]}', AMZ_JSON),
    "invalid expiry": Answer(
        200, '{"authorizationData": [{"authorizationToken": "QVdTOngK", "expiresAt": "?"}]}', AMZ_JSON
    ),
}
# The faults of each call, and the expected code.
_CALLS: Final[Mapping[str, tuple[str, str, str]]] = {
    "AssumeRole is throttled": (STS_CALL, "throttled", "aws_throttled"),
    "AssumeRole is denied": (STS_CALL, "access_denied", "aws_access_denied"),
    "AssumeRole with an expired session": (STS_CALL, "expired_credentials", "aws_access_denied"),
    "AssumeRole with unknown keys": (STS_CALL, "unknown_key", "aws_access_denied"),
    "AssumeRole with a wrong secret key": (STS_CALL, "bad_signature", "aws_access_denied"),
    "AssumeRole with an expired signature": (STS_CALL, "signature_expired", "clock_skew"),
    "AssumeRole with a signature from the future": (STS_CALL, "signature_early", "clock_skew"),
    "STS fails": (STS_CALL, "server_error", "aws_error"),
    "STS is unavailable": (STS_CALL, "unavailable", "aws_error"),
    "STS resets the connection": (STS_CALL, "reset", "aws_unreachable"),
    "STS sends an invalid answer": (STS_CALL, "garbage", "aws_error"),
    "404 instead of STS": (STS_CALL, "not_found", "aws_error"),
    "GetAuthorizationToken with an expired session": (TOKEN_CALL, "expired_credentials", "aws_access_denied"),
    "GetAuthorizationToken without a signature": (TOKEN_CALL, "unsigned", "aws_error"),
    "GetAuthorizationToken signed for another region": (TOKEN_CALL, "wrong_scope", "aws_error"),
    "GetAuthorizationToken with an expired signature": (TOKEN_CALL, "signature_expired", "clock_skew"),
    "404 instead of ECR": (TOKEN_CALL, "not_found", "aws_error"),
}
_WEB: Final = ("access_denied", "invalid_web_token", "expired_web_token", "idp_communication", "idp_rejected_claim")

ALONE: Final = (
    # Alone, because any other answer of AWS would show the right time.
    Fault("AWS has another clock", "clock_skew", _other_clock, "17 min"),
)
SILENT_AWS: Final = (
    Fault("AWS does not answer", "aws_unreachable", _call_fails(TOKEN_CALL, "silent")),
    Fault("AWS error: STS does not answer", "aws_unreachable", _call_fails(STS_CALL, "silent")),
)
AWS: Final = (
    Fault("an IAM policy that denies the token", "aws_access_denied", policy, TOKEN_CALL, TOKEN_CALL),
    Fault("a role that the identity may not assume", "aws_access_denied", _role_denied, STS_CALL),
    *(
        Fault(f"a web identity that AWS rejects: {fault}", "aws_identity_rejected", _web_identity(fault))
        for fault in _WEB
    ),
    Fault("AWS throttles", "aws_throttled", _call_fails(TOKEN_CALL, "throttled")),
    Fault("AWS resets the connection", "aws_unreachable", _call_fails(TOKEN_CALL, "reset")),
    *(
        Fault(f"an invalid answer of AWS: {name}", "aws_error", _call_fails(TOKEN_CALL, nonsense))
        for name, nonsense in _NONSENSE.items()
    ),
    *(
        Fault(f"a clock that AWS rejects: 20 minutes {name}", "clock_skew", clock_off(minutes), "20 min")
        for minutes, name in ((-20, "ahead"), (20, "behind"))
    ),
    *(Fault(f"AWS error: {name}", code, _call_fails(action, fault)) for name, (action, fault, code) in _CALLS.items()),
)


def _other_keys(**wrong: str) -> Cause:
    """Keys in the secret are replaced there, and used at once."""

    def cause(world: World) -> Caused:
        clouds = Clouds.of(world)
        aws, keys = clouds.with_keys()
        given = {**keys, **(wrong or {"password": world.sources.secret("wrong key", PLAIN)})}
        clouds.answers_for_key(given["username"], aws)
        door = door_of(world, aws, **given)
        right = {**NATIVE, **keys}
        return Caused(door.hostname, lambda: world.agent.give(door.secret, door.hostname, **right), (door.hostname,))

    return cause


REJECTED_KEYS: Final = (
    Fault("AWS keys that do not work: unknown key", "aws_access_denied", _other_keys(username="AKIA" + "A" * 16)),
    Fault("AWS keys that do not work: wrong secret key", "aws_access_denied", _other_keys()),
)
