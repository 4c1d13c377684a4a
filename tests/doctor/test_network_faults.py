"""The faults on the way to a registry, told as those of `test_faults`."""

import json
import shutil
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.codes.world import LOGIN, World
from tests.doctor.machine import Doctor, blamed
from tests.doctor.proxy import Proxy
from tests.rig.needs import docker_version, need

ELSEWHERE = "0.0.0.0"  # noqa: S104 - reaches this machine, and neither docker nor a proxy takes it for loopback


def test_nobody_listens(world: World, doctor: Doctor) -> None:
    """What comes after the connection is not reached, and said so."""
    world.prepare()
    world.down(world.good.listener)
    assert "connection refused" in blamed(doctor, world.good.hostname, "tcp", "registry_unreachable")["seen"]
    outcomes = doctor(world.good.hostname).outcomes(world.good.hostname)
    assert {outcomes[name] for name in ("proxy", "tls", "clock", "/v2/", "login")} == {"not reached"}


def test_no_route(world: World, doctor: Doctor) -> None:
    """A machine without a network."""
    need("unshare")
    world.here.before = (str(shutil.which("unshare")), "--net")
    world.agent.give("far", "203.0.113.7", **LOGIN)
    world.prepare()
    assert "network is unreachable" in blamed(doctor, "203.0.113.7", "tcp", "registry_unreachable")["seen"]


def test_a_name_that_does_not_resolve(world: World, doctor: Doctor) -> None:
    """A typing error."""
    world.agent.give("mistyped", "registry.invalid", **LOGIN)
    world.prepare()
    assert blamed(doctor, "registry.invalid", "dns", "registry_dns")["needs"] == "user"


def private(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """A server's certificate by an authority of one's own, and the file of the latter."""
    authority = trustme.CA(organization_name="Example Company")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(ELSEWHERE).configure_cert(context)
    return context, str(tmp_path / "ca.pem")


def test_corporate_proxy(world: World, doctor: Doctor, tmp_path: Path) -> None:
    """One that lets nobody through without a password; with it, one sees through it who answers at the other end."""
    context, ca = private(tmp_path)
    door = world.registry("outside", host=ELSEWHERE, tls=context)
    with Proxy("robot:open-sesame") as proxy:
        world.prepare(HTTPS_PROXY=f"http://{proxy.address}", SSL_CERT_FILE=ca)
        link = blamed(doctor, door.hostname, "proxy", "registry_unreachable")
        assert "status 407" in link["seen"]
        assert "HTTPS_PROXY" in link["fix"]
        world.prepare(HTTPS_PROXY=f"http://robot:open-sesame@{proxy.address}", SSL_CERT_FILE=ca)
        told = doctor(door.hostname)
        assert told.outcomes(door.hostname)["login"] == "ok", told.document
        assert told.link("proxy", door.hostname)["outcome"] == "ok"
        assert "Example Company" in told.link("tls", door.hostname)["seen"]
        assert "open-sesame" not in json.dumps(told.document)
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
    ("certificate", "says"), [(_self_signed, "itself (self-signed)"), (_expired, ELSEWHERE)], ids=["self", "expired"]
)
def test_self_signed_certificate(
    world: World, doctor: Doctor, tmp_path: Path, certificate: Callable[[Path], ssl.SSLContext], says: str
) -> None:
    """Who issued it is told although nobody vouches for it, and where its CA would belong."""
    door = world.registry("private", host=ELSEWHERE, tls=certificate(tmp_path))
    world.prepare()
    link = blamed(doctor, door.hostname, "tls", "registry_tls")
    assert says in link["seen"]
    assert "ends " in link["seen"]
    assert "CA" in link["fix"]


def test_an_unknown_certificate_on_loopback(world: World, doctor: Doctor, tmp_path: Path) -> None:
    """Up to 28.3 the docker CLI takes any there. Later ones do not; then the login says why."""
    door = world.registry("here", tls=_self_signed(tmp_path))
    world.prepare()
    told = doctor(door.hostname)
    assert {told.outcomes(door.hostname)[name] for name in ("tcp", "tls", "/v2/")} == {"ok"}, told.document
    assert "docker up to 28.3 takes any certificate" in told.link("tls", door.hostname)["seen"]
    login = told.link("login", door.hostname)
    expected = ("ok", None) if docker_version() < (28, 4) else ("broken", "registry_tls")
    assert (login["outcome"], login["code"]) == expected, login
