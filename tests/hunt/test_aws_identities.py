"""The secrets that identify the agent to AWS, from each source. If something repeats one, no reader sees it."""

import base64
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.codes.here import Here
from tests.codes.hunted import hunted
from tests.codes.programs import script
from tests.codes.sources import PLAIN
from tests.codes.world import REGION, World
from tests.hostile.servers import Raw, reply
from tests.rig.needs import need
from tests.rig.waiting import until

ROLE: Final = "arn:aws:iam::210987654321:role/pull"
HOST: Final = "one.invalid"
KEY_ID: Final = "AKIA" + "Z" * 16


class Echo:
    """Acts as ECR and STS, or as a container's endpoint. It refuses, and repeats `secrets` in three notations."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self.keys: dict[str, str] | None = None
        self.server: Final = Raw(self._speak)

    @property
    def text(self) -> str:
        coded = (base64.b64encode(f"x:{secret}".encode()).decode() for secret in self.secrets)
        return " ".join(["no:", *self.secrets, *map(json.dumps, self.secrets), *coded])

    def _speak(self, connection: socket.socket, request: bytes) -> None:
        if request.startswith(b"GET /keys"):
            answer = json.dumps(self.keys or {"message": self.text}).encode()
            connection.sendall(reply(answer, status=b"200 OK" if self.keys else b"500 No"))
        elif b"Action=" in request:
            told = self.text.replace("&", "&amp;").replace("<", "&lt;")
            error = f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{told}</Message></Error></ErrorResponse>"
            connection.sendall(reply(error.encode(), status=b"403 No", kind=b"text/xml"))
        else:
            refusal = json.dumps({"__type": "AccessDeniedException", "message": self.text}).encode()
            connection.sendall(reply(refusal, status=b"400 No", kind=b"application/x-amz-json-1.1"))


@pytest.fixture(scope="module")
def here() -> Iterator[Here]:
    here = Here()
    yield here
    here.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.server.close()


Prepare = Callable[[World, Echo], dict[str, object]]


def _token_command(world: World, echo: Echo) -> dict[str, object]:
    """Configure a command that works once, and then complains about the token that it gave."""
    token, used = world.sources.secret("web identity", PLAIN), world.sources.directory / "used"
    echo.secrets = [token]
    command = world.sources.directory / "idp-token"
    script(command, f"[ -f {used} ] && {{ echo '{echo.text}' >&2; exit 3; }}", f"touch {used}; echo '{token}'")
    return {"identity_token_command": [str(command)]}


def _variables(world: World, echo: Echo) -> dict[str, object]:
    path = world.sources.file("web identity")
    echo.secrets = [path.read_text()]
    world.env.update(AWS_WEB_IDENTITY_TOKEN_FILE=str(path), AWS_ROLE_ARN=ROLE)
    return {}


def _instance_role(world: World, echo: Echo) -> dict[str, object]:
    aws = world.aws()
    session = aws.instance_session()
    assert session.session_token is not None
    echo.secrets = [session.secret_access_key, session.session_token]
    return {}


def _container(world: World, echo: Echo) -> dict[str, object]:
    key, session = world.sources.secret("key", PLAIN), world.sources.secret("session", PLAIN)
    echo.secrets = [key, session]
    echo.keys = {"AccessKeyId": KEY_ID, "SecretAccessKey": key, "Token": session, "Expiration": "2100-01-01T00:00:00Z"}
    world.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{echo.server.url}/keys"
    return {}


def _containers_token(world: World, echo: Echo) -> dict[str, object]:
    echo.secrets = [world.env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]]
    world.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{echo.server.url}/keys"
    return {}


def _containers_token_file(world: World, echo: Echo) -> dict[str, object]:
    path = world.sources.file("container's token")
    echo.secrets = [path.read_text()]
    world.env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(path)
    world.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{echo.server.url}/keys"
    return {}


# The code of the warning that follows.
PLACES: Final[Mapping[Prepare, str]] = {
    _token_command: "aws_identity_unavailable",
    _variables: "aws_identity_rejected",
    _instance_role: "aws_access_denied",
    _container: "aws_access_denied",
    _containers_token: "aws_credentials_missing",
    _containers_token_file: "aws_credentials_missing",
}


@pytest.mark.parametrize("prepare", PLACES)
def test_who_repeats_an_identity(here: Here, tmp_path: Path, echo: Echo, prepare: Prepare) -> None:
    """AWS, a container's endpoint and a token command quote it, plain, in JSON and in base64. It is not passed on."""
    need("docker")
    with hunted(here, tmp_path / "home") as world:
        settings = prepare(world, echo)
        world.env.update(dict.fromkeys(("AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS"), echo.server.url))
        role = {"role_arn": ROLE} if settings else {}
        world.agent.give("one", HOST, username="runner-native", kind="ecr", region=REGION, **role)
        world.start({"aws": settings})
        world.raised(PLACES[prepare], HOST)
        until("the debug log of it", lambda: PLACES[prepare] in world.agent.log())


# One agent gets these in turn by its settings: the setting (a profile or a file), and the code of the warning.
SETTINGS: Final[Mapping[str, tuple[str, str]]] = {
    "the web identity of a profile": ("profile", "aws_identity_rejected"),
    "the keys of a profile": ("profile", "aws_access_denied"),
    "the source of a profile's role": ("profile", "aws_access_denied"),
    "a token file": ("identity_token_file", "aws_identity_rejected"),
}


@pytest.fixture(scope="module")
def settled(here: Here, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, Echo]]:
    need("docker")
    echo = Echo()
    with hunted(here, tmp_path_factory.mktemp("settled") / "home") as world:
        world.env["AWS_CONFIG_FILE"] = str(world.sources.directory / "config")
        world.env.update(dict.fromkeys(("AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS"), echo.server.url))
        _write_profiles(world, echo)
        world.start()
        yield world, echo
    echo.server.close()


def _write_profiles(world: World, echo: Echo) -> None:
    """Write the profiles. The echo repeats all of their secrets, whichever one is used."""
    token, key, session, base = (
        world.sources.file("web-identity"),
        *(world.sources.secret(name, PLAIN) for name in ("key", "session", "base key")),
    )
    echo.secrets = [token.read_text(), key, session, base]
    keys = f"aws_access_key_id = {KEY_ID}\naws_secret_access_key"
    profiles = {
        "the web identity of a profile": f"role_arn = {ROLE}\nweb_identity_token_file = {token}",
        "the keys of a profile": f"{keys} = {key}\naws_session_token = {session}",
        "the source of a profile's role": f"role_arn = {ROLE}\nsource_profile = base",
        "base": f"{keys} = {base}",
    }
    sections = (f"[profile {json.dumps(name)}]\n{lines}\n" for name, lines in profiles.items())
    (world.sources.directory / "config").write_text("\n".join(sections))


@pytest.mark.parametrize("name", SETTINGS)
def test_who_repeats_an_identity_of_the_settings(settled: tuple[World, Echo], name: str) -> None:
    """The same holds for an identity from the settings, which the agent reads again while it runs."""
    world, _ = settled
    setting, code = SETTINGS[name]
    host = f"{name.replace(' ', '-').replace(chr(39), '')}.invalid"
    value = name if setting == "profile" else str(world.sources.directory / "web-identity")
    world.set(aws={setting: value})
    role = {} if setting == "profile" else {"role_arn": ROLE}
    world.agent.give(world.new_name("one"), host, username="runner-native", kind="ecr", region=REGION, **role)
    world.raised(code, host)
    until("the debug log of it", lambda: host in world.agent.log() and code in world.agent.log())
