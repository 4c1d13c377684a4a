"""What AWS, and the way to it, can do to a login on ECR."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from agent.demo.aws import PretendAws
from agent.demo.faults import CAPTIVE_PORTAL, Answer, Fault
from agent.demo.registries import EcrAuth, PretendRegistry
from agent.demo.tls import server_context
from tests.codes.causes import causes
from tests.codes.programs import script
from tests.codes.sources import PLAIN
from tests.codes.world import NATIVE, REGION, Door, World

TOKEN_CALL: Final = "ecr:GetAuthorizationToken"
WEB_CALL: Final = "sts:AssumeRoleWithWebIdentity"
ROLE: Final = "arn:aws:iam::210987654321:role/pull"
AMZ_JSON: Final = "application/x-amz-json-1.1"


def mend(world: World, aws: PretendAws, door: Door, code: str) -> None:
    aws.heal()
    world.agent.wait_logged_in(door.hostname)
    world.cleared(code, door.hostname)


@causes("aws_credentials_missing")
@pytest.mark.parametrize("fault", ["imds:credentials", "imds:token"])
def test_no_instance_role(world: World, fault: str) -> None:
    """The places that were tried are named, and the hop limit is hinted at."""
    aws = world.aws()
    aws.fail(fault, "not_found" if fault == "imds:credentials" else "silent")
    door = world.ecr(aws)
    world.start({"aws": {"call_timeout_s": 1}})
    warning = world.raised("aws_credentials_missing", door.hostname, says="metadata")
    assert "hop limit" in warning["hint"]
    mend(world, aws, door, "aws_credentials_missing")


@causes("aws_access_denied")
def test_a_policy_that_does_not_allow_it(world: World) -> None:
    """The missing action and the ARN are named; it is asked again after `retry.rejected_wait_s`."""
    aws = world.aws()
    aws.fail(TOKEN_CALL, "access_denied")
    door = world.ecr(aws)
    world.start()
    warning = world.raised("aws_access_denied", door.hostname, says=TOKEN_CALL)
    assert "arn:aws:sts::123456789012:assumed-role/dev-environment" in warning["message"]
    mend(world, aws, door, "aws_access_denied")


@causes("aws_access_denied")
@pytest.mark.parametrize("fault", ["unknown_key", "bad_signature"])
def test_keys_that_aws_does_not_take(world: World, fault: str) -> None:
    """Keys in the secret are replaced there, and used at once."""
    aws = world.aws()
    user = aws.add_user("ci")
    keys = {"username": user.access_key_id, "password": user.secret_access_key}
    wrong_key = world.sources.secret("wrong key", PLAIN)
    wrong = {"unknown_key": {"username": "AKIA" + "A" * 16}, "bad_signature": {"password": wrong_key}}[fault]
    door = world.ecr(aws, **{**keys, **wrong})
    world.start({"retry": {"rejected_wait_s": 600}})
    world.raised("aws_access_denied", door.hostname)
    world.agent.give("team-ecr", door.hostname, **{**NATIVE, **keys})
    mend(world, aws, door, "aws_access_denied")


@causes("aws_access_denied")
def test_a_role_that_may_not_be_assumed(world: World) -> None:
    """AssumeRole by the base identity is refused: named with the role."""
    aws = world.aws()
    aws.external_ids[ROLE] = "agreed"
    door = world.ecr(aws, role_arn=ROLE)
    world.start()
    world.raised("aws_access_denied", door.hostname, says="sts:AssumeRole")
    aws.external_ids.clear()
    mend(world, aws, door, "aws_access_denied")


@causes("aws_identity_rejected")
@pytest.mark.parametrize(
    "fault", ["access_denied", "invalid_web_token", "expired_web_token", "idp_communication", "idp_rejected_claim"]
)
def test_a_web_identity_that_aws_refuses(world: World, fault: str) -> None:
    """Every refusal of AssumeRoleWithWebIdentity is this one, AccessDenied included."""
    aws = world.aws()
    aws.fail(WEB_CALL, fault)
    token = world.sources.file("token")
    aws.web_identities[token.read_text()] = "workspace"
    door = world.ecr(aws, role_arn=ROLE)
    world.start({"aws": {"identity_token_file": str(token)}})
    world.raised("aws_identity_rejected", door.hostname)
    mend(world, aws, door, "aws_identity_rejected")


def _missing(_path: Path) -> None: ...


def _empty(path: Path) -> None:
    path.write_text("\n")


def _unreadable(path: Path) -> None:
    path.touch(mode=0)


def _a_directory(path: Path) -> None:
    path.mkdir()


@causes("aws_identity_unavailable")
@pytest.mark.parametrize("spoil", [_missing, _empty, _unreadable, _a_directory])
def test_a_token_file_that_gives_none(world: World, spoil: Callable[[Path], None]) -> None:
    """The file is named; the token that comes later is used."""
    aws = world.aws()
    token = world.sources.secret("web identity", PLAIN)
    aws.web_identities[token] = "workspace"
    path = world.sources.directory / "token"
    spoil(path)
    door = world.ecr(aws, role_arn=ROLE)
    world.start({"aws": {"identity_token_file": str(path)}})
    world.raised("aws_identity_unavailable", door.hostname, says=str(path))
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    path.write_text(f"{token}\n")
    mend(world, aws, door, "aws_identity_unavailable")


@causes("aws_identity_unavailable")
@pytest.mark.parametrize(
    ("does", "says"),
    [("exit 3", "status 3"), ("kill -9 $$", "signal 9"), ("true", "empty"), ("sleep 60", "1 s"), (None, "no such")],
    ids=["fails", "killed", "silent", "hangs", "missing"],
)
def test_a_token_command_that_gives_none(world: World, does: str | None, says: str) -> None:
    """The command and what it did are named."""
    aws = world.aws()
    token = world.sources.secret("web identity", PLAIN)
    aws.web_identities[token] = "workspace"
    command = world.sources.directory / "idp-token"
    if does is not None:
        script(command, does)
    door = world.ecr(aws, role_arn=ROLE)
    world.start({"aws": {"identity_token_command": [str(command)], "call_timeout_s": 1}})
    world.raised("aws_identity_unavailable", door.hostname, says=says)
    script(command, f"echo '{token}'")
    mend(world, aws, door, "aws_identity_unavailable")


@causes("aws_throttled")
def test_throttled(world: World) -> None:
    """A ThrottlingException, which comes with status 400."""
    aws = world.aws()
    aws.fail(TOKEN_CALL, "throttled")
    door = world.ecr(aws)
    world.start()
    world.raised("aws_throttled", door.hostname)
    mend(world, aws, door, "aws_throttled")


@causes("aws_unreachable")
@pytest.mark.parametrize("fault", ["silent", "reset"])
def test_no_answer(world: World, fault: str) -> None:
    """Silence costs `aws.call_timeout_s`; a connection that is cut costs nothing."""
    aws = world.aws()
    aws.fail(TOKEN_CALL, fault)
    door = world.ecr(aws)
    world.start({"aws": {"call_timeout_s": 1}})
    world.raised("aws_unreachable", door.hostname)
    mend(world, aws, door, "aws_unreachable")


@causes("aws_unreachable")
def test_nobody_listens(world: World) -> None:
    """The route to AWS is shut, and opens again."""
    aws = PretendAws(region=REGION)
    listener = world.serve(aws.handle)
    world.point_to_aws(aws, listener)
    user = aws.add_user("ci")
    door = world.ecr(aws, username=user.access_key_id, password=user.secret_access_key)
    world.down(listener)
    world.start()
    world.raised("aws_unreachable", door.hostname)
    world.up(listener)
    mend(world, aws, door, "aws_unreachable")


def _token(text: str) -> Answer:
    """An answer whose token is `text`, and else as it should be."""
    data = {"authorizationToken": text, "expiresAt": time.time() + 60}
    return Answer(200, json.dumps({"authorizationData": [data]}), AMZ_JSON)


NONSENSE: Final[Mapping[str, Fault | str]] = {
    "server-error": "server_error",
    "unavailable": "unavailable",
    "502-page": Answer(502, "<html>Bad gateway</html>", "text/html"),
    "portal": CAPTIVE_PORTAL,
    "redirect": Answer(307, headers={"Location": "http://localhost/"}),
    "unfinished": Answer(200, '{"authorizationData": [{', AMZ_JSON),
    "nothing": Answer(200, "{}", AMZ_JSON),
    "no-data": Answer(200, '{"authorizationData": []}', AMZ_JSON),
    "a-number": Answer(200, '{"authorizationData": 7}', AMZ_JSON),
    "no-base64": _token("%%%"),
    "no-colon": _token(base64.b64encode(b"nothing").decode()),
    "no-end": Answer(200, '{"authorizationData": [{"authorizationToken": "QVdTOngK"}]}', AMZ_JSON),
    "odd-end": Answer(200, '{"authorizationData": [{"authorizationToken": "QVdTOngK", "expiresAt": "?"}]}', AMZ_JSON),
}


@causes("aws_error")
@pytest.mark.parametrize("name", NONSENSE)
def test_not_what_aws_says(world: World, name: str) -> None:
    """Whatever comes back in the place of a token is told, and asked for again."""
    aws = world.aws()
    aws.fail(TOKEN_CALL, NONSENSE[name])
    door = world.ecr(aws)
    world.start()
    world.raised("aws_error", door.hostname)
    mend(world, aws, door, "aws_error")


@causes("clock_skew")
@pytest.mark.parametrize("minutes", [-20, 20])
def test_a_clock_by_which_aws_refuses(world: World, minutes: int) -> None:
    """AWS refuses the signature's time; by how much the clock is off is told."""
    aws = world.aws()
    aws.clock_offset = timedelta(minutes=minutes)
    user = aws.add_user("ci")
    door = world.ecr(aws, username=user.access_key_id, password=user.secret_access_key)
    world.start()
    world.raised("clock_skew", door.hostname, says="20 min")
    aws.clock_offset = timedelta()
    mend(world, aws, door, "clock_skew")


