"""What a long life found, as an example of its own."""

import asyncio
import base64
import json
from datetime import timedelta

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from agent.edge.http import Reply
from agent.model.credential import Credential
from agent.model.docker_errors import explain, read_stderr
from agent.model.problem import Problem
from agent.model.problems.registry import EcrTokenExpired, LoginRejected, RegistryError
from agent.model.registry import parse_hostname
from agent.model.sensitive import Sensitive
from agent.model.status import State
from tests.fakes import EPOCH
from tests.fuzz.answers import CannedProbe
from tests.services.login_fakes import ECR, Bench, plan


async def test_a_ready_token_that_ends_by_the_registrys_clock_is_soon_out() -> None:
    """It is tried when it ends by ours; a registry whose clock is two seconds behind takes it once more.

    The next look came after five minutes, and a dead login lay in Docker's configuration until then.
    """
    bench, ends = Bench(), EPOCH + timedelta(hours=1)
    token = base64.b64encode(json.dumps({"expiration": ends.timestamp()}).encode()).decode()

    def by_its_clock(_: str) -> Problem | None:
        over = bench.clock.now() >= ends + timedelta(seconds=2)
        return EcrTokenExpired(ECR, "expired") if over else None

    bench.docker_login.answer = by_its_clock
    secret = {"name": "ready", "hostname": ECR, "username": "AWS", "password": token}
    running = asyncio.create_task(bench.login(plan(secret).logins[0]).run())
    await bench.clock.advance(3600)
    assert bench.state() is State.LOGGED_IN
    await bench.clock.advance(10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert bench.state() is State.EXPIRED
    assert bench.reconciler.stored == {}


@pytest.mark.parametrize("challenge", ["Basic realm=x", 'Bearer realm="https://auth.example/token"'])
async def test_a_password_that_the_agents_own_look_sent_in_vain_is_refused(challenge: str) -> None:
    """The CLI met a 503, the agent's look a second later the registry itself: tried again soon, it was a third no."""
    registry, credential = parse_hostname("ghcr.io"), Credential("bob", Sensitive("wrong"))
    probe = CannedProbe()
    probe.reply = Reply(401, CIMultiDictProxy(CIMultiDict({"WWW-Authenticate": challenge})), b"")
    said = read_stderr(b"login attempt to https://ghcr.io/v2/ failed with status: 503 Service Unavailable")
    problem = explain(said, await probe.probe(registry, credential, 5.0), "ghcr.io", "team")
    assert isinstance(problem, LoginRejected)
    problem = explain(said, await probe.probe(registry, None, 5.0), "ghcr.io", "team")
    assert isinstance(problem, RegistryError), "without the password a 401 is no answer to it"
