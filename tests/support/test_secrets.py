"""No secret is in a bundle, although every source contains canaries and every part repeats them in every encoding."""

import base64
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.support.known_secrets import secrets_in
from tests.cli.commands import ended
from tests.hunt.canary import Canary, Hunt, nasty_texts
from tests.rig.needs import need_root
from tests.support.conftest import Machine, unpacked
from tests.support.stub import answering, program

NO_QUOTES = "+/"


def login(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@contextmanager
def control_plane(password: str, on_request: Callable[[], None] = lambda: None) -> Iterator[str]:
    """A URL that returns a secret."""
    secret = {"name": "remote", "hostname": "remote.example", "username": "ada", "password": password}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            on_request()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"secrets": [secret]}).encode())

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/secrets"
        server.shutdown()


def descendants(pid: int) -> dict[str, bytes]:
    """The variables and the command lines of the children of a process, and of their children."""
    found: dict[str, bytes] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            found |= {f"{child} {name}": Path(f"/proc/{child}/{name}").read_bytes() for name in ("environ", "cmdline")}
            found |= descendants(child)
    return found


class Canaries:
    """A canary in every place where this user's agent, Docker, podman or AWS reads a secret."""

    def __init__(self, machine: Machine) -> None:
        self.all: list[Canary] = []
        self.machine = machine
        self._secrets()
        self._environment()
        self._files()

    def new(self, name: str, special: str | None = None) -> str:
        canary = Canary.make(name) if special is None else Canary.make(name, special)
        self.all.append(canary)
        return canary.value

    def _secrets(self) -> None:
        good = {"name": "team", "hostname": "ghcr.io", "username": "ada", "password": self.new("secret file")}
        bad = {"name": "bad", "hostname": "a b", "username": "ada", "password": self.new("faulty secret")}
        aws = {"name": "aws", "hostname": "x.example", "username": "AWS", "session_token": self.new("session token")}
        (self.machine.secrets / "a.json").write_text(json.dumps([good, bad, aws]))
        (self.machine.secrets / "b.json").write_text('{"password": "' + self.new("no JSON", NO_QUOTES) + '", ')
        docker = {"auths": {"quay.io": {"auth": login("ada", self.new("Docker's format"))}}}
        (self.machine.secrets / ".dockerconfigjson").write_text(json.dumps(docker))
        hidden = {"auths": {"f.example": {"auth": login("ada", self.new("base64 in a manifest"))}}}
        data = f"data:\n  .dockerconfigjson: {base64.b64encode(json.dumps(hidden).encode()).decode()}\n"
        (self.machine.secrets / "regcred.yaml").write_text(f"apiVersion: v1\nkind: Secret\n{data}")
        wide = {"name": "wide", "hostname": "g.example", "username": "ada", "password": self.new("UTF-16")}
        (self.machine.secrets / "wide").write_bytes(json.dumps(wide).encode("utf-16"))
        held = self.machine.home / "held-token"
        held.write_text(self.new("a password file of a secret"))
        filed = {"name": "filed", "hostname": "h.example", "username": "ada", "password_file": str(held)}
        (self.machine.secrets / "filed.json").write_text(json.dumps(filed))
        (self.machine.secrets / "empty.json").write_text("[]")
        (self.machine.secrets / "plain.json").write_text(self.new("a file that is the password"))
        fields = self.machine.secrets / "fields"
        fields.mkdir()
        (fields / "password").write_text(self.new("field file") + "\n")

    def _environment(self) -> None:
        secret = {"name": "env", "hostname": "env.example", "username": "ada", "password": self.new("variable")}
        self.machine.env |= {
            "REGISTRY_AGENT_SECRETS": json.dumps(secret),
            "GITPOD_IMAGE_AUTH": f"a.example:{login('ada', self.new('gitpod'))}",
            "X_CONTAINER_REGISTRY_PASSWORD": self.new("codespaces"),
            "AWS_SECRET_ACCESS_KEY": self.new("AWS key", NO_QUOTES),
            "HTTPS_PROXY": f"http://ada:{self.new('proxy', '-')}@127.0.0.1:9",
            "DOCKER_AUTH_CONFIG": json.dumps(
                {"auths": {"b.example": {"auth": login("ada", self.new("DOCKER_AUTH_CONFIG"))}}}
            ),
            "SOME_API_TOKEN": self.new("another variable"),
            "AWS_CONFIG_FILE": "~/team/aws",
        }

    def _files(self) -> None:
        home = self.machine.home
        entry = {"auth": login("ada", self.new("config.json"))}
        config = {
            "auths": {"c.example": entry, "d.example": {"identitytoken": self.new("identity token")}},
            "HttpHeaders": {"X-Key": self.new("header")},
            "proxies": {"default": {"httpProxy": f"http://u:{self.new('proxy of docker', '-')}@p"}},
        }
        (self.machine.docker / "config.json").write_text(json.dumps(config))
        podman = home / "session/containers"
        podman.mkdir(parents=True)
        auths = {"auths": {"e.example": {"auth": login("ada", self.new("podman"))}}}
        (podman / "auth.json").write_text(json.dumps(auths))
        (home / ".aws").mkdir()
        (home / ".aws/credentials").write_text(f"[x]\naws_secret_access_key = {self.new('profile', NO_QUOTES)}\n")
        (home / "team").mkdir()
        (home / "team/aws").write_text(f"[x]\naws_secret_access_key = {self.new('a file with ~', NO_QUOTES)}\n")
        (home / ".config/gcloud").mkdir(parents=True)
        headers = {"Authorization": f"Bearer {self.new('header of a token service')}"}
        login_of_gcloud = {
            "refresh_token": self.new("gcloud's refresh token"),
            "credential_source": {"headers": headers},
        }
        (home / ".config/gcloud/application_default_credentials.json").write_text(json.dumps(login_of_gcloud))
        for name in ("secrets", "status", "report"):
            (home / f"{name}.token").write_text(self.new(f"{name}.token_file", NO_QUOTES) + "\n")

    def sections(self, url: str) -> dict[str, dict[str, object]]:
        home = self.machine.home
        hook = f"https://hooks.example/{self.new('path of report.url', '-')}"
        return {
            "secrets": {"url": url, "token_file": f"{home}/secrets.token"},
            "status": {"token_file": f"{home}/status.token"},
            "report": {
                "url": f"https://hooks.example/{hook}?key={self.new('query', '-')}",
                "token_file": f"{home}/report.token",
            },
            "aws": {"identity_token_command": ["gp", "idp", self.new("argument", "-")]},
        }

    def nasty(self, shortest: int, longest: int) -> list[str]:
        """Each secret in each encoding in which a program may repeat it, also cut off; texts of such lengths."""
        known = [canary for canary in self.all if canary.name != "argument"]
        nasty = (text for canary in known for text in nasty_texts(canary, "ada").values())
        return [
            *(text for text in nasty if shortest <= len(text) < longest),
            *(f"{canary.value[:12]}… so on" for canary in known),
        ]