@causes("clock_skew")
def test_a_registry_whose_clock_is_off(world: World) -> None:
    """The login works; the warning goes with the next one that sees the right time."""
    off = timedelta(minutes=17)
    aws = world.aws(token_life_s=4)
    registry = PretendRegistry(EcrAuth(aws, REGION))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        answer = await registry.handle(request)
        answer.headers["Date"] = format_datetime(datetime.now(UTC) + off, usegmt=True)
        return answer

    listener = world.serve(handle, tls=server_context())
    world.agent.give("team-ecr", listener.address, **NATIVE)
    world.start()
    world.raised("clock_skew", listener.address, says="17 min")
    world.agent.wait_logged_in(listener.address)
    off = timedelta()
    world.cleared("clock_skew", listener.address)


@causes("clock_skew")
def test_aws_answers_by_another_clock(world: World) -> None:
    """The same where AWS gives the token all the same."""
    off = timedelta(minutes=17)
    aws = PretendAws(region=REGION, token_life_s=4)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        answer = await aws.handle(request)
        answer.headers["Date"] = format_datetime(datetime.now(UTC) + off, usegmt=True)
        return answer

    world.point_to_aws(aws, world.serve(handle))
    user = aws.add_user("ci")
    door = world.ecr(aws, username=user.access_key_id, password=user.secret_access_key)
    world.start()
    world.raised("clock_skew", "aws", says="17 min")
    world.agent.wait_logged_in(door.hostname)
    off = timedelta()
    world.cleared("clock_skew", "aws")


