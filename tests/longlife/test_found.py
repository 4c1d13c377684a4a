"""What a long life found, as an example of its own."""

import asyncio
import base64
import json
from datetime import timedelta

from agent.model.problems import EcrTokenExpired
from agent.model.status import State
from tests.fakes import EPOCH
from tests.services.login_parts import ECR, Bench, plan


async def test_a_ready_token_that_ends_by_the_registrys_clock_is_soon_out() -> None:
    """It is tried when it ends by ours; a registry whose clock is two seconds behind takes it once more.

    The next look came after five minutes, and a dead login lay in Docker's configuration until then.
    """
    bench, ends = Bench(), EPOCH + timedelta(hours=1)
    token = base64.b64encode(json.dumps({"expiration": ends.timestamp()}).encode()).decode()

    def by_its_clock(_: str) -> Exception | None:
        over = bench.clock.now() >= ends + timedelta(seconds=2)
        return EcrTokenExpired(ECR, "expired") if over else None

    bench.sign_in.answer = by_its_clock
    secret = {"name": "ready", "hostname": ECR, "username": "AWS", "password": token}
    running = asyncio.create_task(bench.login(plan(secret).logins[0]).run())
    await bench.clock.advance(3600)
    assert bench.state() is State.LOGGED_IN
    await bench.clock.advance(10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert bench.state() is State.EXPIRED
    assert bench.custody.kept == {}
