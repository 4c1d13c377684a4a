"""Faults on the network path to a registry."""

import json
import shutil
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from agent.demo.listener import Listener
from agent.demo.registries import BasicAuth
from tests.codes.servers import Engine
from tests.codes.world import LOGIN, USERS, World
from tests.doctor.machine import Doctor, blamed
from tests.fakecloud.registries import PretendRegistry
from tests.rig.needs import docker_version, need
from tests.rig.proxy import Proxy
from tests.rig.socks_proxy import SocksProxy

ELSEWHERE = "0.0.0.0"  # noqa: S104 - reaches this machine, and neither docker nor a proxy takes it for loopback


def test_reports_a_refused_connection(world: World, doctor: Doctor) -> None:
    """The checks after the connection are shown as not reached."""
    world.prepare()
    world.down(world.good.listener)
    assert "connection refused" in blamed(doctor, world.good.hostname, "tcp", "registry_unreachable")["seen"]
    outcomes = doctor(world.good.hostname).outcomes(world.good.hostname)
    assert {outcomes[name] for name in ("proxy", "tls", "clock", "/v2/", "login")} == {"not reached"}


def test_reports_a_missing_network(world: World, doctor: Doctor) -> None:
    """The machine has no network."""
    need("unshare")
    world.here.before = (str(shutil.which("unshare")), "--net")
    world.agent.give("far", "203.0.113.7", **LOGIN)
    world.prepare()
    assert "network is unreachable" in blamed(doctor, "203.0.113.7", "tcp", "registry_unreachable")["seen"]


def test_reports_a_name_that_does_not_resolve(world: World, doctor: Doctor) -> None:
    """For example after a typing error."""
    world.agent.give("mistyped", "registry.invalid", **LOGIN)
    world.prepare()
    assert blamed(doctor, "registry.invalid", "dns", "registry_dns")["needs"] == "user"


