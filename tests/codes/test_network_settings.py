"""Faults in the user's own network settings, and faults of the network that look like them."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.demo.registries import BasicAuth
from agent.demo.tls import AUTHORITY, server_context
from tests.codes.causes import causes
from tests.codes.servers import Engine
from tests.codes.world import LOGIN, REGION, USERS, Door, World
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.registries import PretendRegistry
from tests.rig.proxy import Proxy
from tests.scenarios.registries import ELSEWHERE, trusted


def elsewhere(world: World) -> Door:
    """A registry that docker does not treat as one on this machine: it checks its certificate, and uses proxies."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trusted(world).issue_cert(ELSEWHERE).configure_cert(context)
    return world.registry("elsewhere", host=ELSEWHERE, tls=context)


@causes("registry_tls")
def test_a_missing_ca_file_in_ssl_cert_file(world: World) -> None:
    """The message names the variable and the file. A file that appears later is used."""
    door = elsewhere(world)
    bundle = Path(world.env["SSL_CERT_FILE"])
    away = bundle.rename(bundle.with_name("away.pem"))
    world.start()
    warning = world.raised("registry_tls", door.hostname, says=f"SSL_CERT_FILE names the CA file {bundle}")
    assert (warning["needs"], "certs.d" in warning["hint"]) == ("user", False)
    away.rename(bundle)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("registry_tls", door.hostname)


@causes("aws_unreachable")
@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_missing_ca_file_for_aws(world: World, variable: str) -> None:
    """The message names the variable and blames neither AWS nor the network. A file that appears later is used."""
    aws = PretendAws(region=REGION)
    world.point_to_aws(aws, world.serve(aws.handle, tls=server_context()))
    user = aws.add_user("ci")
    door = world.ecr(aws, username=user.access_key_id, password=user.secret_access_key)
    bundle = world.home / "moved.pem"
    world.env[variable] = str(bundle)
    world.start()
    warning = world.raised("aws_unreachable", door.hostname, says=f"{variable} names the CA file {bundle}")
    assert (warning["needs"], "administrator" in warning["hint"]) == ("user", False)
    bundle.write_text(AUTHORITY)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("aws_unreachable", door.hostname)


@pytest.fixture
def proxy(world: World) -> Iterator[Proxy]:
    """A proxy that asks for a password, and the variable that leads to it."""
    with Proxy("robot:open-sesame") as proxy:
        world.env.update(HTTPS_PROXY=f"http://robot:open-sesame@{proxy.address}", NO_PROXY="127.0.0.1")
        yield proxy


@causes("registry_unreachable")
def test_a_proxy_whose_rules_refuse_the_registry(world: World, proxy: Proxy) -> None:
    """It answers 403. The variable is right, so the proxy's administrator must act."""
    door = elsewhere(world)
    proxy.forbids = True
    world.start()
    warning = world.raised("registry_unreachable", door.hostname, says="the proxy answered with status 403")
    assert "HTTPS_PROXY" in warning["message"]
    assert (warning["needs"], f"allow {door.hostname}" in warning["hint"]) == ("admin", True)
    proxy.forbids = False
    world.agent.wait_logged_in(door.hostname)
    world.cleared("registry_unreachable", door.hostname)


@causes("registry_unreachable")
def test_a_proxy_that_wants_another_password(world: World, proxy: Proxy) -> None:
    """It answers 407. The password is in the user's variable."""
    door = elsewhere(world)
    proxy.login = "robot:another"
    world.start()
    warning = world.raised("registry_unreachable", door.hostname, says="the proxy answered with status 407")
    assert (warning["needs"], "HTTPS_PROXY" in warning["hint"]) == ("user", True)
    proxy.login = "robot:open-sesame"
    world.agent.wait_logged_in(door.hostname)
    world.cleared("registry_unreachable", door.hostname)


@causes("registry_tls")
def test_a_registry_without_tls_that_the_engine_does_not_allow(world: World, tmp_path: Path) -> None:
    """The hint names the setting of the engine and its file. Once the engine allows it, the agent logs in."""
    registry, engine = PretendRegistry(BasicAuth(USERS)), Engine()
    hostname = world.serve(registry.handle, host=ELSEWHERE).address
    world.agent.give("plain", hostname, **LOGIN)
    world.here.call(engine.start(tmp_path / "engine.sock"))
    world.cleanup.callback(lambda: world.here.call(engine.stop()))
    world.env["DOCKER_HOST"] = f"unix://{tmp_path}/engine.sock"
    world.start()
    warning = world.raised("registry_tls", hostname)
    assert f"add {hostname} to insecure-registries in /etc/docker/daemon.json" in warning["hint"]
    engine.insecure.add(hostname)
    world.agent.wait_logged_in(hostname)
    world.cleared("registry_tls", hostname)
