"""Every server that the AWS SDK asks is hostile. It costs limited time and memory, and leads to no other server."""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.codes.world import Door, World
from tests.fakecloud.aws import PretendAws
from tests.hostile.screens import ATTACK
from tests.hostile.servers import (
    Raw,
    Speak,
    endless,
    endless_head,
    raw,
    reply,
    says,
    silent,
    slow,
    slow_head,
    through,
)
from tests.hostile.test_servers import HOSTILE_REPLIES
from tests.rig.agent import Status

pytestmark = pytest.mark.usefixtures("screens")

ROLE: Final = "arn:aws:iam::210987654321:role/pull"
CALL_TIMEOUT_S: Final = 4.0
MOST_GROWTH: Final = 48 << 20
CONTAINER_TOKEN: Final = "token-of-the-container-endpoint"
KEYS_OF_NOBODY: Final = {"AccessKeyId": ATTACK, "SecretAccessKey": ATTACK, "Token": ATTACK, "Expiration": ATTACK}
STRANGE_KEYS: Final = {
    "raw-keys": KEYS_OF_NOBODY,
    "raw-keys-that-hold": {**KEYS_OF_NOBODY, "Expiration": "2999-01-01T00:00:00Z"},
    "keys-of-no-text": {"AccessKeyId": {}, "SecretAccessKey": [1], "Token": 7, "Expiration": "2999-01-01T00:00:00Z"},
    "long-keys": dict.fromkeys(KEYS_OF_NOBODY, "A" * 300_000) | {"Expiration": "2999-01-01T00:00:00Z"},
    "born-expired": {**dict.fromkeys(KEYS_OF_NOBODY, "AKIA"), "Expiration": "2001-01-01T00:00:00Z"},
    "no-date": {**dict.fromkeys(KEYS_OF_NOBODY, "AKIA"), "Expiration": "9" * 4000},
}
REPLIES: Final[dict[str, Speak]] = {
    "10-gb": endless,
    "slow": slow,
    "endless-head": endless_head,
    "slow-head": slow_head,
    "silent": silent,
    "deep": says(reply(b"[" * 900_000)),
    "deep-object": says(reply(b'{"a":' * 150_000)),
    "no-http": HOSTILE_REPLIES["no-http"],
    "garbage": says(reply(ATTACK.encode() * 20)),
    "header-bomb": HOSTILE_REPLIES["header-bomb"],
    "zip-bomb": HOSTILE_REPLIES["zip-bomb"],
    "raw-status": HOSTILE_REPLIES["raw-status"],
    "raw-header": says(reply(b"{}", b"X-Raw: \xff\xfe")),
    "null": says(reply(b"null")),
    "empty": says(reply(b"")),
    **{name: says(reply(json.dumps(keys).encode())) for name, keys in STRANGE_KEYS.items()},
}
SHORT: Final = ("10-gb", "slow", "endless-head", "deep", "raw-header", "raw-keys-that-hold", "keys-of-no-text")
MISSING: Final = frozenset({"aws_credentials_missing"})
PLAIN_TEXTS: Final = ("metadata-token", "metadata-role")
"""Places whose answers are not JSON."""
# Invalid keys fail only later, at the service that gets them.
LATER: Final = frozenset({"aws_error", "aws_access_denied", "aws_unreachable"})
UNUSABLE: Final = frozenset({"aws_error", "aws_unreachable"})


@dataclass(frozen=True, slots=True)
class Place:
    """A place for a hostile server: the variable with its address, the codes of its fault, the request it attacks."""

    variable: str
    codes: frozenset[str]
    asked: bytes = b""
    role: bool = False


PLACES: Final = {
    "metadata-token": Place("AWS_EC2_METADATA_SERVICE_ENDPOINT", MISSING, b"PUT /latest/api/token"),
    "metadata-role": Place("AWS_EC2_METADATA_SERVICE_ENDPOINT", MISSING, b"GET /latest/meta-data/iam/"),
    "metadata-keys": Place(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT", MISSING, b"GET /latest/meta-data/iam/security-credentials/dev"
    ),
    "container": Place("AWS_CONTAINER_CREDENTIALS_FULL_URI", MISSING),
    "sts": Place("AWS_ENDPOINT_URL_STS", UNUSABLE, role=True),
    "ecr": Place("AWS_ENDPOINT_URL_ECR", UNUSABLE),
}


@pytest.fixture
def elsewhere() -> Iterator[Raw]:
    """Yield a server that must get no request."""
    with raw(says(reply(b"{}"))) as server:
        yield server