STS_CALL: Final = "sts:AssumeRole"
# What each call can fail with, and the code that tells of it.
SAID: Final[Mapping[str, tuple[str, str, str]]] = {
    "AssumeRole is throttled": (STS_CALL, "throttled", "aws_throttled"),
    "AssumeRole is denied": (STS_CALL, "access_denied", "aws_access_denied"),
    "AssumeRole by a session that ended": (STS_CALL, "expired_credentials", "aws_access_denied"),
    "AssumeRole by keys that AWS does not know": (STS_CALL, "unknown_key", "aws_access_denied"),
    "AssumeRole by a wrong secret key": (STS_CALL, "bad_signature", "aws_access_denied"),
    "AssumeRole at a wrong time": (STS_CALL, "signature_expired", "clock_skew"),
    "AssumeRole too early": (STS_CALL, "signature_early", "clock_skew"),
    "STS breaks down": (STS_CALL, "server_error", "aws_error"),
    "STS is not available": (STS_CALL, "unavailable", "aws_error"),
    "STS is silent": (STS_CALL, "silent", "aws_unreachable"),
    "STS cuts the connection": (STS_CALL, "reset", "aws_unreachable"),
    "STS talks nonsense": (STS_CALL, "garbage", "aws_error"),
    "a 404 in the place of STS": (STS_CALL, "not_found", "aws_error"),
    "the metadata service is silent": ("imds:credentials", "silent", "aws_credentials_missing"),
    "the metadata service cuts the connection": ("imds:token", "reset", "aws_credentials_missing"),
    "the metadata service talks nonsense": ("imds:credentials", "garbage", "aws_credentials_missing"),
    "GetAuthorizationToken by a session that ended": (TOKEN_CALL, "expired_credentials", "aws_access_denied"),
    "GetAuthorizationToken unsigned": (TOKEN_CALL, "unsigned", "aws_error"),
    "GetAuthorizationToken signed for elsewhere": (TOKEN_CALL, "wrong_scope", "aws_error"),
    "GetAuthorizationToken at a wrong time": (TOKEN_CALL, "signature_expired", "clock_skew"),
    "a 404 in the place of ECR": (TOKEN_CALL, "not_found", "aws_error"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_aws_says(world: World, name: str) -> None:
    """Each call's refusals are told by their own code, and the login comes when the fault has gone."""
    action, fault, code = SAID[name]
    aws = world.aws()
    aws.fail(action, fault)
    door = world.ecr(aws, **({"role_arn": ROLE} if action == STS_CALL else {}))
    world.start({"aws": {"call_timeout_s": 1}})
    world.raised(code, door.hostname)
    mend(world, aws, door, code)
