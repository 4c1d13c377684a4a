"""Faults of registries, and of the network path to them."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import trustme
from aiohttp import web

from agent.demo.registries import BasicAuth, Refusal, TokenAuth, errors
from agent.demo.tls import server_context
from tests.codes.servers import FixedAnswer
from tests.codes.world import LOGIN, PASSWORD, USER, USERS, Door, World
from tests.fakecloud.faults import CAPTIVE_PORTAL, Answer, Broken, act_out
from tests.fakecloud.faults import Fault as Acted
from tests.fakecloud.registries import PretendRegistry
from tests.rig.authority import Authority
from tests.rig.distribution import Distribution
from tests.rig.waiting import until
from tests.scenarios.fault import Cause, Caused, Fault

if TYPE_CHECKING:
    from tests.rig.namespace import Namespace

ELSEWHERE: Final = "0.0.0.0"  # noqa: S104 - reaches this machine, but docker does not treat it as loopback
_YEAR: Final = timedelta(days=365)


def fixed_by_itself(door: Door) -> Caused:
    """A fault that ends when its registry answers correctly again. Nothing else is done."""

    def fix() -> None:
        door.registry.fault = None

    return Caused(door.hostname, fix, (door.hostname,))


def _has(fault: Acted) -> Cause:
    def cause(world: World) -> Caused:
        door = world.registry("ill")
        door.registry.fault = fault
        return fixed_by_itself(door)

    return cause


def _taken_later(world: World) -> Caused:
    """A real registry with htpasswd. The same secret is tried again after `retry.rejected_wait_s`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    hostname = f"localhost:{port}"
    world.agent.give(world.new_name("real"), hostname, **LOGIN)
    authority = Authority(world.home)
    world.trust(authority.bundle.read_bytes())
    tls = authority.files("localhost")
    running = world.cleanup.enter_context(ExitStack())
    running.enter_context(_real_registry(world, world.home / "before", port, "another password", tls))

    def fix() -> None:
        running.close()
        running.enter_context(_real_registry(world, world.home / "after", port, PASSWORD, tls))

    return Caused(hostname, fix, (hostname,))


@contextmanager
def _real_registry(world: World, directory: Path, port: int, password: str, tls: tuple[Path, Path]) -> Iterator[None]:
    """Run Debian's registry. Its only user is `USER`."""
    namespace = cast("Namespace", world.here)  # Distribution uses only what `Here` has too
    registry = Distribution(namespace, directory, "127.0.0.1", port, tls=tls, users={USER: password})
    try:
        yield
    finally:
        registry.close()


def _repeats_the_password(world: World) -> Caused:
    """The password is neither reported nor stored. The search for leaked secrets at the end checks that."""
    caused = _has(Answer(403, f"{USER}:{PASSWORD} may not come in"))(world)
    state = world.agent.state / "state.json"

    def check() -> None:
        until("the note of it", lambda: caused.subject.encode() in state.read_bytes())

    return Caused(caused.subject, caused.fix, caused.logins, check=check)


def _rate_limited(world: World) -> Caused:
    """After a 429, the agent sends no request before `Retry-After` has passed."""
    asked: list[float] = []
    registry = PretendRegistry(BasicAuth(USERS))

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(time.monotonic())
        return await registry.handle(request)

    registry.fault = Answer(429, headers={"Retry-After": "2"})
    listener = world.serve(handle, tls=server_context())
    caused = fixed_by_itself(Door(registry, listener, listener.address))
    world.agent.give(world.new_name("limited"), caused.subject, **LOGIN)

    def fixed() -> None:
        assert max(later - sooner for sooner, later in pairwise(asked)) >= 1.9

    return Caused(caused.subject, caused.fix, caused.logins, fixed=fixed)


def _mistyped(world: World) -> Caused:
    """A typing error in the host name. After a correction of the secret, the right registry is logged in."""
    door = world.registry("mistyped")
    world.agent.give(door.secret, "registry.invalid", **LOGIN)
    return Caused("registry.invalid", lambda: world.agent.give(door.secret, door.hostname, **LOGIN), (door.hostname,))


def _refuses_connections(world: World) -> Caused:
    door = world.registry("down")
    world.down(door.listener)
    return Caused(door.hostname, lambda: world.up(door.listener), (door.hostname,))


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


def trusted(world: World) -> trustme.CA:
    """A certificate authority that the agent and docker trust."""
    world.trust(_authority().cert_pem.bytes())
    return _authority()


