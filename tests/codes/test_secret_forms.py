"""Secrets in the forms that people and platforms hand over: each is used, or reported with its fix."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from agent.demo.listener import Listener
from agent.demo.registries import BasicAuth
from agent.demo.tls import server_context
from agent.model.encoded_login import login_of
from tests.codes.causes import causes
from tests.codes.world import LOGIN, NATIVE, PASSWORD, USER, USERS, Door, World
from tests.fakecloud.aws import PretendAws
from tests.fakecloud.registries import PretendRegistry
from tests.hunt.canary import Canary
from tests.rig.waiting import until

GOOGLE: Final = "_json_key"
_KEY: Final = Canary.make("a Google key", "")
KEY: Final = json.dumps({"type": "service_account", "private_key": f"---BEGIN---\n{_KEY.value}\n---END---\n"}, indent=2)
Write = Callable[[Path, str], None]


@pytest.fixture(scope="module")
def aws(shared: World) -> PretendAws:
    """The AWS of the agent that all tests share."""
    return shared.aws(token_life_s=3600)


@pytest.fixture(scope="module")
def doors(shared: World, aws: PretendAws) -> dict[str, Door]:  # noqa: ARG001 - the agent must know AWS when it starts
    """Registries with a Google key, whose secrets are in variables. Starts the agent."""
    shared.sources.canaries.append(_KEY)
    doors = {name: _without_secret(shared, name, {GOOGLE: KEY}) for name in ("json", "codespaces", "gitpod")}
    one = {"name": "json", "hostname": doors["json"].hostname, "username": GOOGLE, "password": KEY}
    shared.start(
        REGISTRY_AGENT_SECRETS=json.dumps(one),
        X_CONTAINER_REGISTRY_SERVER=doors["codespaces"].hostname,
        X_CONTAINER_REGISTRY_USER=GOOGLE,
        X_CONTAINER_REGISTRY_PASSWORD=KEY,
        GITPOD_IMAGE_AUTH=f"{doors['gitpod'].hostname}:{_base64(f'{GOOGLE}:{KEY}')}",
    )
    return doors


@pytest.fixture
def world(doors: dict[str, Door], shared_world: World) -> Iterator[World]:  # noqa: ARG001 - which has started it
    yield shared_world
    # The fixture of all modules removes only files.
    for path in shared_world.agent.secrets.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def _without_secret(world: World, name: str, users: dict[str, str]) -> Door:
    door = world.registry(name, BasicAuth(users))
    (world.agent.secrets / f"{door.secret}.json").unlink()
    return door


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _docker(host: str) -> str:
    return json.dumps({"auths": {host: {"auth": _base64(f"{USER}:{PASSWORD}")}}}, indent=2)


def _manifest(host: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "regcred"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": _base64(_docker(host))},
    }


def _file(name: str, content: Callable[[str], str | bytes]) -> Write:
    def write(directory: Path, host: str) -> None:
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        found = content(host)
        path.write_bytes(found if isinstance(found, bytes) else found.encode())

    return write


def _yaml(host: str) -> str:
    head = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: regcred\ntype: kubernetes.io/dockerconfigjson\n"
    return f"{head}data:\n  .dockerconfigjson: {_base64(_docker(host))}\n"


def _yaml_text(host: str) -> str:
    return (
        f"apiVersion: v1\nkind: Secret\nstringData:\n  hostname: {host}\n  username: {USER}\n  password: '{PASSWORD}'\n"
    )


PASTED: Final[dict[str, Write]] = {
    "dockercfg": _file(".dockercfg", lambda host: json.dumps(json.loads(_docker(host))["auths"])),
    "compose secret without a suffix": _file("regcred", _docker),
    "Kubernetes secret one directory deep": _file("regcred/.dockerconfigjson", _docker),
    "Secret manifest in JSON": _file("regcred.json", lambda host: json.dumps(_manifest(host))),
    "Secret manifest in YAML": _file("regcred.yaml", _yaml),
    "Secret manifest with stringData": _file("regcred.yml", _yaml_text),
    "JSON encoded twice": _file("twice.json", lambda host: json.dumps(_docker(host))),
    "JSON in quotes": _file("quotes.json", lambda host: f"'{_docker(host)}'"),
    "JSON with backslashes": _file("shell.json", lambda host: _docker(host).replace('"', '\\"')),
    "base64 of JSON": _file("base64.json", lambda host: _base64(_docker(host))),
    "UTF-16 of PowerShell": _file("utf16.json", lambda host: _docker(host).replace("\n", "\r\n").encode("utf-16")),
    "byte order mark": _file("bom.json", lambda host: _docker(host).encode("utf-8-sig")),
    "output of a credential helper": _file(
        "helper", lambda host: json.dumps({"ServerURL": host, "Username": USER, "Secret": PASSWORD})
    ),
}


@pytest.mark.parametrize("form", PASTED)
def test_a_secret_as_people_paste_it(world: World, form: str) -> None:
    """The agent logs in with it, without a warning."""
    door = _without_secret(world, "pasted", USERS)
    PASTED[form](world.agent.secrets, door.hostname)
    status = world.well_again(door.hostname)
    assert [w for w in status["warnings"] if str(world.agent.secrets) in w["subject"]] == []


def _as_json(directory: Path, host: str) -> None:
    value = {"name": "google", "hostname": host, "username": GOOGLE, "password": KEY}
    (directory / "google.json").write_text(json.dumps(value))


def _as_docker(directory: Path, host: str) -> None:
    (directory / "pull.json").write_text(json.dumps({"auths": {host: {"auth": _base64(f"{GOOGLE}:{KEY}")}}}))


def _as_fields(directory: Path, host: str) -> None:
    (directory / "google").mkdir()
    for name, content in {"hostname": host, "username": GOOGLE, "password": f"{KEY}\n"}.items():
        (directory / "google" / name).write_text(content)


def _as_object(directory: Path, host: str) -> None:
    value = {"name": "google", "hostname": host, "username": GOOGLE, "password": json.loads(KEY)}
    (directory / "google.json").write_text(json.dumps(value))


FORMS: Final = {"JSON": _as_json, "auth": _as_docker, "fields": _as_fields, "object": _as_object}


@pytest.mark.parametrize("form", FORMS)
def test_a_google_key_as_password(world: World, form: str) -> None:
    """It spans many lines, and Docker stores all of them."""
    key = json.dumps(json.loads(KEY)) if form == "object" else KEY
    door = _without_secret(world, "google", {GOOGLE: key})
    FORMS[form](world.agent.secrets, door.hostname)
    world.well_again(door.hostname)
    assert _stored(world, door.hostname) == (GOOGLE, key)


@pytest.mark.parametrize("name", ["json", "codespaces", "gitpod"])
def test_a_google_key_in_a_variable(world: World, doors: dict[str, Door], name: str) -> None:
    """In each of the variables."""
    world.well_again(doors[name].hostname)
    assert _stored(world, doors[name].hostname) == (GOOGLE, KEY)


@pytest.mark.parametrize(
    ("user", "form"),
    [("aws", "{}"), ("AWS", "AWS:{}"), ("aws", "base64"), (None, "base64")],
    ids=["lower case", "with AWS in front", "authorizationToken", "without a user name"],
)
def test_an_ecr_token_as_people_paste_it(world: World, aws: PretendAws, user: str | None, form: str) -> None:
    """ECR itself accepts only the user name AWS and the bare token."""
    token = aws.tokens.issue("arn:aws:iam::123456789012:user/ci", NATIVE["region"], aws.now().replace(year=2100))
    pasted = _base64(f"AWS:{token.password}") if form == "base64" else form.format(token.password)
    door = world.ecr(aws, "ready")
    value = {"name": door.secret, "hostname": door.hostname, **NATIVE, "username": user, "password": pasted}
    (world.agent.secrets / f"{door.secret}.json").write_text(json.dumps(value))
    world.agent.wait_for("the token", lambda s: ("token_not_renewable", door.hostname) in _keys(s))
    world.well_again(door.hostname)
    assert _stored(world, door.hostname) == ("AWS", token.password)


def _keys(status: dict[str, Any]) -> set[tuple[str, str]]:
    return {(w["code"], w["subject"]) for w in status["warnings"]}


def _stored(world: World, host: str) -> tuple[str, str]:
    config = world.agent.docker / "config.json"
    until("the stored login", lambda: host in json.loads(config.read_text())["auths"])
    return login_of(json.loads(config.read_text())["auths"][host]["auth"])


def _directory(name: str) -> Write:
    return lambda directory, _host: (directory / name).mkdir(parents=True)


def _password_as_a_directory(directory: Path, host: str) -> None:
    (directory / "team/password").mkdir(parents=True)
    (directory / "team/hostname").write_text(host)


_OTHER_NAME: Final = {"name": "one", "server": "ghcr.io", **LOGIN}
# What the test writes, and then the subject below the directory, a word of the message, and one of the hint.
UNUSABLE: Final[dict[str, tuple[Write, str, str, str]]] = {
    "notes": (
        _file("notes.txt", lambda _: "the login is in the vault"),
        "notes.txt",
        "plain text",
        "another directory",
    ),
    "bare password": (_file("token", lambda _: PASSWORD), "token", "single value", "JSON object"),
    "certificate": (_file("tls/ca.crt", lambda _: "-----BEGIN CERTIFICATE-----"), "tls/ca.crt", "PEM", "another"),
    "Secret of another type": (
        _file("tls.json", lambda host: json.dumps({**_manifest(host), "type": "kubernetes.io/tls"})),
        "tls.json",
        "of the type kubernetes.io/tls",
        "kubernetes.io/dockerconfigjson",
    ),
    "SealedSecret": (
        _file("sealed.yaml", lambda _: "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\n"),
        "sealed.yaml",
        "a Kubernetes SealedSecret",
        "kubernetes.io/dockerconfigjson",
    ),
    "key under another name": (
        _file("one.json", lambda _: json.dumps(_OTHER_NAME)),
        "one.json#one",
        "the key server",
        "server to hostname",
    ),
    "configuration with a helper": (
        _file("config.json", lambda _: '{"credsStore": "desktop"}'),
        "config.json",
        "desktop keeps them",
        "add a secret",
    ),
    "directory of a failed mount": (_directory("team.json"), "team.json", "empty directory", "restart the container"),
    "password that is a directory": (_password_as_a_directory, "team", "a directory, not", "regular file"),
    "file two directories deep": (_directory("a/b/c"), "a/b", "too deep", "secrets.directories"),
}


@causes("secret_invalid")
@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_is_no_secret(world: World, name: str) -> None:
    """It is called by its name, and the hint is the fix for it."""
    write, where, says, hint = UNUSABLE[name]
    write(world.agent.secrets, "registry.invalid")
    subject = str(world.agent.secrets / where)
    warning = world.raised("secret_invalid", subject, says=says)
    assert hint in warning["hint"]
    path = world.agent.secrets / where.partition("#")[0].partition("/")[0]
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    world.cleared("secret_invalid", subject)


@causes("secret_hostname")
def test_a_hostname_with_the_default_port(world: World) -> None:
    """Images do not name it, and Docker compares names. The agent logs in to both."""
    registry = PretendRegistry(BasicAuth(USERS))
    try:
        listener = Listener(registry.handle, host="127.0.0.44", port=443, tls=server_context())
    except OSError:
        pytest.skip("needs the right to listen on port 443")
    world.cleanup.callback(lambda: world.here.call(listener.close()))
    world.up(listener)
    world.agent.give("ported", "https://127.0.0.44:443/", **LOGIN)
    subject = f"{world.agent.secrets / 'ported.json'}#ported"
    world.raised("secret_hostname", subject, says="127.0.0.44:443")
    world.agent.wait_logged_in("127.0.0.44", "127.0.0.44:443")
    assert _stored(world, "127.0.0.44") == _stored(world, "127.0.0.44:443") == (USER, PASSWORD)
    world.agent.give("ported", "127.0.0.44", **LOGIN)
    world.cleared("secret_hostname", subject)
