"""Each fault, caused for real, and the words by which a person finds it and its mend."""

import json
import shutil
import ssl
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import trustme
from aiohttp import web

from agent.demo.faults import Answer
from agent.demo.registries import BasicAuth
from tests.codes.test_registry import ELSEWHERE
from tests.codes.world import LOGIN, World
from tests.rig.needs import need


@dataclass(frozen=True, slots=True)
class Told:
    """What must be said: of which subject, by which code, what happened, what mends it; and doctor's link."""

    subject: str
    code: str
    what: str
    fix: str
    link: str


Cause = Callable[[World, ExitStack], Told]


def wrong_password(world: World, _: ExitStack) -> Told:
    door = world.registry("team", BasicAuth({"robot": "another one altogether"}))
    world.start()
    return Told(door.hostname, "login_rejected", "refused the user name or password", "secret", "login")


def iam_action_missing(world: World, _: ExitStack) -> Told:
    aws = world.aws()
    aws.fail("ecr:GetAuthorizationToken", "access_denied")
    door = world.ecr(aws)
    world.start()
    return Told(door.hostname, "aws_access_denied", "ecr:GetAuthorizationToken", "ecr:GetAuthorizationToken", "token")


def wrong_region(world: World, _: ExitStack) -> Told:
    door = world.ecr(world.aws(), region="us-east-1")
    world.start()
    return Told(door.hostname, "registry_refused_request", "400", "region", "login")


def clock_off(world: World, _: ExitStack) -> Told:
    aws = world.aws()
    aws.clock_offset = timedelta(minutes=20)
    user = aws.add_user("ci")
    door = world.ecr(aws, username=user.access_key_id, password=user.secret_access_key)
    world.start()
    return Told(door.hostname, "clock_skew", "20 min", "clock", "token")


def docker_cli_missing(world: World, _: ExitStack) -> Told:
    programs = world.home / "bin"
    programs.mkdir()
    world.env["PATH"] = str(programs)
    world.good_state = "skipped"
    world.start()
    return Told("docker", "docker_cli_missing", "no docker on PATH", "install the docker CLI", "docker cli")


def no_route(world: World, stack: ExitStack) -> Told:
    """A network of its own, in which nothing is up."""
    need("unshare")
    _around(world, stack, str(shutil.which("unshare")), "--net")
    world.good_state = "retrying"
    world.start()
    return Told(world.good.hostname, "registry_unreachable", "network is unreachable", "network", "tcp")


def corporate_proxy(world: World, _: ExitStack) -> Told:
    """One that wants a password, in front of a registry that is elsewhere."""

    async def refuse(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=407, headers={"Proxy-Authenticate": "Basic"})

    proxy = world.serve(refuse)
    world.agent.give("team", "registry.example.com", **LOGIN)
    world.start(HTTPS_PROXY=proxy.url, HTTP_PROXY=proxy.url, NO_PROXY="127.0.0.1")
    return Told("registry.example.com", "registry_unreachable", "proxy", "HTTPS_PROXY", "proxy")


def self_signed_certificate(world: World, _: ExitStack) -> Told:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(ELSEWHERE).configure_cert(context)
    door = world.registry("private-ca", host=ELSEWHERE, tls=context)
    world.start()
    return Told(door.hostname, "registry_tls", "certificate", "certs.d", "tls")


def ecr_login_as_store(world: World, _: ExitStack) -> Told:
    """Debian's amazon-ecr-credential-helper, which gives logins of its own and takes none."""
    need("docker-credential-ecr-login")
    door = world.registry("team")
    config = {"credHelpers": {door.hostname: "ecr-login"}}
    (world.agent.docker / "config.json").write_text(json.dumps(config))
    world.start()
    return Told(door.hostname, "credential_store_failed", "ecr-login", "credHelpers", "store")


def podmans_stale_auth_json(world: World, _: ExitStack) -> Told:
    theirs = {"auth": "YS1wZXJzb246dGhlaXIgb3du"}
    auth_json = world.home / ".config/containers/auth.json"
    auth_json.parent.mkdir(parents=True)
    auth_json.write_text(json.dumps({"auths": {world.good.hostname: theirs}}))
    world.start()
    return Told(world.good.hostname, "login_overridden", str(auth_json), "podman logout", "in use")


def full_disk(world: World, stack: ExitStack) -> Told:
    need("mount")
    directory = world.agent.docker
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", directory], check=True)
    stack.callback(lambda: subprocess.run(["umount", "--lazy", directory], check=True))
    with suppress(OSError), (directory / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    world.good_state = "retrying"
    world.start()
    return Told(world.good.hostname, "config_unwritable", "full", "room", "configuration")


def secrets_service_down(world: World, _: ExitStack) -> Told:
    door = world.registry("elsewhere")
    (world.agent.secrets / "elsewhere.json").unlink()
    door.registry.fault = Answer(503)
    url = f"http://{door.hostname}/v1/secrets"
    world.start({"secrets": {"url": url}})
    return Told(url, "secrets_unavailable", "503", "secrets", "secrets")


def _around(world: World, stack: ExitStack, *before: str) -> None:
    """What is put in front of the agent's command, and of its others."""
    world.here.before = before
    stack.callback(setattr, world.here, "before", ())


TWELVE: Final[Mapping[str, Cause]] = {
    "wrong password": wrong_password,
    "IAM action missing": iam_action_missing,
    "wrong region": wrong_region,
    "clock 20 minutes off": clock_off,
    "docker CLI missing": docker_cli_missing,
    "no route": no_route,
    "corporate proxy": corporate_proxy,
    "self-signed certificate": self_signed_certificate,
    "ecr-login as store": ecr_login_as_store,
    "podman's stale auth.json": podmans_stale_auth_json,
    "full disk": full_disk,
    "secrets service down": secrets_service_down,
}