def _certificate(fault: str) -> Cause:
    def cause(world: World) -> Caused:
        ours = trusted(world)
        good = ours.issue_cert(ELSEWHERE)
        bad, says = {
            "unknown authority": (trustme.CA().issue_cert(ELSEWHERE), "certificate"),
            "wrong name": (ours.issue_cert("other.example"), ELSEWHERE),
            "expired": (ours.issue_cert(ELSEWHERE, not_after=datetime.now(UTC) - _YEAR), "expired"),
        }[fault]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        bad.configure_cert(context)
        door = world.registry("private-ca", host=ELSEWHERE, tls=context)
        return Caused(door.hostname, lambda: good.configure_cert(context), (door.hostname,), says)

    return cause


def _portal_that_redirects(world: World) -> Caused:
    """A captive portal that redirects to its own page. docker follows the redirect, and reports success."""

    async def page(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="<html>Please sign in.</html>", content_type="text/html")

    portal = world.serve(page)
    return _has(Answer(302, headers={"Location": f"http://localhost:{portal.port}/sign-in"}))(world)


class _Nonsense(TokenAuth):
    """A registry whose token server answers with `body`, until that is None."""

    def __init__(self, body: str) -> None:
        super().__init__(USERS)
        self.body: str | None = body

    async def token(self, request: web.BaseRequest) -> web.Response:
        if self.body is None:
            return await super().token(request)
        return web.Response(text=self.body, content_type="application/json")


