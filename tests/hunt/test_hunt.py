"""No secret is where none may be: canaries go through logins that work, and through everything that repeats them."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from agent.demo.registries import BasicAuth, TokenAuth
from tests.codes.here import Here
from tests.codes.programs import script
from tests.codes.world import USER, World
from tests.hostile.servers import Raw, reply, says
from tests.hunt.canary import Canary, Hunt, nasty_texts
from tests.hunt.outlets import Notifications, files, said
from tests.hunt.sampler import Sampler
from tests.rig.needs import need
from tests.rig.waiting import until

KEY_ID: Final = "AKIA" + "Z" * 16
ROLE: Final = "arn:aws:iam::210987654321:role/pull"
NO_QUOTES: Final = "+/"  # the special characters of AWS's own secrets


@pytest.fixture(scope="session")
def here() -> Iterator[Here]:
    here = Here()
    yield here
    here.close()


class Chase:
    """One world, its canaries, and everything that its outlets showed."""

    def __init__(self, world: World) -> None:
        self.world: Final = world
        self.canaries: Final[list[Canary]] = []
        self.heard: Final[dict[str, bytes]] = {}
        self.systemd: Final = Notifications()
        self.sampler: Sampler | None = None
        self.texts: Final = world.home / "texts"
        self.programs: Final = world.home / "bin"
        self.recorded: Final = world.home / "recorded"
        for directory in (self.texts, self.programs):
            directory.mkdir()
        world.env["NOTIFY_SOCKET"] = self.systemd.address
        world.env["PATH"] = f"{self.programs}:{os.environ['PATH']}"
        # The last argument is the registry. If a file is named after its port, docker prints that file and fails.
        quote = f"cat {self.texts}/${{6##*:}} >&2; exit 1"
        self.wrap("docker", f'[ -n "$6" ] && [ -f {self.texts}/${{6##*:}} ] && {{ {quote}; }}')

    def wrap(self, name: str, *lines: str) -> None:
        """Put a program in front of the real one. It records what all users can see of it, then runs `lines`."""
        record = f"cat /proc/$$/cmdline /proc/$$/environ >>{self.recorded}"
        real = shutil.which(name)
        script(self.programs / name, record, *lines, f'exec {real} "$@"' if real else "exit 1")

    def canary(self, name: str, special: str | None = None, begin: str = "") -> str:
        made = Canary.make(name, begin=begin) if special is None else Canary.make(name, special, begin)
        self.canaries.append(made)
        return made.value

    def echoes(self, kind: str) -> Iterator[tuple[str, str, bytes]]:
        """Make a canary for each nasty text. Yield the name, the canary and the text."""
        for label in nasty_texts(Canary("", "x" * 30), USER):
            # Characters that are never shown, and that some readers take for the end of a line.
            canary = Canary.make(f"{kind}-{label}", *(("\u2028a\u200b\x85",) if label == "unseen" else ()))
            self.canaries.append(canary)
            yield canary.name, canary.value, nasty_texts(canary, USER)[label].encode()

    def listen(self) -> None:
        """Read all outlets now, and keep what was read before."""
        for name, content in said(self.world.agent).items():
            self.heard[f"{name} ({len(self.heard)})"] = content

    def watch(self) -> None:
        self.sampler = Sampler(lambda: self.world.pid)

    def nothing_found(self, *pushes: bytes, logins: bool = True) -> None:
        """Check the outlets, the children, and the disk."""
        assert self.sampler is not None
        children = self.sampler.stop()
        assert not logins or any(b"login" in content for content in children.values())
        assert self.sampler.core_limits == {b"1 1"} or not logins
        allowed = {
            self.world.agent.docker: "Docker's own store",
            self.world.agent.secrets: "the source",
            self.texts: "the test's own",
            self.world.home / "tokens": "the source",
            self.world.home / "stored": "the credential helper's own store",
        }
        places = {
            **self.heard,
            **children,
            **{str(path): content for path, content in files(self.world.home, allowed)},
            **{f"push {number}": push for number, push in enumerate(pushes)},
            "systemd": self.systemd.heard,
        }
        assert self.recorded.read_bytes()
        found = Hunt(self.canaries).found(places)
        assert not found, "\n".join([f"{len(found)} found", *found])

    def close(self) -> None:
        if self.sampler is not None:
            self.sampler.stop()
        self.systemd.close()


@pytest.fixture
def chase(here: Here, tmp_path: Path) -> Iterator[Chase]:
    need("docker")
    world = World(here, tmp_path / "home")
    chase = Chase(world)
    try:
        yield chase
    finally:
        chase.close()
        world.close()


@pytest.mark.parametrize("style", ["json", "console"])
def test_logins_that_work(chase: Chase, style: str) -> None:  # noqa: PLR0915 - one story, from start to logout
    """Passwords, tokens, AWS keys, bearer tokens, environment and proxies are used, renewed, changed and removed."""
    world = chase.world
    password, later, bearer, pushed, tcp, web, proxy = (
        chase.canary("password"),
        chase.canary("later"),
        *(chase.canary(name, NO_QUOTES) for name in ("control plane", "dashboard", "status", "web identity", "proxy")),
    )
    tokens = world.home / "tokens"
    tokens.mkdir()
    for name, value in (("plane", bearer), ("dashboard", pushed), ("status", tcp), ("web", web)):
        (tokens / name).write_text(value)
    users, helped_users = {USER: password}, {USER: password}
    basic = world.registry("basic", BasicAuth(users), {"username": USER, "password": password})
    token = world.registry("token", TokenAuth({USER: password}), {"username": USER, "password": password})
    in_variable = chase.canary("variable")
    varied = world.registry("varied", BasicAuth({USER: in_variable}))
    (world.agent.secrets / "varied.json").unlink()
    aws = world.aws()
    aws.web_identities[web] = "workspace"
    principal = aws.add_user("ci")
    chase.canaries.append(Canary("aws key", principal.secret_access_key))
    own_keys = {"username": principal.access_key_id, "password": principal.secret_access_key}
    ecr = [world.ecr(aws), world.ecr(aws, "keys", **own_keys), world.ecr(aws, "role", role_arn=ROLE)]
    helped = world.registry("helped", BasicAuth(helped_users), {"username": USER, "password": password})
    chase.wrap(
        "docker-credential-theirs",
        f"file={world.home}/stored",
        'case $1 in store) cat >"$file"; exit;; erase) rm -f "$file"; exit;; esac',
        'cat "$file" 2>/dev/null && exit; echo credentials not found in native keychain; exit 1',
    )
    (world.agent.docker / "config.json").write_text(json.dumps({"credHelpers": {helped.hostname: "theirs"}}))
    chase.wrap("aws", "echo aws-cli/2.31.0; exit")
    pushes: list[bytes] = []
    plane = Raw(says(reply(json.dumps({"secrets": []}).encode())))
    board = Raw(says(reply(b"", status=b"204 Taken")))
    doors = [basic, token, varied, helped, *ecr]
    names = [door.hostname for door in doors]
    try:
        world.start(
            {
                "secrets": {
                    "url": plane.url,
                    "token_file": str(tokens / "plane"),
                    "poll_interval_s": 0.3,
                    "removed": "logout",
                },
                "report": {"url": board.url, "token_file": str(tokens / "dashboard")},
                "status": {"listen": "", "token_file": str(tokens / "status")},
                "aws": {"identity_token_file": str(tokens / "web")},
                "log": {"level": "debug", "format": style},
            },
            REGISTRY_AGENT_SECRETS=json.dumps(
                {"name": "varied", "hostname": varied.hostname, "username": USER, "password": in_variable}
            ),
            HTTPS_PROXY=f"http://user:{proxy}@127.0.0.1:1",
            UNKNOWN_TOKEN=chase.canary("somebody's variable"),
            AWS_SECRET_ACCESS_KEY=chase.canary("AWS variable", NO_QUOTES),
            GITPOD_IMAGE_AUTH="ghcr.invalid:" + base64.b64encode(f"a:{chase.canary('gitpod')}".encode()).decode(),
            REGISTRY_AGENT_SECRETS_EXCLUDE='["ghcr.invalid"]',
        )
        chase.watch()
        world.agent.wait_logged_in(*names)
        for entry in world.agent.docker_config()["auths"].values():
            user, _, value = base64.b64decode(entry.get("auth", "")).decode().partition(":")
            if user == "AWS":
                chase.canaries.append(Canary("ECR token", value))
        chase.listen()
        assert world.agent.command("renew").returncode == 0
        users[USER] = helped_users[USER] = later
        for door, name in ((basic, "basic"), (helped, "helped")):
            world.agent.give(name, door.hostname, username=USER, password=later)
        stored = world.home / "stored"
        world.agent.wait_for("the new password's use", lambda _: json.dumps(later)[1:-1] in stored.read_text())
        chase.listen()
        (world.agent.secrets / "basic.json").unlink()
        until("its logout", lambda: basic.hostname not in world.agent.docker_config()["auths"])
        chase.listen()
        until("a push", lambda: board.requests)
        pushes = [request.partition(b"\r\n\r\n")[2] for request in board.requests]
        assert any(bearer.encode() in request for request in plane.requests)
    finally:
        plane.close()
        board.close()
    # A proxy's password is in the variable that every program takes the proxy from (section 3), and nowhere else.
    assert chase.sampler is not None
    _without_proxy(chase.sampler.stop(), proxy)
    recorded = chase.recorded.read_bytes().replace(f":{proxy}@".encode(), b"")
    chase.recorded.write_bytes(recorded)
    chase.nothing_found(*pushes)


def _without_proxy(children: dict[str, bytes], password: str) -> None:
    for place, content in children.items():
        if place.startswith("environment"):
            children[place] = content.replace(f"HTTPS_PROXY=http://user:{password}@".encode(), b"")


def test_everything_that_repeats_a_secret(chase: Chase) -> None:
    """Registries, the CLI and credential helpers quote the password in every notation, cut at every limit."""
    world = chase.world
    servers: list[Raw] = []
    hostnames: set[str] = set()
    by_docker: set[str] = set()
    helpers: dict[str, str] = {}
    try:
        for name, value, text in chase.echoes("registry"):
            server = Raw(
                says(
                    reply(
                        text,
                        b"X-Echo: " + text[:4000].translate(None, bytes(range(32))),
                        status=b"403 No",
                        kind=b"text/plain",
                    )
                )
            )
            servers.append(server)
            hostnames.add(server.address)
            world.agent.give(name, server.address, username=USER, password=value)
        for name, value, text in chase.echoes("docker"):
            door = world.registry(name, secret={"username": USER, "password": value})
            hostnames.add(door.hostname)
            by_docker.add(door.hostname)
            (chase.texts / str(door.listener.port)).write_bytes(text)
        for number, (name, value, text) in enumerate(chase.echoes("helper")):
            door = world.registry(name, BasicAuth({USER: value}), {"username": USER, "password": value})
            hostnames.add(door.hostname)
            helpers[door.hostname] = f"h{number}"
            (chase.texts / f"h{number}").write_bytes(text)
            not_there = "[ $1 = get ] && { echo credentials not found in native keychain; exit 1; }"
            script(
                chase.programs / f"docker-credential-h{number}", not_there, f"cat {chase.texts}/h{number} >&2; exit 1"
            )
        (world.agent.docker / "config.json").write_text(json.dumps({"credHelpers": helpers}))
        world.start({"log": {"level": "debug"}, "retry": {"first_wait_s": 60, "max_wait_s": 60, "rejected_wait_s": 60}})
        chase.watch()
        status = world.agent.wait_for(
            "a fault of each", lambda s: hostnames <= {w["subject"] for w in s["warnings"]}, timeout=50
        )
        assert {w["code"] for w in status["warnings"] if w["subject"] in by_docker} == {"docker_cli_failed"}
        chase.listen()
        chase.nothing_found()
    finally:
        for server in servers:
            server.close()


def test_an_aws_that_repeats_its_secrets(chase: Chase) -> None:
    """ECR and STS quote keys, session tokens and web identity tokens in their errors."""
    world = chase.world
    key, session, web = (chase.canary(name, NO_QUOTES) for name in ("aws key", "session", "web identity"))
    (world.home / "tokens").mkdir()
    (world.home / "tokens" / "web").write_text(web)

    def echo(connection: object, request: bytes) -> None:
        sent = web if b"WebIdentityToken" in request else ""
        text = f"User {key} {session} {sent} is wrong; {request[:9000].decode(errors='replace')}"
        body = json.dumps({"__type": "AccessDeniedException", "message": text}).encode()
        kind = b"application/x-amz-json-1.1"
        if b"Action=" in request:
            quoted = json.dumps(text).replace("&", "&amp;").replace("<", "&lt;").encode()
            body = (
                b"<ErrorResponse><Error><Code>AccessDenied</Code><Message>%s</Message></Error></ErrorResponse>" % quoted
            )
            kind = b"text/xml"
        connection.sendall(reply(body, status=b"400 Bad", kind=kind))  # type: ignore[attr-defined]

    server = Raw(echo)
    try:
        world.env.update(dict.fromkeys(("AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS"), server.url))
        common = {"kind": "ecr", "region": "eu-west-1"}
        keys = {"username": KEY_ID, "password": key, "session_token": session}
        world.agent.give("keys", "one.invalid", **common, **keys)
        world.agent.give("role", "two.invalid", **common, **keys, role_arn=ROLE)
        world.agent.give("web", "three.invalid", **common, username="runner-native", role_arn=ROLE)
        world.start({"aws": {"identity_token_file": str(world.home / "tokens" / "web")}, "log": {"level": "debug"}})
        chase.watch()
        subjects = {"one.invalid", "two.invalid", "three.invalid"}
        world.agent.wait_for("a fault of each", lambda s: subjects <= {w["subject"] for w in s["warnings"]})
        assert any(web.encode() in request or b"WebIdentityToken" in request for request in server.requests)
        chase.listen()
        chase.nothing_found(logins=False)
    finally:
        server.close()


def test_servers_that_repeat_bearer_tokens(chase: Chase) -> None:
    """The control plane and the dashboard answer with the token that they got, in places that an error quotes."""
    world = chase.world
    (world.home / "tokens").mkdir()
    bearer = chase.canary("bearer", NO_QUOTES)
    (world.home / "tokens" / "bearer").write_text(bearer)
    answers = [
        f"HTTP/1.1 200 {bearer}\r\nContent-Length: x{bearer}\r\n\r\n",
        f"{bearer} is no HTTP\r\n\r\n",
        f"HTTP/1.1 500 {bearer}\r\nContent-Length: 0\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nX: {bearer}\0\r\n\r\n",
        f'HTTP/1.1 200 OK\r\nContent-Length: 60\r\nContent-Type: application/json\r\n\r\n{{"secrets": [{{"{bearer}": ',
        f"HTTP/1.1 302 Away\r\nLocation: http://{bearer}@x/{bearer}\r\nContent-Length: 0\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Encoding: {bearer}\r\nContent-Length: 2\r\n\r\nxx",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{bearer}\r\n",
    ]
    server = Raw(says(answers[0].encode()))
    token_file = {"token_file": str(world.home / "tokens" / "bearer")}
    try:
        world.start(
            {
                "secrets": {"url": server.url, "poll_interval_s": 0.2, **token_file},
                "report": {"url": server.url, "interval_s": 1, **token_file},
                "log": {"level": "debug"},
            }
        )
        chase.watch()
        for answer in answers:
            server.speak = says(answer.encode())
            before = len(server.requests)
            until("both asked again", lambda: len({r[:4] for r in server.requests[before:]}) == 2)  # noqa: B023 - waited for here
            chase.listen()
        chase.nothing_found(logins=False)  # the login ended before the sampler started
    finally:
        server.close()


def test_the_hunter_bites(chase: Chase) -> None:
    """It finds a canary in each kind of place and notation, whole or cut. Without a canary it finds nothing."""
    canary = Canary.make("planted")
    hunt, stranger = Hunt([canary, Canary.make("another")]), Hunt([Canary.make("a third")])
    for label, text in nasty_texts(canary, "somebody").items():
        border = label.rpartition("-")[2]
        shown = text[: int(border)] if border.isdigit() else text
        assert hunt.found({label: f"before {shown} after".encode()}), label
        assert stranger.found({label: f"before {shown} after".encode()}) == []
    assert hunt.found({"half": canary.value[8:20].encode()})
    (chase.world.home / "deep").mkdir()
    (chase.world.home / "deep" / "file").write_text(f"x{canary.value}")
    assert hunt.found({str(path): content for path, content in files(chase.world.home, {})})
    assert not hunt.found({str(p): c for p, c in files(chase.world.home, {chase.world.home / "deep": "allowed"})})
    sampler = Sampler(os.getpid)
    with _child([canary.value], {}), _child(["60"], {"NAMED": canary.value}):
        until(
            "both",
            lambda: {place.split(" of ")[0] for place in _places(hunt, sampler)} == {"command line", "environment"},
        )
    sampler.stop()


def _places(hunt: Hunt, sampler: Sampler) -> list[str]:
    return [found.removeprefix("planted in ") for found in hunt.found(dict(sampler.seen))]


@contextlib.contextmanager
def _child(args: list[str], environ: Mapping[str, str]) -> Iterator[None]:
    process = subprocess.Popen(["sh", "-c", "sleep 60; true", *args], env={**os.environ, **environ})
    try:
        yield
    finally:
        process.kill()
        process.wait()