# Two bundles, so that each is redacted within the command's own deadline on a slow machine. Texts of 4,000 characters
# and more are left out: a part has room for only a few of them.
@pytest.mark.parametrize(("shortest", "longest"), [(0, 1000), (1000, 4000)])
async def test_contains_no_secret_in_any_encoding(machine: Machine, shortest: int, longest: int) -> None:
    """Even if the agent, the journal or a program repeats it. The terminal shows none either."""
    canaries = Canaries(machine)
    remote = canaries.new("secrets.url")
    with control_plane(remote) as url:
        machine.set(canaries.sections(url))
        texts = canaries.nasty(shortest, longest)
        status = {"message": texts, "sown": {text: text for text in texts}, "odd": "\n".join(texts)}
        logs = "\n".join(json.dumps({"time": "2026-01-01T00:00:00Z", "none": [], "message": text}) for text in texts)
        output = machine.home / "output"
        plain = "\n".join(texts)
        output.write_text(plain)
        journal = machine.home / "journal"
        journal.write_text(
            "\n".join(json.dumps({"__REALTIME_TIMESTAMP": "1767225600000000", "MESSAGE": text}) for text in texts)
        )
        record = f"cat /proc/$$/environ /proc/$$/cmdline >>{machine.home}/recorded"
        program(machine.bin, "journalctl", record, f"cat {journal}")
        for name in ("docker", "aws", "systemctl"):
            program(machine.bin, name, record, f"cat {output}")
        answers = {
            "/v1/status": json.dumps(status),
            "/v1/logs": logs,
            "/v1/timeline": logs,
            "/metrics": "\n".join(texts),
        }
        with answering(machine.socket, {path: answer.encode() for path, answer in answers.items()}):
            done = await machine.run("-o", "out.tar.gz")
    files = unpacked((machine.here / "out.tar.gz").read_bytes())
    assert {"status.json", "events.jsonl", "timeline.jsonl", "journal.jsonl", "metrics.txt", "unit.txt"} <= files.keys()
    assert [json.loads(line)["none"] for line in files["events.jsonl"].splitlines()][:2] == [[], []]
    hunt = Hunt(canaries.all)
    assert hunt.found({**files, "screen": (done.out + done.err).encode()}) == []
    # Children see no secret, except the proxy's password and the argument of the command that is meant for them.
    children = Hunt(canary for canary in canaries.all if canary.name not in ("proxy", "argument"))
    assert children.found({"children": (machine.home / "recorded").read_bytes()}) == []
    assert done.code == 0


