"""Tests of the SSO logins: the SDK renews them, also where nothing can be saved, and a person's change counts."""

import asyncio
import errno
import hashlib
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from agent.edge.aws import sso_tokens
from agent.edge.aws.sdk import AwsSdk
from agent.edge.aws.sso_tokens import SsoTokens
from agent.model.problems.aws import AwsInteractiveLoginNeeded
from agent.model.sensitive import Sensitive
from agent.settings import AwsSettings
from tests.edge.aws.aws_server import clear_environment, identity, serve
from tests.edge.aws.test_interactive_login import OUTER, SSO
from tests.fakecloud.principals import Principals
from tests.fakecloud.sso import SsoPortal
from tests.problems import raises_problem
from tests.rig.waiting import PATIENCE_S, eventually

CHAIN: Final = identity(keys=None)
OTHER_REGION: Final = identity(keys=None, region="eu-north-1")
EXPIRED: Final = timedelta(hours=-1)
VALID: Final = timedelta(hours=1)
SECRETS: Final = itertools.count()


class Home:
    """A home with one SSO login that has expired, and an agent."""

    def __init__(self, directory: Path) -> None:
        session = Principals().session("arn:aws:iam::123456789012:role/dev", "ada", datetime.now(UTC) + VALID)
        self.portal = SsoPortal(session, lambda _: f"secret-{next(SECRETS)}")
        self.after_renewal: Callable[[], object] = bool
        self.learned: set[str] = set()
        self.file = directory / ".aws/sso/cache" / f"{hashlib.sha1(b's', usedforsecurity=False).hexdigest()}.json"
        self.file.parent.mkdir(parents=True)
        self.log_in(EXPIRED)
        self.file.chmod(0o600)
        self._config = directory / ".aws/config"
        self.write_profile(SSO)
        self.start()

    def start(self) -> None:
        """Start the agent, or start it again."""
        self.aws = AwsSdk(user="ada", environ={}, now=lambda: datetime.now(UTC), learned=self._learn)

    def write_profile(self, lines: str) -> None:
        self._config.write_text(f"[profile team]\n{lines}\n")

    def log_in(self, life: timedelta) -> None:
        """Write the file of `aws sso login`. The access token still lives for `life`."""
        self.file.write_text(json.dumps(self.portal.login(life)))

    async def fetch(self) -> None:
        await self.aws.fetch_token(CHAIN, AwsSettings(profile="team", call_timeout_s=5))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        renewals = self.portal.renewals
        answer = await self.portal.handle(request)
        if self.portal.renewals > renewals:
            self.after_renewal()
        return answer

    def _learn(self, secret: Sensitive) -> None:
        self.learned.add(secret.reveal())


@pytest.fixture
async def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Home]:
    home = Home(tmp_path)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", home.answer)
    async with serve() as server, TestServer(app) as portal:
        clear_environment(monkeypatch, tmp_path, server.url)
        for name in ("AWS_ENDPOINT_URL_SSO", "AWS_ENDPOINT_URL_SSO_OIDC"):
            monkeypatch.setenv(name, str(portal.make_url("")))
        yield home


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be saved, not even by root, as on a read-only file system."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(sso_tokens, "replace_version", refuse)


@pytest.mark.usefixtures("read_only")
@pytest.mark.parametrize("profile", [SSO, f"{OUTER}\n{SSO}"], ids=["sso", "source profile"])
async def test_keeps_a_renewed_token_that_cannot_be_saved(home: Home, profile: str) -> None:
    """The second token of ECR needs no further renewal, and no log shows what the portal has issued."""
    home.write_profile(profile)
    before = home.file.read_bytes()
    await home.fetch()
    assert {home.portal.token, home.portal.refresh_token, home.portal.client_secret} <= home.learned
    await home.fetch()
    assert home.portal.renewals == 1
    assert home.file.read_bytes() == before


@pytest.mark.usefixtures("read_only")
async def test_renews_with_the_newest_refresh_token(home: Home) -> None:
    """The portal accepts each one only once."""
    home.portal.life = timedelta(minutes=1)
    for _ in range(3):
        await home.fetch()
    assert home.portal.renewals == 3


async def test_saves_a_renewed_token(home: Home) -> None:
    """For the aws CLI, and for the time after a restart of the agent. The file stays private."""
    await home.fetch()
    await eventually(lambda: json.loads(home.file.read_bytes())["refreshToken"] == home.portal.refresh_token)
    home.start()
    await home.fetch()
    assert home.portal.renewals == 1
    assert home.file.stat().st_mode & 0o777 == 0o600
    await eventually(lambda: [*home.file.parent.iterdir()] == [home.file])


async def test_does_not_wait_for_the_file_system(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is used while its file cannot be written yet."""
    go_on = threading.Event()
    monkeypatch.setattr(sso_tokens, "replace_version", lambda *_: go_on.wait(PATIENCE_S))
    await home.fetch()
    assert not go_on.is_set()
    go_on.set()


@pytest.mark.usefixtures("read_only")
async def test_uses_a_new_login_of_the_person(home: Home) -> None:
    """Even if the kept token ends later: it may belong to another user, or be revoked."""
    await home.fetch()
    home.portal.end_session()
    home.log_in(VALID / 2)
    await home.fetch()
    assert home.portal.renewals == 1


@pytest.mark.usefixtures("read_only")
async def test_forgets_a_renewed_token_at_a_logout(home: Home) -> None:
    """`aws sso logout` removes the file."""
    await home.fetch()
    home.file.unlink()
    with raises_problem(AwsInteractiveLoginNeeded):
        await home.fetch()


async def test_does_not_overwrite_a_login_that_a_person_makes_during_a_renewal(home: Home) -> None:
    """Nor is the renewed token of the former login used any more."""

    def log_in() -> None:
        home.portal.end_session()
        home.log_in(VALID)

    home.after_renewal = log_in
    with raises_problem(AwsInteractiveLoginNeeded):
        await home.fetch()
    await home.fetch()
    assert json.loads(home.file.read_bytes())["accessToken"] == home.portal.token


async def test_prefers_a_login_that_another_fetch_has_seen_during_a_renewal(home: Home) -> None:
    """The renewed token comes from the former login, whatever the files contain when it arrives."""
    tokens = SsoTokens(bool)
    former = home.portal.login(EXPIRED)
    home.portal.end_session()
    new = home.portal.login(VALID)
    tokens.update({"s": former})
    assert tokens["s"] == former
    tokens.update({"s": new})
    tokens["s"] = {**former, "expiresAt": datetime.now(UTC) + VALID}
    assert tokens["s"] == new, "a fetch that waited for the renewal gets the former person's token"
    tokens.update({"s": new})
    assert tokens["s"] == new


@pytest.mark.usefixtures("read_only")
async def test_profiles_of_one_session_renew_the_token_once(home: Home) -> None:
    """Otherwise, the portal would refuse all but the first, and the others would ask for a login."""
    settings = AwsSettings(profile="team", call_timeout_s=5)
    async with asyncio.TaskGroup() as group:
        for chain in (CHAIN, OTHER_REGION):
            group.create_task(home.aws.fetch_token(chain, settings))
    assert home.portal.renewals == 1


async def test_a_file_that_is_no_login_asks_for_one(home: Home) -> None:
    """Other programs keep their own files in this directory."""
    for content in ("[]", "{}", "no JSON", '{"accessToken": 1}'):
        home.file.write_text(content)
        with raises_problem(AwsInteractiveLoginNeeded):
            await home.fetch()