def _memory(world: World, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{world.pid}/status").read_text())
    assert found
    return int(found[1]) << 10


def _only(asked: bytes, hostile: Speak, well: Speak) -> Speak:
    return lambda connection, request: (hostile if request.startswith(asked) else well)(connection, request)


@dataclass(frozen=True, slots=True)
class Stand:
    """An agent that got its token from AWS once. From now on, one of AWS's servers can be hostile."""

    world: World
    door: Door
    place: Place
    server: Raw
    well: Speak

    def suffers(self, name: str, hostile: Speak) -> set[str]:
        """Renew against the hostile reply, and return the codes. The login stays, and the memory hardly grows."""
        self.server.speak = _only(self.place.asked, hostile, self.well)
        Path(f"/proc/{self.world.pid}/clear_refs").write_text("5")  # the peak is measured from here
        before = _memory(self.world, "VmRSS")
        renewed = self.world.agent.renew(self.door.hostname)
        assert renewed["consecutive_failures"] > 0, (name, renewed)
        growth = _memory(self.world, "VmHWM") - before
        assert growth < MOST_GROWTH, f"{name}: {growth >> 20} MB"
        status = self.world.agent.wait_for(f"the code of {name}", self._codes)
        row = self.world.agent.registry(self.door.hostname)
        assert row is not None
        assert row["state"] == "logged_in", name
        self.world.nothing_stopped()
        return self._codes(status)

    def _codes(self, status: Status) -> set[str]:
        return {w["code"] for w in status["warnings"] if w["subject"] == self.door.hostname} - {"renewal_failing"}

    def recovers(self) -> None:
        self.server.speak = self.well
        renewed = self.world.agent.renew(self.door.hostname)
        assert renewed["consecutive_failures"] == 0, renewed
        self.world.agent.wait_for(
            "the end of its warnings", lambda s: self.door.hostname not in {w["subject"] for w in s["warnings"]}
        )


def _keys(aws: PretendAws) -> Mapping[str, Any]:
    """Return the valid answer of the container endpoint."""
    session = aws.principals.session(ROLE, "task", aws.now().replace(year=aws.now().year + 1))
    return {
        "AccessKeyId": session.access_key_id,
        "SecretAccessKey": session.secret_access_key,
        "Token": session.session_token,
        "Expiration": "2999-01-01T00:00:00Z",
    }


@contextmanager
def _standing(world: World, place: Place) -> Iterator[Stand]:
    aws = world.aws(token_life_s=3600)
    door = world.ecr(aws, **({"role_arn": ROLE} if place.role else {}))
    well = through(world.env["AWS_ENDPOINT_URL_ECR"].removeprefix("http://"))
    if place is PLACES["container"]:
        well = says(reply(json.dumps(_keys(aws)).encode()))
        world.env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = CONTAINER_TOKEN
    with raw(well) as server:
        world.env[place.variable] = server.url
        world.start({"aws": {"call_timeout_s": CALL_TIMEOUT_S}, "retry": {"max_wait_s": 300, "rejected_wait_s": 300}})
        world.agent.wait_logged_in(door.hostname)
        yield Stand(world, door, place, server, well)


def _walk(world: World, place: Place, replies: Mapping[str, Speak], more: Callable[[str], frozenset[str]]) -> None:
    with _standing(world, place) as stand:
        for name, hostile in replies.items():
            codes = stand.suffers(name, hostile)
            assert codes <= place.codes | more(name), (name, codes)
        stand.recovers()


def _more(place: Place) -> Callable[[str], frozenset[str]]:
    """Return a function: which codes a reply may cause in addition to the place's own."""
    keys = place in (PLACES["metadata-keys"], PLACES["container"])
    return lambda name: LATER if keys and name in STRANGE_KEYS else frozenset()


def _redirects(elsewhere: Raw) -> dict[str, Speak]:
    answer = {status: f"{status} Away".encode() for status in (302, 307)}
    location = f"Location: {elsewhere.url}/".encode()
    return {f"redirect-{status}": says(reply(b"{}", location, status=line)) for status, line in answer.items()}


@pytest.mark.parametrize("name", PLACES)
def test_a_hostile_server(world: World, elsewhere: Raw, name: str) -> None:
    """Its answer makes a renewal fail, with the right code. Later renewals work again.

    A redirect is not followed: not with the container's token, the metadata service's token, or a signature.
    """
    place = PLACES[name]
    short = () if name in PLAIN_TEXTS else SHORT
    _walk(world, place, {reply: REPLIES[reply] for reply in short} | _redirects(elsewhere), _more(place))
    assert elsewhere.requests == []


@pytest.mark.torture
@pytest.mark.parametrize("name", PLACES)
def test_every_hostile_server(world: World, name: str) -> None:
    """The same, with each reply at each place."""
    place = PLACES[name]
    replies = dict(REPLIES)
    if name in PLAIN_TEXTS:  # the answer is a name here, so JSON is only a strange name
        replies = {reply: speak for reply, speak in replies.items() if reply not in STRANGE_KEYS}
    _walk(world, place, replies, _more(place))


@pytest.mark.parametrize("named", ["", "_FILE"])
def test_a_container_endpoint_that_quotes(world: World, tmp_path: Path, named: str) -> None:
    """The refusal repeats the token. The status and the log do not show it."""
    given = tmp_path / "token"
    given.write_text(CONTAINER_TOKEN)
    place = PLACES["container"]
    with raw(says(reply(b"no: " + CONTAINER_TOKEN.encode(), status=b"403 No"))) as server:
        world.env[place.variable] = server.url
        world.env[f"AWS_CONTAINER_AUTHORIZATION_TOKEN{named}"] = str(given) if named else CONTAINER_TOKEN
        door = world.ecr(world.aws())
        world.start({"aws": {"call_timeout_s": 8}})
        world.raised("aws_credentials_missing", door.hostname, says="403")
        assert any(CONTAINER_TOKEN.encode() in request for request in server.requests)
        assert CONTAINER_TOKEN not in json.dumps(world.agent.status()) + world.agent.log()


def test_a_container_token_that_is_a_fifo(world: World, tmp_path: Path) -> None:
    """No program writes to it. A warning reports it, and the event loop is not blocked."""
    os.mkfifo(tmp_path / "token")
    world.env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://127.0.0.1:1/"
    world.env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(tmp_path / "token")
    door = world.ecr(world.aws())
    world.start({"aws": {"call_timeout_s": CALL_TIMEOUT_S}})
    world.raised("aws_credentials_missing", door.hostname, says="not a regular file")
