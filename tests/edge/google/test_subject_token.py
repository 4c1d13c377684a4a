"""Each place that a credential file names gives the token of another identity provider, or a reason."""

import json
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.demo.listener import Listener
from agent.model.credential import GoogleIdentity, Token
from agent.model.problem import Needs, Problem
from agent.model.problems.google import GoogleCredentialsMissing, GoogleError, GoogleThrottled, GoogleUnreachable
from agent.model.sensitive import Sensitive
from agent.settings import GoogleSettings
from tests.codes.programs import script
from tests.edge.google.conftest import EXTERNAL, Bench
from tests.fakecloud import jwt
from tests.fakecloud.faults import Answer, Broken, Fault, act_out
from tests.fakecloud.google import AUDIENCE
from tests.problems import raises_problem

KEY = "s3cret-of-the-platform"


@dataclass
class Platform:
    """Gives the token to a request with the right header."""

    token: str
    url: str = ""
    fault: Fault | None = None
    requests: list[str] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request.path)
        if self.fault is not None:
            return await act_out(self.fault, request)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=403)
        return web.json_response({"value": self.token}) if request.path == "/json" else web.Response(text=self.token)


@pytest.fixture
async def platform(bench: Bench) -> AsyncIterator[Platform]:
    token, _ = bench.subject()
    platform = Platform(token)
    async with Listener(platform.handle) as listener:
        platform.url = listener.url
        yield platform


def account(bench: Bench, source: dict[str, Any]) -> str:
    return str(bench.file({**EXTERNAL, "credential_source": source}))


async def allowed(bench: Bench, file: str) -> Token:
    """Get a token with a credential file whose program may run."""
    env = {"GOOGLE_APPLICATION_CREDENTIALS": file, "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1"}
    return await bench.client({**env, "PATH": "/usr/bin:/bin"}).fetch_token(GoogleIdentity(), GoogleSettings())


@pytest.mark.parametrize("form", ["text", "json"])
async def test_a_url_gives_the_token(bench: Bench, platform: Platform, form: str) -> None:
    """With the headers of the file, and without a proxy on this machine. The key in a header is known as a secret."""
    source: dict[str, Any] = {"url": f"{platform.url}/{form}", "headers": {"Authorization": f"Bearer {KEY}"}}
    if form == "json":
        source["format"] = {"type": "json", "subject_token_field_name": "value"}
    token = await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=account(bench, source))
    assert token.identity is not None
    assert token.identity.endswith("/subject/environment-1")
    assert {Sensitive(KEY), Sensitive(platform.token)} <= set(bench.learned)
    assert bench.tunnel.asked == ["sts.googleapis.com"]


@pytest.mark.parametrize("form", ["text", "json"])
async def test_a_long_token_of_a_url_is_used_whole(bench: Bench, platform: Platform, form: str) -> None:
    """Tokens with many groups, and SAML assertions, are longer than what a message shows of an answer."""
    platform.token = jwt.make({"sub": "environment-1", "groups": "x" * 9000})
    bench.google.subjects[platform.token] = "environment-1"
    source: dict[str, Any] = {"url": f"{platform.url}/{form}", "headers": {"Authorization": f"Bearer {KEY}"}}
    source["format"] = {"type": form, "subject_token_field_name": "value"}
    assert (await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=account(bench, source))).identity is not None
    platform.token = "x" * 20_001
    with raises_problem(GoogleCredentialsMissing, match="longer than the 20000 characters"):
        await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=account(bench, source))


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        (
            Answer(403, json.dumps({"error_description": f"wrong {KEY}"})),
            GoogleCredentialsMissing,
            r"status 403 \(wrong \*\*\*\)",
        ),
        (Answer(302, headers={"Location": "https://evil.example/"}), GoogleCredentialsMissing, "status 302"),
        (Answer(200, ""), GoogleCredentialsMissing, "is empty"),
        (Answer(200, "<html>Please sign in.</html>"), GoogleCredentialsMissing, "is not a token"),
        (Answer(429, headers={"Retry-After": "7"}), GoogleThrottled, "the URL in .* throttled"),
        (Answer(503), GoogleError, "the URL in .* status 503"),
        (Broken.RESET, GoogleUnreachable, "no token from the URL in"),
    ],
)
async def test_a_url_without_a_token_is_reported(
    bench: Bench, platform: Platform, fault: Fault, kind: type[Problem], says: str
) -> None:
    """No other address is asked, and the message does not repeat the key. What passes by itself needs no person."""
    platform.fault = fault
    source = {"url": f"{platform.url}/token", "headers": {"Authorization": f"Bearer {KEY}"}}
    with raises_problem(kind, match=says) as caught:
        await bench.fetch(GOOGLE_APPLICATION_CREDENTIALS=account(bench, source))
    assert KEY not in caught.value.message
    assert {*platform.requests} == {"/token"}