def private(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """A server's certificate from a private CA, and the path of the CA's file."""
    authority = trustme.CA(organization_name="Example Company")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(ELSEWHERE).configure_cert(context)
    return context, str(tmp_path / "ca.pem")


def test_checks_through_a_proxy(world: World, doctor: Doctor, tmp_path: Path) -> None:
    """Without the proxy's password the proxy check fails. With it, the doctor shows the registry's certificate."""
    context, ca = private(tmp_path)
    door = world.registry("outside", host=ELSEWHERE, tls=context)
    with Proxy("robot:open-sesame") as proxy:
        world.prepare(HTTPS_PROXY=f"http://{proxy.address}", SSL_CERT_FILE=ca)
        link = blamed(doctor, door.hostname, "proxy", "registry_unreachable")
        assert "status 407" in link["seen"]
        assert "HTTPS_PROXY" in link["fix"]
        world.prepare(HTTPS_PROXY=f"http://robot:open-sesame@{proxy.address}", SSL_CERT_FILE=ca)
        report = doctor(door.hostname)
        assert report.outcomes(door.hostname)["login"] == "ok", report.document
        assert report.link("proxy", door.hostname)["outcome"] == "ok"
        assert "Example Company" in report.link("tls", door.hostname)["seen"]
        assert "open-sesame" not in json.dumps(report.document)
    link = blamed(doctor, door.hostname, "tcp", "registry_unreachable")
    assert f"proxy {proxy.address.partition(':')[0]}" in link["seen"]


def _self_signed(tmp_path: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "own.pem")
    authority.private_key_pem.write_to_path(tmp_path / "own.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "own.key")
    return context


def _expired(_tmp_path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ended = datetime.now(UTC) - timedelta(days=365)
    trustme.CA().issue_cert(ELSEWHERE, not_after=ended).configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("certificate", "message"), [(_self_signed, "itself (self-signed)"), (_expired, ELSEWHERE)], ids=["self", "expired"]
)
def test_shows_a_certificate_that_is_not_trusted(
    world: World, doctor: Doctor, tmp_path: Path, certificate: Callable[[Path], ssl.SSLContext], message: str
) -> None:
    """The report shows who issued it and until when it is valid, and where to put its CA."""
    door = world.registry("private", host=ELSEWHERE, tls=certificate(tmp_path))
    world.prepare()
    link = blamed(doctor, door.hostname, "tls", "registry_tls")
    assert message in link["seen"]
    assert "valid until " in link["seen"]
    assert "CA" in link["fix"]


def test_accepts_an_unknown_certificate_on_loopback(world: World, doctor: Doctor, tmp_path: Path) -> None:
    """The docker CLI up to 28.3 accepts any certificate there. With a later one, the login check fails."""
    door = world.registry("here", tls=_self_signed(tmp_path))
    world.prepare()
    report = doctor(door.hostname)
    assert {report.outcomes(door.hostname)[name] for name in ("tcp", "tls", "/v2/")} == {"ok"}, report.document
    assert "Docker 28.3 and earlier accept any certificate" in report.link("tls", door.hostname)["seen"]
    login = report.link("login", door.hostname)
    expected = ("ok", None) if docker_version() < (28, 4) else ("broken", "registry_tls")
    assert (login["outcome"], login["code"]) == expected, login


def test_finds_a_plain_registry_without_a_port_where_docker_does(world: World, doctor: Doctor) -> None:
    """On this machine, docker tries plain HTTP too, which is on port 80. Doctor and status agree."""
    address = "127.0.80.80"  # another process may have port 80 of a more usual address
    try:
        listener = Listener(PretendRegistry(BasicAuth(USERS)).handle, host=address, port=80)
    except OSError:
        pytest.skip("needs the right to listen on port 80")
    world.cleanup.callback(lambda: world.here.call(listener.close()))
    world.up(listener)
    world.agent.give("plain", address, **LOGIN)
    world.start()
    world.agent.wait_logged_in(address)
    report = doctor(address)
    assert report.outcomes(address)["tcp"] == "ok", report.link("tcp", address)
    assert report.link("tcp", address)["seen"] == f"connected to {address} port 80"
    world.down(listener)
    assert "connection refused" in blamed(doctor, address, "tcp", "registry_unreachable")["seen"]


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "AWS_CA_BUNDLE"])
def test_names_a_variable_with_a_missing_ca_file(world: World, doctor: Doctor, tmp_path: Path, variable: str) -> None:
    """It is no fault of the network or of the registry, and only the user can fix the variable."""
    door = world.registry("private", host=ELSEWHERE, tls=private(tmp_path)[0])
    world.env[variable] = str(tmp_path / "moved.pem")
    world.prepare()
    link = blamed(doctor, door.hostname, "tls", "registry_tls")
    assert f"{variable} names the CA file {tmp_path}/moved.pem, which cannot be used" in link["seen"]
    assert link["needs"] == "user"
    assert "certs.d" not in link["fix"]


def test_names_ssl_cert_file_if_it_is_a_directory(world: World, doctor: Doctor, tmp_path: Path) -> None:
    """As a bind mount creates it for a file that is missing. Docker ignores it, so the registry is not to blame."""
    door = world.registry("private", host=ELSEWHERE, tls=private(tmp_path)[0])
    world.env["SSL_CERT_FILE"] = str(tmp_path)
    world.prepare()
    link = blamed(doctor, door.hostname, "tls", "registry_tls")
    assert f"SSL_CERT_FILE names the CA file {tmp_path}, which cannot be used: it is a directory" in link["seen"]
    assert (link["needs"], "certs.d" in link["fix"]) == ("user", False)