class _Elsewhere(TokenAuth):
    """A registry whose token server has another host name. While `fault` is not None, the token server has it."""

    def __init__(self, world: World, fault: Acted) -> None:
        super().__init__(USERS)
        self.fault: Acted | None = fault
        self.listener: Final = world.serve(self._issue, tls=server_context())

    async def __call__(self, request: web.BaseRequest) -> str | web.Response:
        try:
            return await super().__call__(request)
        except Refusal as refusal:
            realm = f'Bearer realm="https://localhost:{self.listener.port}/token",service="tokens"'
            refusal.answer.headers["WWW-Authenticate"] = realm
            raise

    async def _issue(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.fault is not None:
            return await act_out(self.fault, request)
        try:
            return await self.token(request)
        except Refusal as refusal:
            return refusal.answer


def _token_server_elsewhere(fault: Acted) -> Cause:
    """Only the token server fails. The message names it."""

    def cause(world: World) -> Caused:
        auth = _Elsewhere(world, fault)
        door = world.registry("tokens-elsewhere", auth)
        return Caused(door.hostname, lambda: setattr(auth, "fault", None), (door.hostname,), "token server")

    return cause


def _token_server(body: str) -> Cause:
    def cause(world: World) -> Caused:
        auth = _Nonsense(body)
        door = world.registry("nonsense", auth)
        return Caused(door.hostname, lambda: setattr(auth, "body", None), (door.hostname,))

    return cause


class _SaysWhatToDo(TokenAuth):
    """A registry whose token server refuses each login and says what to do, until `answer` is None."""

    def __init__(self, answer: tuple[int, str, str]) -> None:
        super().__init__(USERS)
        self.answer: tuple[int, str, str] | None = answer

    async def token(self, request: web.BaseRequest) -> web.Response:
        return await super().token(request) if self.answer is None else errors(*self.answer)


def _says(*answer: Any) -> Cause:
    def cause(world: World) -> Caused:
        auth = _SaysWhatToDo(answer)
        door = world.registry("advice", auth)
        return Caused(door.hostname, lambda: setattr(auth, "answer", None), (door.hostname,))

    return cause


def _another_answers(answer: bytes) -> Cause:
    """Another program listens on the registry's port, or the answer is not that of a registry."""

    def cause(world: World) -> Caused:
        door = world.registry("elsewhere")
        world.down(door.listener)
        other = FixedAnswer(door.listener.port, answer)
        running = world.cleanup.enter_context(ExitStack())
        running.callback(other.close)

        def fix() -> None:
            running.close()
            world.up(door.listener)

        return Caused(door.hostname, fix, (door.hostname,))

    return cause


def _wrong_password(kind: type[BasicAuth] | type[TokenAuth]) -> Cause:
    """It is tried once. It is not tried again too early, not even after a restart. A corrected one is used at once."""

    def cause(world: World) -> Caused:
        wrong = {"username": USER, "password": world.sources.secret("wrong password")}
        door = world.registry("wrong", kind(USERS), wrong)

        def check() -> None:
            row = world.agent.registry(door.hostname)
            assert row is not None
            assert row["state"] == "rejected"
            assert door.registry.wrong == {USER: 1}

        fix = partial(world.agent.give, door.secret, door.hostname, **LOGIN)
        return Caused(door.hostname, fix, (door.hostname,), check=check)

    return cause


_PORTAL_OFF: Final = b"HTTP/1.1 302 Found\r\nLocation: http://portal.invalid/\r\nContent-Length: 0\r\n\r\n"
_ANSWERS: Final = {
    "SSH": b"SSH-2.0-OpenSSH_9.2\r\n",
    "invalid status": b"HTTP/1.1 no\r\n\r\n",
    "invalid length": b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
    "redirect to an invalid URL": b"HTTP/1.1 302 Found\r\nLocation: http://[portal\r\nContent-Length: 0\r\n\r\n",
    "redirect to an unreachable host": _PORTAL_OFF,
    "challenge without realm": b"HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer service=x\r\nContent-Length: 0\r\n\r\n",
    "challenge with an invalid realm": (
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm="ftp://x/"\r\nContent-Length: 0\r\n\r\n'
    ),
    "3 MB": b"HTTP/1.1 500 Oops\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000),
}
_PAGES: Final = {
    **{str(status): Answer(status, "oops" if status == 500 else "") for status in (500, 501, 502, 503, 504)},
    "301 without Location": Answer(301),
    "captive portal": CAPTIVE_PORTAL,
    "511": Answer(511, "<html>log in first</html>", "text/html"),
}
_PERSONAL: Final = "HTTP Basic: Access denied. Use a personal access token with the read_registry scope"
_LOCKED: Final = "account locked: unlock it in your profile"
_BLOCKED: Final = "too many failed logins, reset your password"
_BODIES: Final = {"cut off": '{"token": ', "a number as the token": '{"token": 7}', "no token": "{}"}

REJECTED: Final = (
    Fault("a wrong password: basic", "login_rejected", _wrong_password(BasicAuth), "wrong"),
    Fault("a wrong password: token", "login_rejected", _wrong_password(TokenAuth), "wrong"),
)
SILENT: Final = (Fault("a registry that does not answer", "registry_timeout", _has(Broken.SILENT)),)
REGISTRIES: Final = (
    Fault("a rejected password that works later", "login_rejected", _taken_later),
    Fault("an account without access", "login_forbidden", _has(Answer(403, "this account is suspended")), "suspended"),
    Fault(
        "a registry that repeats the password in its answer",
        "login_forbidden",
        _repeats_the_password,
        "may not come in",
    ),
    Fault("advice: a personal access token", "login_rejected", _says(401, "UNAUTHORIZED", _PERSONAL), _PERSONAL),
    Fault("advice: unlock the account", "login_forbidden", _says(403, "DENIED", _LOCKED), _LOCKED),
    Fault("advice: reset the password", "registry_rate_limited", _says(429, "TOOMANYREQUESTS", _BLOCKED), _BLOCKED),
    *(
        Fault(f"refused request: {status}", "registry_refused_request", _has(Answer(status)), str(status))
        for status in (400, 402, 404, 405, 410, 418)
    ),
    Fault("rate limited", "registry_rate_limited", _rate_limited, "2 s"),
    Fault("a host name that does not resolve", "registry_dns", _mistyped),
    Fault("connection refused", "registry_unreachable", _refuses_connections, "connection refused"),
    Fault("connection reset", "registry_unreachable", _has(Broken.RESET)),
    *(
        Fault(f"an invalid certificate: {fault}", "registry_tls", _certificate(fault))
        for fault in ("unknown authority", "wrong name", "expired")
    ),
    *(Fault(f"an unexpected answer: {name}", "registry_error", _has(page)) for name, page in _PAGES.items()),
    Fault("a captive portal that redirects", "registry_error", _portal_that_redirects),
    *(
        Fault(f"an invalid answer of the token server: {name}", "registry_error", _token_server(body), "token")
        for name, body in _BODIES.items()
    ),
    Fault("a token server that fails", "registry_error", _token_server_elsewhere(Answer(503)), "localhost"),
    Fault("a token server that hangs up", "registry_unreachable", _token_server_elsewhere(Broken.RESET), "localhost"),
    *(
        Fault(f"an answer that is not from a registry: {name}", "registry_error", _another_answers(answer))
        for name, answer in _ANSWERS.items()
    ),
)
