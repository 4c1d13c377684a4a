"""What a registry can do to a login: each fault is said by its own code, and the login follows when it is over."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import pytest
import trustme
from aiohttp import web

from agent.demo.faults import CAPTIVE_PORTAL, Answer, Broken, Fault
from agent.demo.registries import Auth, BasicAuth, PretendRegistry, TokenAuth
from agent.demo.tls import server_context
from tests.codes.causes import causes
from tests.codes.servers import Parrot
from tests.codes.world import LOGIN, NATIVE, PASSWORD, USER, USERS, Door, World
from tests.rig.authority import Authority
from tests.rig.distribution import Distribution
from tests.rig.needs import need
from tests.rig.waiting import until

if TYPE_CHECKING:
    from tests.rig.namespace import Namespace

ELSEWHERE: Final = "0.0.0.0"  # noqa: S104 - reaches this machine, and docker does not take it for loopback
YEAR: Final = timedelta(days=365)


def mend(world: World, door: Door, code: str) -> None:
    """Take the registry's fault away, and see the login come and the warning go."""
    door.registry.fault = None
    world.agent.wait_logged_in(door.hostname)
    world.cleared(code, door.hostname)


@causes("login_rejected")
@pytest.mark.parametrize("auth", [BasicAuth(USERS), TokenAuth(USERS)], ids=["basic", "token"])
def test_a_wrong_password(world: World, auth: Auth) -> None:
    """It is tried once, and not again before its time, nor after a restart; its correction is used at once."""
    patient = {"retry": {"rejected_wait_s": 600}}
    door = world.registry("wrong", auth, {"username": USER, "password": world.sources.secret("wrong password")})
    world.start(patient)
    world.raised("login_rejected", door.hostname, says="wrong")
    row = world.agent.registry(door.hostname)
    assert row is not None
    assert (row["state"], row["attempts"]) == ("rejected", 1)

    world.agent.end()
    world.start(patient)
    world.raised("login_rejected", door.hostname, says="wrong")
    assert door.registry.wrong == {USER: 1}

    world.agent.give("wrong", door.hostname, **LOGIN)
    mend(world, door, "login_rejected")


@causes("login_rejected")
def test_a_password_that_is_taken_later(world: World, tmp_path: Path) -> None:
    """A real registry with htpasswd: the same secret is tried again after `retry.rejected_wait_s`."""
    need("docker-registry", "htpasswd")
    hostname = f"localhost:{_free_port()}"
    world.agent.give("real", hostname, **LOGIN)
    authority = Authority(tmp_path)
    world.trust(authority.bundle.read_bytes())
    tls = authority.files("localhost")
    with _real_registry(world, tmp_path / "before", hostname, "another password", tls):
        world.start()
        world.raised("login_rejected", hostname)
    with _real_registry(world, tmp_path / "after", hostname, PASSWORD, tls):
        world.agent.wait_logged_in(hostname)
        world.cleared("login_rejected", hostname)


@causes("login_forbidden")
def test_forbidden(world: World) -> None:
    """403: the registry knows who asks, and does not let them in."""
    door = world.registry("forbidden")
    door.registry.fault = Answer(403, "this account is suspended")
    world.start()
    world.raised("login_forbidden", door.hostname, says="suspended")
    mend(world, door, "login_forbidden")


@causes("login_forbidden")
def test_a_registry_that_repeats_the_password(world: World) -> None:
    """Nothing of it is said or kept: the hunt at this world's end looks at everything."""
    door = world.registry("parrot")
    door.registry.fault = Answer(403, f"{USER}:{PASSWORD} may not come in")
    world.start()
    world.raised("login_forbidden", door.hostname, says="may not come in")
    until("the note of it", lambda: b"login_forbidden" in (world.agent.state / "state.json").read_bytes())
    mend(world, door, "login_forbidden")