def program(bench: Bench, output: object, *lines: str) -> dict[str, Any]:
    """A `credential_source` with a program that prints `output`."""
    path = bench.home / "program"
    script(path, *lines, f"printf %s {shlex.quote(json.dumps(output))}")
    return {"executable": {"command": f"{path} --environment 1"}}


def printed(token: str, **changes: object) -> dict[str, object]:
    kind = "urn:ietf:params:oauth:token-type:jwt"
    return {"version": 1, "success": True, "token_type": kind, "id_token": token, **changes}


async def test_a_program_prints_the_token_if_the_user_allows_it(bench: Bench) -> None:
    """It learns from variables for whom the token is, and that nobody can answer a question."""
    token, _ = bench.subject()
    lines = (
        f'test "$GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE" = {AUDIENCE} || exit 3',
        'test "$GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE$1$2" = 0--environment1 || exit 4',
    )
    source = program(bench, printed(token), *lines)
    found = await allowed(bench, account(bench, source))
    assert found.identity is not None
    assert Sensitive(token) in bench.learned


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "version 1 of Google's JSON format"),
        ({"success": False, "code": "401", "message": "s3cret"}, "reported a failure"),
        ({"expiration_time": 1_000_000_000}, "printed a token that has expired"),
        ({"id_token": None}, "printed no token of the type in the file"),
        ({"id_token": "two words"}, "is not a token"),
    ],
)
async def test_a_program_without_a_token_is_reported(bench: Bench, change: dict[str, object], says: str) -> None:
    """The message names the program, and never its output."""
    source = program(bench, printed("s3cret-token", **change))
    with raises_problem(GoogleCredentialsMissing, match=says) as caught:
        await allowed(bench, account(bench, source))
    assert str(bench.home / "program") in caught.value.message
    assert "s3cret" not in caught.value.message


async def test_a_program_that_fails_is_reported(bench: Bench) -> None:
    source = program(bench, {}, "exit 7")
    with raises_problem(GoogleCredentialsMissing, match="exited with status 7"):
        await allowed(bench, account(bench, source))
    (bench.home / "program").unlink()
    with raises_problem(GoogleCredentialsMissing, match="cannot be run: no such file"):
        await allowed(bench, account(bench, source))


@pytest.mark.parametrize("kind", ["program", "url"])
async def test_a_file_that_others_can_change_runs_and_requests_nothing(
    bench: Bench, platform: Platform, kind: str
) -> None:
    """Who can write it could run programs as the user. The token in a file may still be used."""
    ran = bench.home / "ran"
    source = program(bench, printed(platform.token), f"touch {ran}") if kind == "program" else {"url": platform.url}
    path = Path(account(bench, source))
    path.chmod(0o666)
    with raises_problem(GoogleCredentialsMissing, match="others than its user and root can change it") as caught:
        await allowed(bench, str(path))
    assert caught.value.needs is Needs.USER
    assert not ran.exists()
    assert platform.requests == []


@pytest.mark.parametrize(
    "source",
    [
        {"executable": {"command": "/bin/true", "timeout_millis": 1}},
        {"executable": {"command": " "}},
        {"executable": "/bin/true"},
        {"url": "http://169.254.169.254.evil.example/"},
        {"url": "https://me@evil.example/"},
        {"url": "http://[::1"},
        {"url": "https://platform.example/", "headers": ["x"]},
        {"url": "https://platform.example/", "headers": {"X-Key": "two\nlines"}},
        {"url": "https://platform.example/", "headers": {"X Key": "value"}},
        {"file": ""},
        {},
        [],
    ],
    ids=str,
)
async def test_a_source_that_is_not_valid_is_refused(bench: Bench, source: Any) -> None:
    """Before anything is run or requested."""
    with raises_problem(GoogleCredentialsMissing, match=r"file\.json has ") as caught:
        await allowed(bench, account(bench, source))
    assert caught.value.needs is Needs.USER
    assert bench.tunnel.asked == []
