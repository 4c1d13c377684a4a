"""`doctor IMAGE` tries the pull as docker does: with the login that Docker holds, or without any."""

import base64
import json
from datetime import UTC, datetime
from typing import Final

import pytest
from aiohttp import web

from agent.demo.registries import Auth, BasicAuth, TokenAuth, errors
from agent.demo.tls import server_context
from tests.codes.world import LOGIN, PASSWORD, REGION, USER, USERS, World
from tests.doctor.machine import Doctor, Told
from tests.fakecloud.registries import EcrAuth, PretendRegistry

IMAGE: Final = "org/app:1.0"
AWS_DENIAL: Final = "User: arn:aws:sts::1:assumed-role/dev/i is not authorized to perform: ecr:BatchGetImage on it"


class PublicTokens(TokenAuth):
    """As Docker Hub: everybody gets a token, also without a password."""

    async def token(self, request: web.BaseRequest) -> web.Response:
        if "Authorization" in request.headers:
            return await super().token(request)
        request = request.clone(headers={"Authorization": _basic(USER, PASSWORD)})
        return await super().token(request)


class Images(PretendRegistry):
    """Has `IMAGE`. With `denial`, it accepts the login but answers each pull with 403."""

    denial = ""

    async def content(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/v2/org/app/manifests/1.0":
            return await super().content(request)
        if self.denial:
            return errors(403, "DENIED", self.denial)
        return web.Response(headers={"Docker-Content-Digest": "sha256:" + "a" * 64})


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def serve(world: World, auth: Auth | None) -> tuple[Images, str]:
    registry = Images(auth)
    return registry, world.serve(registry.handle, tls=server_context()).address


def without_secrets(world: World, doctor: Doctor, host: str) -> Told:
    """The doctor as in the README: only the agent got `--set secrets.directories=…`."""
    return doctor(f"{host}/{IMAGE}", "--set", f'secrets.directories=["{world.home}/none"]')


def log_in_by_hand(world: World, host: str) -> None:
    login = ("docker", "login", "--username", USER, "--password-stdin", host)
    done = world.here.run(*login, env=world.agent.env, stdin=PASSWORD)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("source", ["directory", "variable"])
@pytest.mark.parametrize("auth", [BasicAuth, TokenAuth])
def test_a_login_from_a_secret_that_only_the_agent_has_is_well(
    world: World, doctor: Doctor, auth: type[BasicAuth] | type[TokenAuth], source: str
) -> None:
    """The agent has it from `--set` or from a variable of its service. The doctor pulls with Docker's login."""
    _, host = serve(world, auth(USERS))
    given = {"name": "images", "hostname": host, "scope": "project", **LOGIN}
    if source == "directory":
        world.agent.give("images", host, **LOGIN)
    agent = world.start({}, **({"REGISTRY_AGENT_SECRETS": json.dumps([given])} if source == "variable" else {}))
    agent.wait_logged_in(host)
    agent.env.pop("REGISTRY_AGENT_SECRETS", None)
    report = without_secrets(world, doctor, host)
    assert f"with docker's login (user {USER} from config.json)" in report.link("pull", host)["seen"]
    assert (report.code, report.first) == (0, None), report.document


@pytest.mark.parametrize("auth", [BasicAuth, TokenAuth])
def test_a_login_made_by_hand_is_well(world: World, doctor: Doctor, auth: type[BasicAuth] | type[TokenAuth]) -> None:
    """No agent runs, and there is no secret. None is needed."""
    _, host = serve(world, auth(USERS))
    world.prepare()
    log_in_by_hand(world, host)
    report = without_secrets(world, doctor, host)
    assert report.link("pull", host)["outcome"] == "ok"
    assert report.link("secret", host)["outcome"] == "skipped"
    assert (report.code, report.first) == (0, None), report.document


@pytest.mark.parametrize("auth", [None, PublicTokens(USERS)], ids=["no login", "a token for everybody"])
def test_a_public_image_is_well_without_a_login(world: World, doctor: Doctor, auth: Auth | None) -> None:
    """Neither the missing secret nor the missing login is a fault."""
    _, host = serve(world, auth)
    world.prepare()
    report = without_secrets(world, doctor, host)
    assert "can be pulled without a login" in report.link("pull", host)["seen"]
    assert (report.code, report.first) == (0, None), report.document


def test_a_private_image_without_a_login_needs_one(world: World, doctor: Doctor) -> None:
    """The fix is a login, and no IAM policy."""
    _, host = serve(world, EcrAuth(world.aws().valid, REGION))
    world.prepare()
    report = without_secrets(world, doctor, host)
    assert report.first == (host, "pull")
    assert f"docker login {host}" in report.document["first"]["fix"]
    assert "ecr:" not in report.document["first"]["fix"]


@pytest.mark.parametrize("ecr", [True, False])
def test_a_login_that_the_registry_refuses_needs_no_policy(world: World, doctor: Doctor, *, ecr: bool) -> None:
    """Docker holds a token or password that does not work any more. It is sent once, and the fix is a new one."""
    auth: Auth = EcrAuth(world.aws().valid, REGION) if ecr else BasicAuth(USERS)
    registry, host = serve(world, auth)
    world.prepare()
    user = "AWS" if ecr else USER
    old = base64.b64encode(f"{user}:no-longer-valid".encode()).decode()
    (world.agent.docker / "config.json").write_text(json.dumps({"auths": {host: {"auth": old}}}))
    report = without_secrets(world, doctor, host)
    link = report.link("in use", host)
    assert (link["code"], report.first) == ("login_rejected", (host, "in use"))
    assert report.link("pull", host)["outcome"] == "not reached"
    assert f"registry-agent renew {host}" in link["fix"]
    assert "ecr:" not in link["fix"]
    assert registry.wrong == {user: 1}


def test_a_missing_permission_names_the_identity_that_aws_names(world: World, doctor: Doctor) -> None:
    """The agent's identity is not that of this shell. AWS names it in its answer."""
    registry, host = serve(world, BasicAuth(USERS))
    registry.denial = AWS_DENIAL
    world.prepare()
    log_in_by_hand(world, host)
    link = without_secrets(world, doctor, host).link("pull", host)
    assert link["code"] == "login_forbidden"
    assert link["fix"].startswith(
        "allow ecr:BatchGetImage on repository org/app for arn:aws:sts::1:assumed-role/dev/i;"
    )


def test_an_aws_identity_that_only_the_agent_has_is_well(world: World, doctor: Doctor) -> None:
    """The doctor's shell has no AWS keys, but the agent has a token and Docker its login."""
    aws = world.aws(token_life_s=43200)
    _, host = serve(world, EcrAuth(aws.valid, REGION))
    world.agent.give("images", host, username="runner-native", kind="ecr", region=REGION)
    agent = world.start()
    agent.wait_logged_in(host)
    agent.env.pop("AWS_EC2_METADATA_SERVICE_ENDPOINT")
    agent.env["AWS_EC2_METADATA_DISABLED"] = "true"
    report = doctor(f"{host}/{IMAGE}")
    assert report.link("aws identity", host)["outcome"] == "skipped"
    assert report.link("pull", host)["outcome"] == "ok"
    assert (report.code, report.first) == (0, None), report.document


@pytest.mark.parametrize("year", [2015, 2020])
def test_an_expired_token_that_docker_holds_is_not_well(world: World, doctor: Doctor, year: int) -> None:
    """ECR's tokens contain their end. The doctor sees it without an image, without a secret and without AWS."""
    _, host = serve(world, EcrAuth(world.aws().valid, REGION))
    world.prepare()
    ends = datetime(year, 1, 1, tzinfo=UTC).timestamp()
    token = base64.b64encode(json.dumps({"payload": "x", "expiration": int(ends)}).encode()).decode()
    auth = base64.b64encode(f"AWS:{token}".encode()).decode()
    (world.agent.docker / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
    report = doctor(host, "--set", f'secrets.directories=["{world.home}/none"]')
    link = report.link("in use", host)
    assert (link["code"], link["outcome"]) == ("token_expired", "broken")
    assert str(year) in link["seen"]
    assert report.first == (host, "in use")
    assert "all is well" not in doctor.words(host)