@causes("registry_refused_request")
@pytest.mark.parametrize("status", [400, 402, 404, 405, 410, 418, 451])
def test_refused_request(world: World, status: int) -> None:
    """What the registry does not want is a person's to mend; on ECR a 400 is most often another region's token."""
    door = world.registry("refuses")
    door.registry.fault = Answer(status)
    world.start()
    world.raised("registry_refused_request", door.hostname, says=str(status))
    mend(world, door, "registry_refused_request")


@causes("registry_refused_request")
def test_a_token_of_another_region(world: World) -> None:
    """ECR's bare 400; the hint tells what it most often is."""
    aws = world.aws()
    door = world.ecr(aws, region="us-east-1")
    world.start()
    warning = world.raised("registry_refused_request", door.hostname)
    assert "region" in warning["hint"]
    world.agent.give("team-ecr", door.hostname, **NATIVE)
    mend(world, door, "registry_refused_request")


@causes("registry_rate_limited")
def test_rate_limited(world: World) -> None:
    """429: nothing more is asked before `Retry-After` is over."""
    asked: list[float] = []
    registry = PretendRegistry(BasicAuth(USERS))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(time.monotonic())
        return await registry.handle(request)

    registry.fault = Answer(429, headers={"Retry-After": "2"})
    listener = world.serve(handle, tls=server_context())
    door = Door(registry, listener, listener.address)
    world.agent.give("limited", door.hostname, **LOGIN)
    world.start()
    world.raised("registry_rate_limited", door.hostname, says="2 s")
    mend(world, door, "registry_rate_limited")
    assert max(later - sooner for sooner, later in pairwise(asked)) >= 1.9


@causes("registry_dns")
def test_a_name_that_does_not_resolve(world: World) -> None:
    """A typing error in the host name: corrected in the secret, the right registry is logged in."""
    door = world.registry("mistyped")
    world.agent.give("mistyped", "registry.invalid", **LOGIN)
    world.start()
    world.raised("registry_dns", "registry.invalid")
    world.agent.give("mistyped", door.hostname, **LOGIN)
    world.agent.wait_logged_in(door.hostname)
    world.cleared("registry_dns", "registry.invalid")


@causes("registry_unreachable")
def test_nobody_listens(world: World) -> None:
    """A refused connection."""
    door = world.registry("down")
    world.down(door.listener)
    world.start()
    world.raised("registry_unreachable", door.hostname, says="connection refused")
    world.up(door.listener)
    mend(world, door, "registry_unreachable")


@causes("registry_unreachable")
def test_a_connection_that_is_cut(world: World) -> None:
    """A reset in the middle."""
    door = world.registry("cut")
    door.registry.fault = Broken.RESET
    world.start()
    world.raised("registry_unreachable", door.hostname)
    mend(world, door, "registry_unreachable")


@causes("registry_tls")
@pytest.mark.parametrize("fault", ["unknown-authority", "wrong-name", "expired"])
def test_a_certificate_that_does_not_hold(world: World, fault: str) -> None:
    """The message says which fault it is."""
    trusted, unknown = trustme.CA(), trustme.CA()
    world.trust(trusted.cert_pem.bytes())
    good = trusted.issue_cert(ELSEWHERE)
    bad, says = {
        "unknown-authority": (unknown.issue_cert(ELSEWHERE), "certificate"),
        "wrong-name": (trusted.issue_cert("other.example"), ELSEWHERE),
        "expired": (trusted.issue_cert(ELSEWHERE, not_after=datetime.now(UTC) - YEAR), "expired"),
    }[fault]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    bad.configure_cert(context)
    door = world.registry("private-ca", host=ELSEWHERE, tls=context)
    world.start()
    world.raised("registry_tls", door.hostname, says=says)
    good.configure_cert(context)
    mend(world, door, "registry_tls")