def test_finds_the_key_in_report_url_from_the_units_variables() -> None:
    """This command's own settings do not have it, but the agent's messages contain the path of the URL."""
    environ = {"REGISTRY_AGENT_REPORT_URL": "https://hooks.example/in/0123456789abcdef?more=query-key"}
    assert {"0123456789abcdef", "query-key"} <= set(secrets_in(environ))
    assert "https:" not in set(secrets_in({"REGISTRY_AGENT_REPORT_URL": "https://[broken/0123456789abcdef"}))


async def test_no_child_has_a_secret_in_its_variables_or_on_its_command_line(machine: Machine) -> None:
    """Except the proxy's password, because without it the doctor cannot use the proxy. The doctor gets the settings."""
    need_root("to see the variables of a process that nobody may debug")
    canaries = Canaries(machine)
    key, password = canaries.new("key of secrets.url", ""), canaries.new("password of report.url", "")
    seen: dict[str, bytes] = {}

    def look() -> None:
        seen.update(descendants(command.pid))

    with control_plane("a password of a registry", look) as url:
        machine.env["REGISTRY_AGENT_SECRETS_URL"] = f"{url}?key={key}"
        command = await machine.start(
            "--set", f"report.url=https://ada:2026/{password}@127.0.0.1:9/", "-o", "out.tar.gz"
        )
        done = await ended(command)
    assert done.code == 0
    files = unpacked((machine.here / "out.tar.gz").read_bytes())
    assert "remote.example" in files["doctor.json"].decode(), "it has read secrets.url"
    assert seen
    assert Hunt(canary for canary in canaries.all if canary.name != "proxy").found({**files, **seen}) == []


async def test_the_list_counts_redactions_and_contains_no_value(machine: Machine) -> None:
    """It shows the number per kind, and the sources of the known secrets."""
    canaries = Canaries(machine)
    secret = canaries.all[0].value
    unknown = "Authorization: Basic " + login("ada", "nobody knows this one")
    logs = json.dumps({"message": f"{secret} and {secret}", "event": "[redacted] before"}) + "\n" + unknown
    with answering(machine.socket, {"/v1/logs": logs.encode()}):
        await machine.run("-o", "out.tar.gz")
    files = unpacked((machine.here / "out.tar.gz").read_bytes())
    manifest = files["MANIFEST.txt"].decode()
    assert "     2 times  known secret" in manifest
    assert "     1 times  authorization header" in manifest
    assert "     1 times  already redacted by the agent" in manifest
    assert f"values  secrets in {machine.secrets}" in manifest
    assert f"values  logins in {machine.docker}/config.json" in manifest
    assert Hunt(canaries.all).found({"MANIFEST": files["MANIFEST.txt"]}) == []


async def test_names_a_source_that_cannot_be_read(machine: Machine) -> None:
    """Its secrets are then redacted by pattern only, which the sender of the bundle has to know."""
    machine.set({"secrets": {"url": "http://127.0.0.1:9/secrets"}})
    done = await machine.run("-o", "out.tar.gz")
    manifest = unpacked((machine.here / "out.tar.gz").read_bytes())["MANIFEST.txt"].decode()
    assert "SECRETS THAT COULD NOT BE READ" in manifest
    assert "redacted by pattern only, not by value: secrets.url" in " ".join(done.out.split())
