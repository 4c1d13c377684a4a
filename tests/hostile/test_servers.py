"""A hostile control plane, registry, dashboard and AWS: they gain nothing, and stop nothing."""

import base64
import gzip
import json
import re
import socket
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from _pytest.mark import ParameterSet

from tests.codes.world import LOGIN, World
from tests.hostile.screens import ATTACK
from tests.hostile.servers import Raw, Speak, endless, raw, reply, says, slow
from tests.rig.agent import Status
from tests.rig.waiting import until

pytestmark = pytest.mark.usefixtures("screens")

TOKEN: Final = "bearer-token-of-the-agent"
MOST_MEMORY: Final = 250 << 20
_A = ATTACK.encode().replace(b"\0", b"").replace(b"\x1b", b"\x1b")
# Without the characters that no HTTP header may have, for answers that must still count as HTTP.
QUIET: Final = ATTACK.translate(dict.fromkeys([*range(32), 127])).encode()


@pytest.fixture
def metadata() -> Iterator[Raw]:
    """Yield a server instead of 169.254.169.254. It must get no request."""
    with raw(says(reply(b'{"secrets": []}'))) as server:
        yield server


def _bomb() -> bytes:
    """Return 100 MB of spaces, compressed to 100 KB."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(b" " * (1 << 20)) for _ in range(100)), packer.flush()])


def _used(world: World) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{world.pid}/status").read_text())
    assert found
    return int(found[1]) << 10


HOSTILE_REPLIES: Final[dict[str, Speak]] = {
    "10-gb": endless,
    "slow": slow,
    "zip-bomb": says(reply(_bomb(), b"Content-Encoding: gzip")),
    "zip-bomb-in-another": says(reply(gzip.compress(_bomb()), b"Content-Encoding: gzip, gzip")),
    "unknown-coding": says(reply(b"\0", b"Content-Encoding: " + QUIET)),
    "cut-gzip": says(reply(gzip.compress(b"{}" * 999)[:20], b"Content-Encoding: gzip")),
    "header-bomb": says(reply(b"{}", *(b"X-%d: %s" % (n, b"x" * 8000) for n in range(1000)))),
    "long-header": says(reply(b"{}", b"X: " + b"x" * 10_000_000)),
    "raw-status": says(b"HTTP/1.1 200 " + _A + b"\r\n\r\n"),
    "raw-reason": says(b"HTTP/1.1 599 " + QUIET + b"\r\nContent-Length: 0\r\n\r\n"),
    "no-http": says(_A * 100),
    "injected": says(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nX: y\rz\r\n\nContent-Length: -1\r\n\r\n{}"),
    "deep": says(reply(b'{"secrets": ' + b"[" * 1_000_000)),
    "content-type": says(reply(b"\xff\xfe" + _A, kind=b"text/html; charset=" + QUIET)),
    "binary-names": says(reply(json.dumps({"secrets": [{"name": ATTACK, ATTACK: 1}, ATTACK, None, 1e999]}).encode())),
    "many": says(reply(b'{"secrets": [' + b",".join([b"7"] * 100_000) + b"]}")),
}


def some(names: Iterable[str], *short: str) -> list[ParameterSet]:
    """Return two parameters: the `short` names for one agent, in turn, and all other names, for the long run."""
    others = tuple(name for name in names if name not in short)
    return [pytest.param(short, id="short"), pytest.param(others, id="others", marks=pytest.mark.torture)]


def _taken_away(world: World, name: str) -> bytes:
    """Remove the file of a secret from the agent, and return its content."""
    file = world.agent.secrets / f"{name}.json"
    secret = file.read_bytes()
    file.unlink()
    return secret


def _codes(status: Status) -> set[str]:
    return {warning["code"] for warning in status["warnings"]}


@pytest.mark.parametrize(
    "names", some(HOSTILE_REPLIES, "10-gb", "zip-bomb", "header-bomb", "no-http", "raw-status", "many")
)
def test_a_hostile_control_plane(world: World, names: Sequence[str]) -> None:
    """It is reported, costs limited memory, and is asked again. Once it answers correctly, its new secrets are used."""
    faults = {"secrets_unavailable", "secret_invalid"}
    doors = {name: world.registry(name) for name in names}
    waiting = {name: _taken_away(world, name) for name in names}
    given: list[bytes] = []
    with raw(says(reply(b'{"secrets": []}'))) as plane:
        world.start({"secrets": {"url": plane.url, "poll_interval_s": 0.3}})
        for name, secret in waiting.items():
            plane.speak = HOSTILE_REPLIES[name]
            world.agent.wait_for(f"the fault of {name}", lambda s: faults & _codes(s))
            assert _used(world) < MOST_MEMORY, name
            given.append(secret)
            plane.speak = says(reply(b'{"secrets": [%s]}' % b",".join(given)))
            world.agent.wait_logged_in(doors[name].hostname)
            world.agent.wait_for(f"the end of {name}", lambda s: not faults & _codes(s))
    assert _used(world) < MOST_MEMORY


@pytest.mark.parametrize(
    "status", ["302", *(pytest.param(each, marks=pytest.mark.torture) for each in ("301", "303", "307", "308"))]
)
def test_redirects_to_the_metadata_service(world: World, metadata: Raw, status: str) -> None:
    """Neither the control plane nor the dashboard can send the agent, or its tokens, elsewhere. No cookie is kept."""
    token = world.home / "token"
    token.write_text(TOKEN)
    there = [b"Location: %s/latest/" % metadata.url.encode(), b"Set-Cookie: a=b", b"Refresh: 0; url=/x", b"Link: </y>"]
    with raw(says(reply(b"{}", *there, status=f"{status} Moved".encode()))) as plane:
        files = {"token_file": str(token)}
        world.start(
            {"secrets": {"url": plane.url, "poll_interval_s": 0.2, **files}, "report": {"url": plane.url, **files}}
        )
        world.raised("secrets_unavailable", plane.url, says="redirects")
        world.raised("report_failed", plane.url, says="redirects")
        until("another look", lambda: sum(request.startswith(b"GET / ") for request in plane.requests) > 1)
        assert not any(b"Cookie" in request for request in plane.requests)
        assert any(TOKEN.encode() in request for request in plane.requests)
    assert metadata.requests == []


ETAGS: Final = {
    "binary": b'"\xff\xfe"',
    "escapes": b'"' + QUIET + b'"',
    "long": b'"' + b"x" * 7000 + b'"',
    "tab": b'"a\tb"',
    "no-etag": b"W/" * 500,
    "utf-8": b'"\xc3\xbc"',
    "half": b"\x80",
}


@pytest.mark.parametrize("names", some(ETAGS, "binary", "escapes", "long"))
def test_a_hostile_etag(world: World, names: Sequence[str]) -> None:
    """After any ETag, the next answer is still requested and used."""
    doors = {name: world.registry(name) for name in names}
    waiting = {name: _taken_away(world, name) for name in names}
    given: list[bytes] = []
    with raw(says(reply(b'{"secrets": []}'))) as plane:
        world.start({"secrets": {"url": plane.url, "poll_interval_s": 0.2}})
        for name, secret in waiting.items():
            _say(plane, b'{"secrets": [%s]}' % b",".join(given), ETAGS[name])
            given.append(secret)
            _say(plane, b'{"secrets": [%s]}' % b",".join(given), ETAGS[name] + b"2")
            world.agent.wait_logged_in(doors[name].hostname)


def _say(plane: Raw, document: bytes, etag: bytes) -> None:
    """Answer like this from now on, and wait until the agent has taken such an answer."""
    before = len(plane.requests)
    plane.speak = says(reply(document, b"ETag: " + etag))
    until("two requests", lambda: len(plane.requests) > before + 1)


def _challenge(realm: str) -> bytes:
    return b'WWW-Authenticate: Bearer realm="%s",service="%s"' % (realm.encode(), QUIET)


def test_hostile_registries(world: World, metadata: Raw) -> None:
    """Internal realms, floods, bombs and raw texts, all at once: each fails alone, and no password goes there."""
    refused = b"401 Unauthorized"
    password = base64.b64encode(b":".join(value.encode() for value in LOGIN.values()))
    answers: dict[str, Speak] = {
        **HOSTILE_REPLIES,
        "realm-file": says(reply(b"{}", _challenge("file:///etc/passwd"), status=refused)),
        "realm-garbage": says(reply(b"{}", _challenge("http://[::1"), status=refused)),
        "realm-nowhere": says(reply(b"{}", _challenge("gopher://127.0.0.1:1/"), status=refused)),
        "realm-bomb": says(reply(b"{}", *[_challenge("https://localhost:1/" + "x" * 5000)] * 50, status=refused)),
        "challenge-bomb": says(reply(b"{}", b"WWW-Authenticate: Bearer " + b'a="b",' * 50_000, status=refused)),
        "raw-body": says(reply(_A * 50, status=b"403 Forbidden")),
        "raw-json": says(reply(json.dumps({"errors": [{"message": ATTACK}]}).encode(), status=b"500 Oops")),
        "retry-after": says(reply(b"{}", b"Retry-After: " + b"9" * 5000, b"Date: " + QUIET, status=b"429 Slow")),
        "redirect": says(reply(b"{}", b"Location: " + metadata.url.encode(), status=b"307 Away")),
        "redirect-loop": says(reply(b"{}", b"Location: /v2/", status=b"302 Round")),
    }
    servers = {name: Raw(speak) for name, speak in answers.items()}
    try:
        for name, server in servers.items():
            world.agent.give(name, server.address, **LOGIN)
        world.start({"docker": {"login_timeout_s": 6}})
        hostnames = {server.address for server in servers.values()}

        def all_told(status: dict[str, list[dict[str, str]]]) -> bool:
            return hostnames <= {warning["subject"] for warning in status["warnings"]}

        # Some replies begin with 200, so docker may take any password as correct.
        world.agent.wait_for("the first pass", lambda s: s["phase"] == "running")
        states = {row["hostname"]: row["state"] for row in world.agent.status()["registries"]}
        assert all_told(world.agent.status()) or set(states.values()) <= {"logged_in", "retrying", "rejected"}
        assert not any(password in request for request in metadata.requests)
        assert _used(world) < MOST_MEMORY
    finally:
        for server in servers.values():
            server.close()


DASHBOARD: Final = ("10-gb", "raw-status", "raw-reason", "no-http", "header-bomb", "injected", "zip-bomb")


@pytest.mark.parametrize("names", some(DASHBOARD, "10-gb", "no-http", "header-bomb"))
def test_a_hostile_dashboard(world: World, names: Sequence[str]) -> None:
    """Its answers reach no screen raw. Once it accepts the status, the notice clears."""
    with raw(says(reply(b"", status=b"204 Taken"))) as server:
        world.start({"report": {"url": server.url, "interval_s": 1}})
        for name in names:
            before = len(server.requests)
            server.speak = HOSTILE_REPLIES[name]
            until(f"two pushes to {name}", lambda before=before: len(server.requests) > before + 1)  # type: ignore[misc] # binds the loop variable
            if name not in ("zip-bomb", "10-gb", "raw-status"):  # these begin with 200
                world.raised("report_failed", server.url)
            server.speak = says(reply(b"", status=b"204 Taken"))
            world.agent.wait_for(f"the end of {name}", lambda s: "report_failed" not in _codes(s))
    assert _used(world) < MOST_MEMORY


LAUGHS: Final = b"<!DOCTYPE x [<!ENTITY a 'ha'>%s]><x>&z;</x>" % b"".join(
    b"<!ENTITY %c '%s'>" % (n, b"&%c;" % (n - 1) * 50) for n in range(ord("b"), ord("z") + 1)
)
EXTERNAL: Final = (
    b"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><E><Error><Code>A</Code><Message>&a;</Message></Error></E>"
)
AWS_REPLIES: Final[dict[str, Speak]] = {
    name: HOSTILE_REPLIES[name] for name in ("10-gb", "zip-bomb", "raw-status", "header-bomb", "deep", "content-type")
} | {
    "laughs": says(reply(LAUGHS, kind=b"text/xml", status=b"400 Bad")),
    "entity": says(reply(EXTERNAL, kind=b"text/xml", status=b"400 Bad")),
    "raw-xml": says(
        reply(
            b"<E><Error><Code>Access%s</Code><Message>%s</Message></Error></E>" % (QUIET, QUIET),
            kind=b"text/xml",
            status=b"403 No",
        )
    ),
    "raw-json": says(
        reply(json.dumps({"__type": ATTACK, "message": ATTACK, "Message": ATTACK}).encode(), status=b"400 Bad")
    ),
    "raw-token": says(
        reply(
            json.dumps(
                {
                    "authorizationData": [
                        {
                            "authorizationToken": base64.b64encode(b"AWS:" + _A).decode(),
                            "expiresAt": 1e300,
                            "proxyEndpoint": ATTACK,
                        }
                    ]
                }
            ).encode()
        )
    ),
}


@pytest.mark.parametrize("role", [False, True], ids=["ecr", "sts"])
@pytest.mark.parametrize(
    "names",
    # "laughs" gets its own agent: each such answer takes 100 MB, which the agent keeps for a while.
    [("laughs",), *some([name for name in AWS_REPLIES if name != "laughs"], "10-gb", "entity", "raw-xml", "raw-json")],
)
def test_a_hostile_aws(world: World, names: Sequence[str], *, role: bool) -> None:
    """Its garbage causes some warning for that registry alone, and costs limited memory."""
    aws = world.aws()
    door = world.ecr(aws, **({"role_arn": "arn:aws:iam::210987654321:role/pull"} if role else {}))
    with raw(AWS_REPLIES[names[0]]) as server:
        world.env["AWS_ENDPOINT_URL_STS" if role else "AWS_ENDPOINT_URL_ECR"] = server.url
        world.start({"aws": {"call_timeout_s": 3}})
        for name in names:
            before = len(server.requests)
            server.speak = AWS_REPLIES[name]
            if name != names[0]:  # the first fault can come only after the answer
                until(f"two requests for {name}", lambda before=before: len(server.requests) > before + 1)  # type: ignore[misc] # binds the loop variable
            world.agent.wait_for("its fault", lambda s: door.hostname in {w["subject"] for w in s["warnings"]})
            assert "root:" not in json.dumps(world.agent.status()), name
            assert _used(world) < MOST_MEMORY, name


def _repeats_passwords(connection: socket.socket, request: bytes) -> None:
    """Answer each login with its password."""
    login = re.search(rb"Authorization: Basic (\S+)", request, re.IGNORECASE)
    if login is None:
        connection.sendall(reply(b"{}", b"WWW-Authenticate: Basic realm=x", status=b"401 Unauthorized"))
    else:
        connection.sendall(reply(base64.b64decode(login[1]).partition(b":")[2], status=b"500 No"))


def test_registries_that_repeat_the_passwords_of_many_files(world: World) -> None:
    """No password is shown, however many of them are in files that the agent reads for each login."""
    passwords = [f"Password{number}OfAFile" for number in range(60)]
    # Each registry is another address of the loopback interface.
    with closing(Raw(_repeats_passwords, "0.0.0.0")) as server:  # noqa: S104
        port = server.address.rpartition(":")[2]
        for number, password in enumerate(passwords):
            file = world.sources.directory / f"token-{number}"
            file.write_text(password)
            file.chmod(0o600)
            world.agent.give(f"team-{number}", f"127.0.1.{number}:{port}", username="bob", password_file=str(file))
        world.start()
        shown = world.agent.wait_for(
            "all answers", lambda s: sum(bool(row["last_error"]) for row in s["registries"]) >= len(passwords)
        )
        texts = world.agent.log() + json.dumps(shown)
    assert "[redacted]" in texts
    assert [password for password in passwords if password in texts] == []
