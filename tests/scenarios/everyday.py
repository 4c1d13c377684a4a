"""The most common faults that one agent can have at once. Each hint contains the fix."""

import json
import ssl
from functools import partial
from typing import Final

import trustme
from aiohttp import web

from agent.demo.registries import Auth, BasicAuth, TokenAuth
from tests.codes.servers import ControlPlane
from tests.codes.world import LOGIN, NATIVE, USER, USERS, World
from tests.fakecloud.faults import Answer
from tests.scenarios.aws import TOKEN_CALL, clock_off, policy
from tests.scenarios.clouds import Clouds, door_of
from tests.scenarios.fault import Cause, Caused, Fault, Group
from tests.scenarios.passwords import FAILING
from tests.scenarios.registries import ELSEWHERE

BASIC: Final = "wrong password"
TOKEN: Final = "wrong password at a token server"


def _wrong_password(auth: Auth) -> Cause:
    def cause(world: World) -> Caused:
        door = world.registry("wrong", auth, {"username": USER, "password": world.sources.secret("wrong password")})
        fix = partial(world.agent.give, door.secret, door.hostname, **LOGIN)
        return Caused(door.hostname, fix, (door.hostname,))

    return cause


def _wrong_region(world: World) -> Caused:
    """ECR answers a token of another region with 400 and no text."""
    aws, keys = Clouds.of(world).with_keys()
    door = door_of(world, aws, **keys, region="us-east-1")
    right = {**NATIVE, **keys}
    return Caused(door.hostname, partial(world.agent.give, door.secret, door.hostname, **right), (door.hostname,))


def _corporate_proxy(world: World) -> Caused:
    """A proxy that requires a password, in front of a registry elsewhere. Removing the secret ends the fault."""

    async def refuse(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=407, headers={"Proxy-Authenticate": "Basic"})

    url = world.serve(refuse).url
    world.env.update(HTTPS_PROXY=url, HTTP_PROXY=url, NO_PROXY=f"127.0.0.1,{ELSEWHERE}")
    world.agent.give("proxied", "registry.example.com", **LOGIN)
    return Caused("registry.example.com", (world.agent.secrets / "proxied.json").unlink)


def _self_signed(world: World) -> Caused:
    """The registry has a certificate of an unknown authority. It then moves to an address where docker needs none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(ELSEWHERE).configure_cert(context)
    door, moved = world.registry("private-ca", host=ELSEWHERE, tls=context), world.registry("moved")
    (world.agent.secrets / f"{moved.secret}.json").unlink()
    fix = partial(world.agent.give, door.secret, moved.hostname, **LOGIN)
    return Caused(door.hostname, fix, (moved.hostname,))


def _ecr_login_as_store(world: World) -> Caused:
    """Debian's amazon-ecr-credential-helper, which returns its own logins and stores none."""
    door = world.registry("helped")
    config = world.agent.docker / "config.json"
    config.write_text(json.dumps({"credHelpers": {door.hostname: "ecr-login"}}))

    def fix() -> None:
        document = json.loads(config.read_text())
        del document["credHelpers"]
        config.write_text(json.dumps(document))

    return Caused(door.hostname, fix, (door.hostname,))


def _podmans_stale_auth_json(world: World) -> Caused:
    """Podman uses its own file first. The message names the file, and the hint how to remove the login."""
    door = world.registry("podmans")
    auth_json = world.home / ".config/containers/auth.json"
    auth_json.parent.mkdir(parents=True)
    theirs = {"auth": "YS1wZXJzb246dGhlaXIgb3du"}
    auth_json.write_text(json.dumps({"auths": {door.hostname: theirs}}))
    return Caused(door.hostname, auth_json.unlink, (door.hostname,), str(auth_json))


def _notes(world: World) -> Caused:
    """A file in the directory that is no secret."""
    path = world.agent.secrets / "notes.txt"
    path.write_text("the login is in the vault")
    return Caused(str(path), path.unlink)


def _another_type(world: World) -> Caused:
    """A Kubernetes Secret that holds a certificate."""
    path = world.agent.secrets / "ingress.yaml"
    path.write_text("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\ndata:\n  tls.crt: eA==\n")
    return Caused(str(path), path.unlink)


def _another_name(world: World) -> Caused:
    """A secret with the key `server`, as in other programs."""
    door = world.registry("renamed")
    path = world.agent.secrets / f"{door.secret}.json"
    path.write_text(json.dumps({"name": door.secret, "server": door.hostname, **LOGIN}))
    fix = partial(world.agent.give, door.secret, door.hostname, **LOGIN)
    return Caused(f"{path}#{door.secret}", fix, (door.hostname,))


def _failed_mount(world: World) -> Caused:
    """Docker has made an empty directory for a file that does not exist."""
    path = world.agent.secrets / "mounted.json"
    path.mkdir()
    return Caused(str(path), path.rmdir)


def _secrets_service_down(world: World) -> Caused:
    plane = ControlPlane([])
    plane.fault = Answer(503)
    url = f"{world.serve(plane.handle).url}/v1/secrets"
    world.defaults["secrets"] = {**world.defaults.get("secrets", {}), "url": url, "poll_interval_s": 1}
    return Caused(url, lambda: setattr(plane, "fault", None))


EVERYDAY: Final = Group(
    {
        "everyday": (
            Fault(BASIC, "login_rejected", _wrong_password(BasicAuth(USERS)), "refused the", "secret", "login"),
            Fault(TOKEN, "login_rejected", _wrong_password(TokenAuth(USERS)), "refused the", "secret", "login"),
            Fault("IAM action missing", "aws_access_denied", policy, TOKEN_CALL, TOKEN_CALL, "token"),
            Fault("wrong region", "registry_refused_request", _wrong_region, "400", "region", "login"),
            Fault("clock 20 minutes ahead", "clock_skew", clock_off(-20), "20 min", "clock", "token"),
            Fault("clock 20 minutes behind", "clock_skew", clock_off(20), "20 min", "clock", "token"),
            Fault("corporate proxy", "registry_unreachable", _corporate_proxy, "proxy", "HTTPS_PROXY", "proxy"),
            Fault("self-signed certificate", "registry_tls", _self_signed, "certificate", "certs.d", "tls"),
            Fault(
                "ecr-login as store",
                "credential_store_failed",
                _ecr_login_as_store,
                "ecr-login",
                "credHelpers",
                "store",
            ),
            Fault(
                "podman's stale auth.json", "login_overridden", _podmans_stale_auth_json, "", "podman logout", "in use"
            ),
            Fault("notes", "secret_invalid", _notes, "plain text", "move it to another directory", "secrets"),
            Fault("Secret of another type", "secret_invalid", _another_type, ".io/tls", "dockerconfigjson", "secrets"),
            Fault(
                "key of another name", "secret_invalid", _another_name, "key server", "server to hostname", "secrets"
            ),
            Fault(
                "failed mount", "secret_invalid", _failed_mount, "empty directory", "restart the container", "secrets"
            ),
            Fault(FAILING.name, FAILING.code, FAILING.cause, FAILING.says, "as the agent's user", "token"),
            Fault("secrets service down", "secrets_unavailable", _secrets_service_down, "503", "secrets", "secrets"),
        )
    },
    {"retry": {"first_wait_s": 2, "max_wait_s": 4, "rejected_wait_s": 4}, "aws": {"call_timeout_s": 60}},
)