@causes("registry_timeout")
def test_silence(world: World) -> None:
    """A registry that accepts and never answers costs its own login its time, and nobody else's."""
    door = world.registry("silent")
    door.registry.fault = Broken.SILENT
    world.start({"docker": {"login_timeout_s": 1}})
    world.raised("registry_timeout", door.hostname)
    mend(world, door, "registry_timeout")


@causes("registry_error")
@pytest.mark.parametrize(
    "fault",
    [
        Answer(500, "oops"),
        Answer(501),
        Answer(502),
        Answer(503),
        Answer(504),
        Answer(301),
        CAPTIVE_PORTAL,
        Answer(511, "<html>log in first</html>", "text/html"),
    ],
    ids=["500", "501", "502", "503", "504", "301 to nowhere", "portal-page", "511"],
)
def test_not_what_a_registry_says(world: World, fault: Fault) -> None:
    """5xx, and pages of somebody in between."""
    door = world.registry("ill")
    door.registry.fault = fault
    world.start()
    world.raised("registry_error", door.hostname)
    mend(world, door, "registry_error")


@causes("registry_error")
def test_a_portal_that_redirects(world: World) -> None:
    """A hotel's redirect to its own page, which docker follows and takes for a yes."""

    async def page(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="<html>Please sign in.</html>", content_type="text/html")

    door = world.registry("portal")
    portal = world.serve(page)
    door.registry.fault = Answer(302, headers={"Location": f"http://localhost:{portal.port}/sign-in"})
    world.start()
    world.raised("registry_error", door.hostname)
    mend(world, door, "registry_error")


class _Nonsense(TokenAuth):
    """Points to a token server that answers with `body`, until that is None."""

    def __init__(self, body: str) -> None:
        super().__init__(USERS)
        self.body: str | None = body

    async def own_answer(self, request: web.BaseRequest) -> web.Response | None:
        if self.body is not None and request.path == "/token":
            return web.Response(text=self.body, content_type="application/json")
        return await super().own_answer(request)


@causes("registry_error")
@pytest.mark.parametrize("body", ['{"token": ', '{"token": 7}', "{}"], ids=["unfinished", "number", "nothing"])
def test_a_token_server_that_talks_nonsense(world: World, body: str) -> None:
    """The registry sends to a token server, whose answer holds no token."""
    auth = _Nonsense(body)
    door = world.registry("nonsense", auth)
    world.start()
    world.raised("registry_error", door.hostname, says="token")
    auth.body = None
    mend(world, door, "registry_error")


ANSWERS: Final = {
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "odd-status": b"HTTP/1.1 no\r\n\r\n",
    "odd-length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "redirect-to-nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[portal\r\nContent-Length: 0\r\n\r\n",
    "portal-off-the-net": b"HTTP/1.1 302 Found\r\nLocation: http://portal.invalid/\r\nContent-Length: 0\r\n\r\n",
    "no-realm": b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer service=x\r\nContent-Length: 0\r\n\r\n",
    "odd-realm": b'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm="ftp://x/"\r\nContent-Length: 0\r\n\r\n',
    "large": b"HTTP/1.1 500 Oops\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000),
}


@causes("registry_error")
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_port_that_is_no_registrys(world: World, kind: str) -> None:
    """Something else answers there, or nothing that a registry would say."""
    door = world.registry("elsewhere")
    world.down(door.listener)
    parrot = Parrot(door.listener.port, ANSWERS[kind])
    try:
        world.start()
        world.raised("registry_error", door.hostname)
    finally:
        parrot.close()
    world.up(door.listener)
    mend(world, door, "registry_error")


@contextmanager
def _real_registry(
    world: World, directory: Path, hostname: str, password: str, tls: tuple[Path, Path]
) -> Iterator[None]:
    """Debian's; its one user is `USER`."""
    port = int(hostname.rpartition(":")[2])
    namespace = cast("Namespace", world.here)  # it asks for no more than `Here` has
    registry = Distribution(namespace, directory, "127.0.0.1", port, tls=tls, users={USER: password})
    try:
        yield
    finally:
        registry.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
