"""Bugs that a long life found, each as a test of its own."""

import asyncio
import base64
import json
from datetime import timedelta

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from agent.edge.http import Reply
from agent.model.credential import Credential
from agent.model.docker_errors import explain
from agent.model.docker_output import read_stderr
from agent.model.problem import Problem
from agent.model.problems.registry import EcrTokenExpired, LoginRejected, RegistryError
from agent.model.registry import parse_hostname
from agent.model.sensitive import Sensitive
from agent.model.status import State
from tests.fakes import EPOCH
from tests.fuzz.answers import CannedProbe
from tests.services.login_fakes import ECR, Bench, plan


async def test_an_expired_ready_token_is_removed_soon() -> None:
    """The agent tries it once it has expired. A registry whose clock is two seconds behind accepts it once more.

    The next check came after five minutes. Until then, Docker's configuration held a login that did not work.
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
async def test_a_password_that_the_agents_own_probe_sent_is_refused(challenge: str) -> None:
    """The CLI got a 503, and the agent's probe a second later a 401. A quick retry would be another refused login."""
    registry, credential = parse_hostname("ghcr.io"), Credential("bob", Sensitive("wrong"))
    probe = CannedProbe()
    probe.reply = Reply(401, CIMultiDictProxy(CIMultiDict({"WWW-Authenticate": challenge})), b"")
    stderr = read_stderr(b"login attempt to https://ghcr.io/v2/ failed with status: 503 Service Unavailable")
    problem = explain(stderr, await probe.probe(registry, credential, 5.0), "ghcr.io", "team")
    assert isinstance(problem, LoginRejected)
    problem = explain(stderr, await probe.probe(registry, None, 5.0), "ghcr.io", "team")
    assert isinstance(problem, RegistryError), "a 401 to a request without the password says nothing about the password"