def test_checks_through_a_socks_proxy(world: World, doctor: Doctor, tmp_path: Path) -> None:
    """Docker can use one. So can the agent's own requests, and a registry behind it is not called broken."""
    context, ca = private(tmp_path)
    door = world.registry("outside", host=ELSEWHERE, tls=context)
    with SocksProxy("robot:open-sesame") as proxy:
        world.prepare(https_proxy=f"socks5://robot:open-sesame@{proxy.address}", SSL_CERT_FILE=ca)
        report = doctor(door.hostname)
        outcomes = report.outcomes(door.hostname)
        assert {outcomes[name] for name in ("dns", "tcp", "proxy", "tls", "/v2/", "login")} == {"ok"}, report.document
        assert "https_proxy" in report.link("proxy", door.hostname)["seen"]
        assert "open-sesame" not in json.dumps(report.document)
        assert len(proxy.requested) >= 4
        world.prepare(https_proxy=f"socks5://robot:wrong@{proxy.address}", SSL_CERT_FILE=ca)
        link = blamed(doctor, door.hostname, "proxy", "registry_unreachable")
        assert ("it refused the user name or password" in link["seen"], link["needs"]) == (True, "user")


def test_a_proxy_whose_rules_refuse_needs_its_administrator(world: World, doctor: Doctor) -> None:
    """The settings are right, so the fix is not in a variable."""

    async def refuse(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=403)

    url = world.serve(refuse).url
    door = world.registry("outside", host=ELSEWHERE)
    world.prepare(HTTPS_PROXY=url, https_proxy="http://127.0.0.1:1")
    link = blamed(doctor, door.hostname, "proxy", "registry_unreachable")
    assert "(HTTPS_PROXY)" in link["seen"]
    assert (link["needs"], door.hostname in link["fix"]) == ("admin", True)
    assert "HTTPS_PROXY" not in link["fix"]


def test_a_registry_without_tls_works_if_the_engine_allows_it(world: World, doctor: Doctor, tmp_path: Path) -> None:
    """The agent logs in through the engine, and pulls work. Otherwise, the fix names the engine's setting."""
    registry = PretendRegistry(BasicAuth(USERS))
    hostname = world.serve(registry.handle, host=ELSEWHERE).address
    world.agent.give("plain", hostname, **LOGIN)
    engine = Engine()
    world.here.call(engine.start(tmp_path / "engine.sock"))
    world.cleanup.callback(lambda: world.here.call(engine.stop()))
    engine.insecure.add(hostname)
    world.env["DOCKER_HOST"] = f"unix://{tmp_path}/engine.sock"
    world.start()
    world.agent.wait_logged_in(hostname)
    report = doctor(hostname)
    assert (report.code, report.outcomes(hostname)["login"]) == (0, "ok"), report.document
    assert report.link("tls", hostname)["outcome"] == "skipped"
    engine.insecure.clear()
    link = blamed(doctor, hostname, "tls", "registry_tls")
    assert f"add {hostname} to insecure-registries in /etc/docker/daemon.json" in link["fix"]


def test_a_registry_that_only_the_engine_reaches_works(world: World, doctor: Doctor, tmp_path: Path) -> None:
    """The engine trusts a certificate that this user does not."""
    door = world.registry("private", host=ELSEWHERE, tls=private(tmp_path)[0])
    engine = Engine()
    world.here.call(engine.start(tmp_path / "engine.sock"))
    world.cleanup.callback(lambda: world.here.call(engine.stop()))
    world.prepare(DOCKER_HOST=f"unix://{tmp_path}/engine.sock")
    blamed(doctor, door.hostname, "tls", "registry_tls")
    engine.trusts_all = True
    report = doctor(door.hostname)
    outcomes = report.outcomes(door.hostname)
    assert (outcomes["login"], outcomes["tls"]) == ("ok", "skipped"), report.document
    assert "unable to get local issuer" in report.link("tls", door.hostname)["seen"]


def test_a_proxy_that_intercepts_tls_needs_one_authority(world: World, doctor: Doctor, tmp_path: Path) -> None:
    """The report shows the issuer. The fix is the same for all registries, and names no file for one of them."""
    door = world.registry("outside", host=ELSEWHERE, tls=private(tmp_path)[0])
    with Proxy("robot:open-sesame") as proxy:
        world.prepare(HTTPS_PROXY=f"http://robot:open-sesame@{proxy.address}")
        link = blamed(doctor, door.hostname, "tls", "registry_tls")
    assert "issued by Example Company" in link["seen"]
    assert ("SSL_CERT_FILE" in link["fix"], "certs.d" in link["fix"]) == (True, False)
